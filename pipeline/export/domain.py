"""What a network knows: the pictures it was trained on, and which attributes it hardly finds."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field, JsonValue, ValidationError

from pipeline.errors import PipelineError, one_line
from pipeline.reading import parse_json, read_plain
from pipeline.records import Record

Rates = tuple[float | None, ...]
"""A share of each attribute, in model order; None: not known."""

CELEBA_FRAME: Final = ("synthetic", "folder", "hub")
"""Sources whose pictures are portraits in CelebA's frame."""

FRAMES: Final = {
    "celeba": "portraits of 178 x 218 px aligned as CelebA's",
    "own": "the centre square of pictures as they came",
    "mixed": "some portraits aligned as CelebA's, some pictures as they came",
    "unknown": "not known",
}


class Domain(Record):
    """The pictures that a network was trained on."""

    source: str = Field(max_length=64)
    licence: str = Field(max_length=4000)
    drawn: bool
    """Whether all of them were drawn by this project, and show nobody."""

    frame: str = Field(max_length=200)
    """How the faces lie in them, in words."""

    def warning(self) -> str:
        """What people must know before they believe the network; empty where there is nothing."""
        if not self.drawn:
            return ""
        return (
            "this network was trained on drawings alone: what it names on a photograph of a person"
            " is a guess"
        )


UNKNOWN: Final = Domain(source="unknown", licence="unknown", drawn=False, frame=FRAMES["unknown"])
"""Of files that do not say."""


def domain_of(
    source: str | None, licence: str | None, provenance: Mapping[str, JsonValue] | None = None
) -> Domain:
    """The domain of what was trained on a source; `provenance` is that of its index.json."""
    parts = (provenance or {}).get("parts")
    said = (
        list(parts.values())
        if isinstance(parts, dict)
        else [{"source": source, **(provenance or {})}]
    )
    sources = [part.get("source") if isinstance(part, dict) else None for part in said]
    frames = {_frame(part) for part in said if isinstance(part, dict)}
    return Domain(
        source=(source or "unknown")[:64],
        licence=(licence or "unknown")[:4000],
        drawn=set(sources) == {"synthetic"},
        frame=FRAMES[frames.pop() if len(frames) == 1 else "mixed"],
    )


def _frame(provenance: Mapping[str, JsonValue]) -> str:
    source = provenance.get("source")
    if source in CELEBA_FRAME or provenance.get("aligned"):
        return "celeba"
    return "own" if source == "table" else "unknown"


def read_domain(metadata: Mapping[str, str]) -> Domain:
    """The domain that an exported file tells; UNKNOWN where it tells none, or damage."""
    try:
        text = metadata["domain"]
        return Domain.model_validate(parse_json(text) if len(text) < 20_000 else None)
    except (KeyError, ValueError, ValidationError):
        return UNKNOWN


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
        told = parse_json(text) if len(text) <= 256 << 10 else []
    except (KeyError, ValueError):
        return frozenset()
    return frozenset(told if isinstance(told, list) else ()) & frozenset(names)
