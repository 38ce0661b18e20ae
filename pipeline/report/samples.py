"""Samples of a split to look at: who is on the contact sheet, and what stands under them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.dataset.corrections import IMAGE
from pipeline.dataset.labels import Labels
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.report import sheet
from pipeline.shards.read import ShardReader
from pipeline.tables import readable

if TYPE_CHECKING:
    from pipeline.params import Augment

COLUMNS: Final = 6
"""Pictures in a row of the sheet; a pair stays in one row."""

MOST_PICTURES: Final = 48
"""On a page."""


@dataclass(frozen=True)
class Pictures:
    """Crops, uint8 RGB [N, S, S, 3], with a caption each."""

    crops: np.ndarray
    captions: list[str]


@dataclass(frozen=True)
class Samples(Pictures):
    """Samples that were drawn at random or named, and what they are called together."""

    among: str
    """How many there are to choose from, in words: `the 20 samples of test that are not Hat`."""

    what: str = ""
    """What they are, where they are the first of an order: `Suspects`."""

    pairs: bool = False
    """Whether every two of them belong together."""

    def title(self, first: int, last: int) -> str:
        """Of the page that shows the samples from `first` to `last` (exclusive)."""
        each = 2 if self.pairs else 1
        span = f"{first // each + 1:,} to {last // each:,}"
        if not self.what and last - first == len(self.crops):
            span = f"{last:,}"
        return f"{self.what} {span} of {self.among}".strip()


def choose_samples(
    shards: Path,
    split: str,
    view: View,
    wanted: Sequence[str],
    unwanted: Sequence[str],
    count: int,
    generator: np.random.Generator,
) -> Samples:
    """Draw at most `count` samples that have the `wanted` attributes and none of the `unwanted`.

    A label that is not known is neither. They come in the split's order; a caption has the key,
    then the attributes that hold, then what was corrected. Raises PipelineError where the view has
    no such attribute or no sample is as asked.
    """
    order = view.attributes.names
    has, lacks = ([attribute_column(name, order) for name in names] for names in (wanted, unwanted))
    asked = " and ".join([*wanted, *(f"not {name}" for name in unwanted)])
    with ShardReader(shards, split, view) as reader:
        values, known = _in_order(reader.labels(), order)
        absent = ~values if known is None else known & ~values
        fitting = np.flatnonzero(values[:, has].all(axis=1) & absent[:, lacks].all(axis=1))
        if not len(fitting):
            fits = f" is {asked}; ask for less" if asked else " is left"
            raise PipelineError(f"No sample of the split {split}{fits}.")
        rows = np.sort(generator.permutation(fitting)[:count])
        [crops] = [batch.images for batch in reader.batches([rows])]
        keys = [reader.key(row) for row in rows.tolist()]
    changes = corrected(view, keys)
    captions = [
        caption([key], values[row], order, changes.get(key, ()))
        for key, row in zip(keys, rows.tolist(), strict=True)
    ]
    among = f"the {len(fitting):,} samples of {split}{asked and ' that are '}{asked}"
    return Samples(crops, captions, among)


def _in_order(labels: Labels, order: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and, where some are not, which are known; the columns as `order` has them."""
    columns = [labels.names.index(name) for name in order]
    known = None if labels.known is None else labels.known[:, columns]
    return labels.values[:, columns], known


def attribute_column(name: str, order: Sequence[str]) -> int:
    """Where an attribute stands. Raises PipelineError with what comes close."""
    if name in order:
        return order.index(name)
    known = {attribute.lower(): attribute for attribute in order}
    close = [known[match] for match in get_close_matches(name.lower(), known, cutoff=0)]
    raise PipelineError(f"There is no attribute {name!r}; closest to it are {', '.join(close)}.")


def corrected(view: View, keys: Iterable[str]) -> dict[str, list[str]]:
    """What the view's corrections change of some samples, in words: `Hat 1 to 0`, `dropped`."""
    wanted, told = set(keys), defaultdict[str, list[str]](list)
    for row in view.corrections.changes() if view.corrections else ():
        if row.key in wanted:
            change = f"{readable(row.attribute)} {row.was or 'unknown'} to {row.now or 'unknown'}"
            told[row.key].append("dropped" if row.attribute == IMAGE else change)
    return told


def caption(
    head: Sequence[str], holds: np.ndarray, order: Sequence[str], changes: Sequence[str]
) -> str:
    """The lines of a caption: its head, the attributes that hold (bool [A]), what was corrected."""
    names = ", ".join(readable(order[i]) for i in np.flatnonzero(holds).tolist())
    return "\n".join([*head, names, *([f"corrected: {', '.join(changes)}"] if changes else [])])


def augment_samples(
    crops: np.ndarray, settings: "Augment", generator: np.random.Generator
) -> Pictures:
    """The crops, uint8 [N, S, S, 3], as training may see them; captions say what was changed."""
    import torch

    from pipeline.network.model import to_float
    from pipeline.training.augment import augment, draw

    drawn = draw(settings, len(crops), generator)
    after = augment(to_float(torch.from_numpy(crops)), drawn).mul(255).round().byte()
    side, captions = crops.shape[1], []
    for i, (bright, contrast, saturation, hue) in enumerate(drawn.factors):
        text = ["augmented", f"brightness {bright:.2f}", f"contrast {contrast:.2f}"]
        text += [f"saturation {saturation:.2f}", f"hue {hue:+.3f}"]
        text += ["mirrored"] * int(drawn.flip[i])
        if drawn.warped:
            zoom, degrees, right, down = drawn.place[i]
            text += [f"zoom {zoom:.2f}, turn {degrees:+.0f}\N{DEGREE SIGN}"]
            text += [f"shift {right * side:+.0f}, {down * side:+.0f} px"]
        text += [f"blur {drawn.blur[i]:.1f} px"] * bool(drawn.radius)
        captions.append("\n".join(text))
    return Pictures(after.permute(0, 2, 3, 1).numpy(), captions)


def draw_samples(samples: Samples, path: Path, changed: Pictures | None = None) -> dict[Path, str]:
    """Draw the samples; where given, each stands beside what it was `changed` into.

    What takes more than a page goes to `name-1.png`, `name-2.png` and so on. Returns the files that
    were written, with the title of each.
    """
    sets = [samples, changed] if changed else [samples]
    group = len(sets) * (2 if samples.pairs else 1)
    width, a_page = COLUMNS // group * group, MOST_PICTURES // len(sets)
    pages = range(0, len(samples.crops), a_page)
    written = {}
    for number, first in enumerate(pages, 1):
        last = min(first + a_page, len(samples.crops))
        shown = [(s.crops[first:last], s.captions[first:last]) for s in sets]
        pictures = [
            crop for crops in zip(*(crops for crops, _ in shown), strict=True) for crop in crops
        ]
        captions = [
            text for texts in zip(*(texts for _, texts in shown), strict=True) for text in texts
        ]
        place = path.with_name(f"{path.stem}-{number}{path.suffix}") if len(pages) > 1 else path
        written[place] = samples.title(first, last)
        starts = range(0, len(pictures), width)
        sheet.draw_sheet(
            [pictures[i : i + width] for i in starts],
            [captions[i : i + width] for i in starts],
            place,
            group=group,
            title=written[place],
        )
    return written
