"""Command `samples`: a contact sheet of crops with their attributes."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.attributes import CELEBA_ORDER
from pipeline.errors import PipelineError
from stages.layout import PARAMS, ParamsFile, shard_folder

if TYPE_CHECKING:
    import numpy as np

    from pipeline.params import Augment

COLUMNS = 6
"""Pictures in a row of the sheet; even, so that no pair is torn."""


def samples(
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only samples with it; may be given repeatedly."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="NAME", help="Only samples without it; likewise."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    count: Annotated[int, typer.Option(min=1, max=1000, help="Samples at most.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Which of them.")] = 0,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Each crop before and after augmentation.")
    ] = False,
    out: Annotated[Path, typer.Option(help="A .png or .jpg file.")] = Path("samples.png"),
    params: ParamsFile = PARAMS,
) -> None:
    """Draw crops with their attributes. Reads data/SOURCE/shards, writes samples.png.

    With --augmented each crop stands beside what training may make of it under `augment` of
    the params. The same seed draws the same sheet.
    """
    import numpy as np

    from pipeline.params import load_params
    from pipeline.report import plots
    from pipeline.shards.read import ShardReader
    from pipeline.tables import readable

    settings = load_params(params)
    wanted, unwanted = ([_column(name) for name in names or []] for names in (attribute, without))
    asked = " and ".join([*(attribute or []), *(f"not {name}" for name in without or [])])
    rng = np.random.default_rng(seed)
    with ShardReader(shard_folder(settings.data.source), split) as reader:
        fitting = reader.labels[:, wanted].all(axis=1) & ~reader.labels[:, unwanted].any(axis=1)
        if not fitting.any():
            raise PipelineError(f"No sample of the split {split} is {asked}; ask for less.")
        rows = np.sort(rng.permutation(np.flatnonzero(fitting))[:count])
        [crops] = [batch.images for batch in reader.batches([rows])]
        captions = []
        for row in rows:
            held = [readable(CELEBA_ORDER[i]) for i in np.flatnonzero(reader.labels[row])]
            captions.append(f"{reader.keys[row]}\n{', '.join(held)}")

    pictures = list(crops)
    if augmented:
        after, changes = _augment(crops, settings.augment, rng)
        pictures = [picture for pair in zip(crops, after, strict=True) for picture in pair]
        captions = [text for pair in zip(captions, changes, strict=True) for text in pair]
    plots.draw_sheet(
        [pictures[i : i + COLUMNS] for i in range(0, len(pictures), COLUMNS)],
        [captions[i : i + COLUMNS] for i in range(0, len(captions), COLUMNS)],
        out,
        group=2 if augmented else 1,
    )
    matching = f"{int(fitting.sum()):,} samples of {split}{asked and ' that are '}{asked}"
    print(f"{out}: {len(rows):,} of the {matching}")


def _column(name: str) -> int:
    """Where an attribute stands in CelebA order. Raises PipelineError with what comes close."""
    if name in CELEBA_ORDER:
        return CELEBA_ORDER.index(name)
    known = {attribute.lower(): attribute for attribute in CELEBA_ORDER}
    close = [known[match] for match in get_close_matches(name.lower(), known, cutoff=0)]
    raise PipelineError(f"There is no attribute {name!r}; closest to it are {', '.join(close)}.")


def _augment(
    crops: "np.ndarray", settings: "Augment", rng: "np.random.Generator"
) -> tuple["np.ndarray", list[str]]:
    """Crops, uint8 [N, S, S, 3], as training may see them, and what was done to each."""
    import torch

    from pipeline.network.model import to_float
    from pipeline.training.augment import augment, draw

    drawn = draw(settings, len(crops), rng)
    after = augment(to_float(torch.from_numpy(crops)), drawn).mul(255).round().byte()
    side, changes = crops.shape[1], []
    for i, (bright, contrast, saturation, hue) in enumerate(drawn.factors):
        text = ["augmented", f"brightness {bright:.2f}", f"contrast {contrast:.2f}"]
        text += [f"saturation {saturation:.2f}", f"hue {hue:+.3f}"]
        text += ["mirrored"] * int(drawn.flip[i])
        if drawn.warped:
            zoom, degrees, right, down = drawn.place[i]
            text += [f"zoom {zoom:.2f}, turn {degrees:+.0f}\N{DEGREE SIGN}"]
            text += [f"shift {right * side:+.0f}, {down * side:+.0f} px"]
        text += [f"blur {drawn.blur[i]:.1f} px"] * bool(drawn.radius)
        changes.append("\n".join(text))
    return after.permute(0, 2, 3, 1).numpy(), changes
