"""Which samples to look at by name: keys, lists, mistakes, suspects and twins."""

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.csv_file import IMAGE_COLUMNS, read_csv
from pipeline.errors import PipelineError, one_line
from pipeline.evaluation.mistakes import MISTAKE_COLUMNS
from pipeline.reading import read_plain
from pipeline.report.named import Asked, Named
from pipeline.suspects.file import count_suspects, read_top
from pipeline.tables import readable
from pipeline.vocabulary import SPLITS


def by_key(keys: Sequence[str], attributes: Sequence[str]) -> Asked:
    """The samples of some keys or file names, with these attributes in question."""
    named = [Named(key, tuple(attributes)) for key in keys]
    return Asked(named, "Samples", f"{len(keys):,} by key", "--key")


def by_list(path: Path, attributes: Sequence[str]) -> Asked:
    """The samples of a text file with a key or file name a line, or of a CSV with a header.

    Its columns `attribute` and `probability` say, where they are there, what is in question and
    what the network says; `attributes` then chooses rows. Raises PipelineError where it is none.
    """
    try:
        text = read_plain(path).decode("utf-8-sig")
        lines = text.splitlines()
        delimiter = max(",;\t", key=lines[0].count) if lines else ","
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except FileNotFoundError:
        raise PipelineError(f"There is no list {path}.") from None
    except (OSError, ValueError, csv.Error) as error:
        raise PipelineError(f"{path} cannot be read as a list ({one_line(error)}).") from error
    rows = [[cell.strip().removeprefix("'") for cell in row] for row in rows if any(row)]
    head = [cell.lower() for cell in rows[0]] if rows else []
    column = next((head.index(name) for name in IMAGE_COLUMNS if name in head), None)
    if column is None and any(len(row) > 1 for row in rows):
        raise PipelineError(
            f"{path} has several columns, and none that names the images; call it key or file."
        )
    header = ["key"] if column is None else head
    named = []
    for row in rows if column is None else rows[1:]:
        told = dict(zip(header, row, strict=False))
        about = (told["attribute"],) if told.get("attribute") else tuple(attributes)
        if "attribute" not in told or not attributes or about[0] in attributes:
            named.append(Named(row[column or 0], about, _probability(told, path)))
    of = f"{len(named):,} in {path.name}{_about(attributes)}"
    return Asked(named, "Samples", of, str(path))


def mistakes(path: Path, attributes: Sequence[str]) -> Asked:
    """The most confident mistakes of the last evaluation, of some attributes or of all."""
    rows = read_csv(path, MISTAKE_COLUMNS, "evaluate")
    named = [
        Named(row["key"], (row["attribute"],), _probability(row, path))
        for row in rows
        if not attributes or row["attribute"] in attributes
    ]
    return Asked(named, "Mistakes", f"{len(named):,}{_about(attributes)}", str(path))


def suspects(
    path: Path,
    count: int,
    split: str | None,
    attributes: Sequence[str],
    decided: Collection[tuple[str, str]] = (),
) -> Asked:
    """The labels that are likeliest to be wrong, of a split and some attributes or of all.

    Those that are `decided` since, each a key and an attribute, are passed over. Raises
    PipelineError where there is no such split.
    """
    if split and split not in SPLITS:
        raise PipelineError(f"There is no split {split!r}, but {', '.join(SPLITS)}.")
    splits = [split] if split else []
    named = [
        Named(found.key, (found.attribute,), found.suspicion, wrong=True)
        for found in read_top(path, count + len(decided), splits, attributes)
        if (found.key, found.attribute) not in decided
    ][:count]
    total = count_suspects(path, splits, attributes)
    of = f"{total:,}{f' of {split}' if split else ''}{_about(attributes)}"
    return Asked(named, "Suspects", of, str(path))


def twins(path: Path, looked_for: bool) -> Asked:
    """The pairs of equal and near pictures; `looked_for`: whether stats.duplicates is true.

    Raises PipelineError where there is none.
    """
    rows = read_csv(path, ("kind", "distance", "image", "other_image"), "stats")
    if not rows:
        raise PipelineError(
            f"{path} lists no pair: no two pictures are alike."
            if looked_for
            else f"{path} is empty, for stats.duplicates is false; set it to true and run `pipeline"
            " stats` first."
        )
    named = []
    for row in rows:
        note = "equal" if row["kind"] == "exact" else f"{row['distance']} bits apart"
        named += [Named(row[column], note=note) for column in ("image", "other_image")]
    return Asked(named, "Twins", f"{len(rows):,} pairs", str(path), pairs=True)


def _about(attributes: Sequence[str]) -> str:
    return f": {', '.join(map(readable, attributes))}" if attributes else ""


def _probability(row: dict[str, str], path: Path) -> float | None:
    """What the network says in a row. Raises PipelineError where it is no probability."""
    text = row.get("probability", "")
    try:
        value = float(text) if text else None
        if value is not None and not 0 <= value <= 1:
            raise ValueError
    except ValueError:
        raise PipelineError(f"{path} has the probability {text[:60]!r}, which is none.") from None
    return value
