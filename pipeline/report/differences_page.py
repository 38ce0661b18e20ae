"""What differs between two versions on a page with the pictures concerned, for who judges them.

The crops are read from the shards that lie on this disk, of the version in which the sample counts;
what is not here, or damaged, is counted and told. The page asks no host for anything.
"""

import base64
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.dataset.codec import PNG, BadImage, decode_crop, largest_crop
from pipeline.errors import PipelineError
from pipeline.files import new_file
from pipeline.reading import check_plain
from pipeline.report.differences import (
    ADDED,
    IDENTITY,
    KINDS,
    LABEL,
    MOVED,
    PICTURE,
    REMOVED,
    WHO,
    Differences,
)
from pipeline.report.differences_text import screen
from pipeline.report.versions import Version
from pipeline.tables import Row, readable

TEMPLATE: Final = Path(__file__).with_name("differences.html")

MOST_GROUPS: Final = 60
"""With pictures; a set of forty labels has up to 160 groups of flips."""

_SAID: Final = ("no", "yes", "unknown")
"""A label by its code."""


@dataclass(frozen=True)
class Shown:
    """A sample on the page."""

    key: str
    caption: str
    pictures: list[str]
    """`data:` URLs, one or, where the crop changed, two; empty where none is here."""


@dataclass(frozen=True)
class Group:
    """Samples that differ in the same way."""

    title: str
    count: int
    samples: list[Shown]


def write_page(path: Path, found: Differences, shifts: Sequence[Row], most: int) -> str:
    """Write the page, with at most `most` samples of each way to differ.

    Returns in words how many pictures it has, and how many are not here.
    """
    from jinja2 import Environment, StrictUndefined

    groups = list(_groups(found))
    shown = [_show(found, *group, most) for group in groups[:MOST_GROUPS]]
    samples = [sample for group in shown for sample in group.samples]
    missing = sum(not sample.pictures for sample in samples)
    said = f"{len(samples) - missing:,} samples with pictures"
    if missing:
        said += f", {missing:,} whose shards are not on this machine or are damaged"
    if groups[MOST_GROUPS:]:
        said += f"; {len(groups) - MOST_GROUPS:,} groups of flipped labels are left out"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        before=found.before.name,
        after=found.after.name,
        drawn={found.before.source, found.after.source} == {"synthetic"},
        said=said,
        screen=screen(found, shifts),
        groups=shown,
    )
    with new_file(path) as partial:
        partial.write_text(text.lstrip(), encoding="utf-8")
    return said


def _groups(found: Differences) -> Iterator[tuple[str, str, np.ndarray]]:
    """Title, kind, and which differ: rows, pairs, or places among the labels that changed."""
    titles = {
        REMOVED: "Images removed",
        ADDED: "Images added",
        PICTURE: "Pictures changed",
        MOVED: "Images in another split",
        IDENTITY: "Identities changed",
    }
    rows = (found.removed, found.added, found.pictures, found.moved, found.identities)
    for kind, chosen in zip(KINDS, rows, strict=False):
        if chosen is not None and len(chosen):
            yield titles[kind], kind, chosen
    labels, flips = found.labels, []
    ways = (labels.attribute * 3 + labels.before) * 3 + labels.after
    for way in np.unique(ways).tolist():
        name = readable(found.attributes[way // 9])
        title = f"{name}: {_SAID[way // 3 % 3]}, now {_SAID[way % 3]}"
        flips.append((title, LABEL, np.flatnonzero(ways == way)))
    yield from sorted(flips, key=lambda flip: -len(flip[2]))  # the largest first


def _show(found: Differences, title: str, kind: str, chosen: np.ndarray, most: int) -> Group:
    """Samples of a group, spread over it."""
    places = np.unique(np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(np.int64))
    return Group(title, len(chosen), [_sample(found, kind, int(chosen[p]), int(p)) for p in places])


def _sample(found: Differences, kind: str, which: int, place: int) -> Shown:
    """A sample by its row, its pair, or its label's place; `place`: among all of its kind."""
    before, after = found.before, found.after
    if kind in (REMOVED, ADDED):
        version, who = (
            (before, found.removed_by) if kind == REMOVED else (after, found.added_by)
        )  # fmt: skip
        return _shown(version, which, f"by {WHO[who[place]]}", [_picture(version, which)])
    pair = int(found.labels.pair[which]) if kind == LABEL else which
    old, new = (int(rows[pair]) for rows in found.pairs)
    if kind == PICTURE:
        pictures = [_picture(before, old), _picture(after, new)]
        return _shown(after, new, "before, after", pictures)
    if kind == MOVED:
        [was] = before.split_list(np.array([old]))
        caption = f"was {was}, by {WHO[found.moved_by[place]]}"
    elif kind == IDENTITY:
        who_is = [v.identity(row) or "unknown" for v, row in ((before, old), (after, new))]
        caption = "{}, now {}".format(*who_is)
    else:
        caption = f"by {WHO[found.labels.by[which]]}"
    return _shown(after, new, caption, [_picture(after, new) or _picture(before, old)])


def _shown(version: Version, row: int, caption: str, pictures: list[str | None]) -> Shown:
    """A sample with its split before the caption; without pictures where one is not here."""
    rows = np.array([row])
    [key], [split] = version.key_list(rows), version.split_list(rows)
    here = [picture for picture in pictures if picture]
    return Shown(key, f"{split}, {caption}", here if len(here) == len(pictures) else [])


def _picture(version: Version, row: int) -> str | None:
    """The crop of a sample as a `data:` URL; None where it is not here, or no such crop."""
    path = version.kept.tar(version.shards[version.shard[row]])
    offset, length = int(version.offset[row]), int(version.length[row])
    side: Any = version.facts["size"]
    if path is None or offset < 0 or not 0 < length <= largest_crop(side):
        return None
    try:
        check_plain(path)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        if version.crc32 is not None and zlib.crc32(data) != version.crc32[row]:
            return None
        decode_crop(data, np.empty((side, side, 3), np.uint8))
    except (BadImage, OSError, PipelineError):
        return None
    kind = "jpeg" if data.startswith(b"\xff\xd8") else "png" if data.startswith(PNG) else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
