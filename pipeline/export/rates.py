"""How well a network finds each attribute, as exported files tell it and apps heed it."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.errors import PipelineError, one_line
from pipeline.reading import parse_json, read_plain

LARGEST_METADATA: Final = 256 << 10
"""Characters of a list in a file's metadata; the regions of the largest set have 106,000."""

Rates = tuple[float | None, ...]
"""A share of each attribute, in model order; None: not known."""


def read_rates(evaluation: Path, names: Sequence[str]) -> tuple[Rates, Rates]:
    """Accuracy and recall of each attribute, in the order of `names`, as apps decide.

    At the thresholds chosen on valid, or the fixed one where there are none; None: not known.
    Raises PipelineError where the tables of `pipeline evaluate` are missing or damaged.
    """
    path = evaluation / "attributes.csv"
    try:
        text = read_plain(path).decode()
        rows = {row["attribute"]: row for row in csv.DictReader(io.StringIO(text))}
        accuracy = tuple(_rate(rows[name], "accuracy") for name in names)
        return accuracy, tuple(_rate(rows[name], "recall") for name in names)
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline evaluate` first.") from None
    except (LookupError, TypeError, ValueError, OSError, csv.Error) as error:
        raise PipelineError(
            f"{path} is damaged ({one_line(error)}); run `pipeline evaluate`."
        ) from error


def _rate(row: Mapping[str, Any], metric: str) -> float | None:
    text = row[f"{metric}_chosen"] or row[metric]
    return float(text) if text else None


def missed(names: Sequence[str], recall: Sequence[float | None], least: float) -> list[str]:
    """The attributes that are found so rarely, where they hold, that apps do not show them.

    Without `recall` none is known to be.
    """
    known = zip(names, recall, strict=True) if recall else ()
    return [name for name, rate in known if rate is not None and rate < least]


def read_missed(metadata: Mapping[str, str], names: Sequence[str]) -> frozenset[str]:
    """The attributes that an exported file says it misses; none where it says nothing."""
    try:
        text = metadata["missed"]
        told = parse_json(text) if len(text) <= LARGEST_METADATA else []
    except (KeyError, ValueError):
        return frozenset()
    return frozenset(told if isinstance(told, list) else ()) & frozenset(names)
