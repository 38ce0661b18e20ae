"""Whether data are those that the params ask for.

`dvc repro` makes what the params no longer describe anew; a stage that is run by hand, or with
other params, finds it as it was left and must not take it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.params import Params, Part

Changes = dict[str, tuple[Any, Any]]
"""Key of the params -> (the value that the data were made with, the value now)."""


def source_changes(
    provenance: Mapping[str, Any], counts: Mapping[str, int], settings: Params
) -> Changes:
    """What the params say of the source, where the data were made otherwise.

    `provenance` is what a source says of itself, `counts` the images of each split. Facts that
    the data do not hold (CelebA in a folder has no seed) are not compared.
    """
    name = settings.data.source
    made: Mapping[str, Any] = {}
    if provenance["source"] != name:
        return {"data.source": (provenance["source"], name)}
    if name == "synthetic":
        made = {
            **counts,
            "seed": provenance.get("seed"),
            "unknown": provenance.get("unknown", 0.0),
        }
        drawn = settings.sources.synthetic.attributes
        if set(drawn or ()) != set(provenance.get("drawn", ())):
            return {
                "sources.synthetic.attributes": (provenance.get("drawn", "all"), drawn or "all")
            }
    elif name == "table":
        made = provenance.get("params", {})
    elif name == "union":
        then, now = provenance.get("parts", {}), settings.sources.union.parts
        parts = {part: said.get("source") for part, said in then.items()}
        wanted_parts = {part: _source_of(section) for part, section in now.items()}
        if parts != wanted_parts:
            return {"sources.union.parts": (parts, wanted_parts)}
    elif name == "hub":
        made = {"repo": provenance.get("repo")}
        if re.fullmatch("[0-9a-f]{40}", settings.sources.hub.revision):  # a branch moves
            made = {**made, "revision": provenance.get("revision")}
    wanted = getattr(settings.sources, name).model_dump()
    return {
        f"sources.{name}.{key}": (value, wanted[key])
        for key, value in made.items()
        if value is not None and value != wanted[key]
    }


def _source_of(part: Part) -> str:
    return next(name for name, section in part if section is not None)


def refuse(folder: Path, changes: Changes, commands: str) -> None:
    """Raise PipelineError if there are changes; `commands` make the data anew."""
    if changes:
        told = ", ".join(f"{key} was {then} and is {now}" for key, (then, now) in changes.items())
        raise PipelineError(
            f"{folder} was made with other params ({told}); run {commands} with these params first."
        )
