"""Samples of a split to look at: who is on the contact sheet, and what stands under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.dataset.labels import Labels
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.report import sheet
from pipeline.shards.read import ShardReader
from pipeline.tables import readable

if TYPE_CHECKING:
    from pipeline.params import Augment

COLUMNS: Final = 6
"""Pictures in a row of the sheet; even, so that a pair stays in one row."""


@dataclass(frozen=True)
class Pictures:
    """Crops, uint8 RGB [N, S, S, 3], with a caption each."""

    crops: np.ndarray
    captions: list[str]


@dataclass(frozen=True)
class Samples(Pictures):
    """Samples that were drawn from those of a split that are as asked."""

    matching: str
    """How many there are to draw from, in words: `20 samples of test that are not Hat`."""


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
    then the attributes that hold. Raises PipelineError where the view has no such attribute or no
    sample is as asked.
    """
    order = view.attributes.names
    has, lacks = ([_column(name, order) for name in names] for names in (wanted, unwanted))
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
        captions = [_caption(reader.key(row), values[row], order) for row in rows.tolist()]
    matching = f"{len(fitting):,} samples of {split}{asked and ' that are '}{asked}"
    return Samples(crops, captions, matching)


def _in_order(labels: Labels, order: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and, where some are not, which are known; the columns as `order` has them."""
    columns = [labels.names.index(name) for name in order]
    known = None if labels.known is None else labels.known[:, columns]
    return labels.values[:, columns], known


def _column(name: str, order: Sequence[str]) -> int:
    """Where an attribute stands. Raises PipelineError with what comes close."""
    if name in order:
        return order.index(name)
    known = {attribute.lower(): attribute for attribute in order}
    close = [known[match] for match in get_close_matches(name.lower(), known, cutoff=0)]
    raise PipelineError(f"There is no attribute {name!r}; closest to it are {', '.join(close)}.")


def _caption(key: str, holds: np.ndarray, order: Sequence[str]) -> str:
    return f"{key}\n{', '.join(readable(order[i]) for i in np.flatnonzero(holds).tolist())}"


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


def draw_samples(samples: Pictures, path: Path, changed: Pictures | None = None) -> None:
    """Draw the samples as a sheet; where given, each stands beside what it was `changed` into."""
    sets = [samples, changed] if changed else [samples]
    pictures = [crop for pair in zip(*(s.crops for s in sets), strict=True) for crop in pair]
    captions = [text for pair in zip(*(s.captions for s in sets), strict=True) for text in pair]
    starts = range(0, len(pictures), COLUMNS)
    sheet.draw_sheet(
        [pictures[i : i + COLUMNS] for i in starts],
        [captions[i : i + COLUMNS] for i in starts],
        path,
        group=len(sets),
    )
