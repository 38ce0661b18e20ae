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
    if provenance["source"] != name:
        return {"data.source": (provenance["source"], name)}
    place = f"sources.{name}"
    if name != "union":
        section = getattr(settings.sources, name).model_dump()
        return _section_changes(place, {**provenance, "counts": counts}, section)
    then, now = _object(provenance.get("parts")), settings.sources.union.parts
    parts = {part: _object(said).get("source") for part, said in then.items()}
    wanted_parts = {part: _source_of(section) for part, section in now.items()}
    if parts != wanted_parts:
        return {f"{place}.parts": (parts, wanted_parts)}
    changes: Changes = {}
    for part, kind in wanted_parts.items():
        section = getattr(now[part], kind).model_dump()
        changes |= _section_changes(f"{place}.parts.{part}.{kind}", then[part], section)
    return changes


def _section_changes(place: str, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> Changes:
    """Of one source: the params at `place` that differ from what it said of itself then.

    `made` has the counts of its splits too, where they are known: not of a part of a union.
    """
    was: dict[str, Any] = {}
    match made["source"]:
        case "synthetic":
            was = {**made.get("counts", {}), **({"seed": made["seed"]} if "seed" in made else {})}
            was |= {"attributes": made.get("drawn"), "unknown": made.get("unknown", 0.0)}
        case "table":
            was = dict(_object(made.get("params")))
        case "hub":
            facts = ["repo"]
            if re.fullmatch("[0-9a-f]{40}", wanted["revision"]):  # a branch moves
                facts.append("revision")
            was = {key: made[key] for key in facts if key in made}
    return {
        f"{place}.{key}": (value, wanted[key])
        for key, value in was.items()
        if key in wanted and _sorted(key, value) != _sorted(key, wanted[key])
    }


def _sorted(key: str, value: Any) -> Any:
    """A value to compare: the attributes that are drawn mean the same in any order."""
    return sorted(value, key=str) if key == "attributes" and isinstance(value, list) else value


def _object(value: Any) -> Mapping[str, Any]:
    """What a file should hold as an object; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def _source_of(part: Part) -> str:
    return next(name for name, section in part if section is not None)


def refuse(folder: Path, changes: Changes, commands: str) -> None:
    """Raise PipelineError if there are changes; `commands` make the data anew."""
    if changes:
        told = ", ".join(f"{key} was {then} and is {now}" for key, (then, now) in changes.items())
        raise PipelineError(
            f"{folder} was made with other params ({told}); run {commands} with these params first."
        )
