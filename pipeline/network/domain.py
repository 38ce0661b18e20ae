"""The pictures that a network was trained on: what it knows, and what it has to guess."""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, JsonValue, ValidationError

from pipeline.reading import parse_json
from pipeline.records import Record

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
