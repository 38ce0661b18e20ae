"""The JSON files beside the data as typed records, read strictly and within a bound."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.errors import PipelineError, one_line
from pipeline.reading import read_plain

Split = Annotated[str, StringConstraints(pattern=r"^[a-z]+$")]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """Every value of its own type; keys that are not named are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


Kind = TypeVar("Kind", bound=Record)


def load_record(kind: type[Kind], path: Path) -> Kind:
    """The record in a file. Raises FileNotFoundError, other OSErrors, and ValueError.

    PipelineError for a pipe and for a file that is too large.
    """
    return kind.model_validate_json(read_plain(path))


def read_record(kind: type[Kind], path: Path, command: str) -> Kind:
    """The record in a file that `pipeline COMMAND` writes.

    Raises PipelineError where it is missing or damaged.
    """
    try:
        return load_record(kind, path)
    except FileNotFoundError:
        raise PipelineError(
            f"{path.parent} holds no {path.name}; run `pipeline {command}` first."
        ) from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise PipelineError(
            f"{path} is damaged ({what_is_wrong(error)}); run `pipeline {command}` again."
        ) from error


def what_is_wrong(error: ValueError) -> str:
    """What `load_record` found, in one line: the first value at fault and where it stands."""
    if not isinstance(error, ValidationError):
        return one_line(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    return f"{place}: {reason}" if place else reason
