"""`source.json` beside raw parquet: where the images come from, and what was written."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from pipeline.attributes import AttributeName
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

    attributes: list[AttributeName]
    """The labels of the source, in its order."""

    extra: list[Literal["origin", "size"]] = Field(default=[])
    """Columns that only some sources have."""

    pictures: Literal["portraits", "any"] = "portraits"
    """Aligned portraits of 178 x 218 px, or pictures of any size and format."""

    counts: dict[Split, Count]
    images: Count
    """Rows that have an image."""

    files: dict[RawName, RawFile]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "provenance" in content:
            return content
        own = [name for name in cls.model_fields if name != "provenance"]
        written = {name: content[name] for name in own if name in content}
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
        own = self.model_dump(exclude={"provenance"}, exclude_defaults=True)
        return {**self.provenance, **own}


def read_source(folder: Path) -> RawIndex:
    """The content of `source.json`. Raises PipelineError where it is missing or damaged."""
    return read_record(RawIndex, folder / "source.json", "download")


def require_source(folder: Path, settings: Params) -> None:
    """Raise PipelineError where there are no raw files in `folder`, or not those of the params."""
    source = read_source(folder)
    changes = source_changes(source.provenance, source.counts, settings)
    refuse(folder, changes, "`pipeline download`")
