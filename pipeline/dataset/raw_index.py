"""`source.json` beside raw parquet: where the images come from, and what was written."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import JsonValue, StringConstraints, model_validator

from pipeline.dataset.wanted import refuse, source_changes
from pipeline.params import Params
from pipeline.records import Count, Record, Split, read_record

RawName = Annotated[str, StringConstraints(pattern=r"^[a-z]+-\d{5}-of-\d{5}\.parquet$")]


class RawFile(Record):
    """What source.json says of a raw file."""

    rows: Count
    bytes: Count
    sha256: str


class RawIndex(Record):
    """The content of `source.json`: what the source says of itself, then what was written."""

    provenance: dict[str, JsonValue]
    """`source`, `licence`, and whatever else a source has to say, at the file's top level."""

    counts: dict[Split, Count]
    images: Count
    """Rows that have an image."""

    files: dict[RawName, RawFile]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "provenance" in content:
            return content
        written = {name: content[name] for name in ("counts", "images", "files") if name in content}
        said = {name: value for name, value in content.items() if name not in written}
        for name in ("source", "licence"):
            if not isinstance(said.get(name), str):
                raise ValueError(f"it names no {name}")
        return {"provenance": said, **written}

    @property
    def source(self) -> str:
        return str(self.provenance["source"])

    @property
    def licence(self) -> str:
        return str(self.provenance["licence"])

    def content(self) -> dict[str, JsonValue]:
        """As it stands in the file."""
        return {**self.provenance, **self.model_dump(exclude={"provenance"})}


def read_source(folder: Path) -> RawIndex:
    """The content of `source.json`. Raises PipelineError where it is missing or damaged."""
    return read_record(RawIndex, folder / "source.json", "download")


def require_source(folder: Path, settings: Params) -> None:
    """Raise PipelineError where there are no raw files in `folder`, or not those of the params."""
    source = read_source(folder)
    changes = source_changes(source.provenance, source.counts, settings)
    refuse(folder, changes, "`pipeline download`")
