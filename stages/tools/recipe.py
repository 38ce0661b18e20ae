"""Command `recipe`: put one of the recipes in place of params.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS

RECIPES = Path("recipes")


def recipe(
    name: Annotated[str, typer.Argument(help="A file of recipes/, without .yaml.")],
) -> None:
    """Put recipes/NAME.yaml in place of params.yaml and print what changed."""
    from pipeline.errors import PipelineError, printable
    from pipeline.files import new_file
    from pipeline.params import changes, load_params

    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        known = known or "none here; run from the project's folder"
        raise PipelineError(f"There is no recipe {name!r}; the recipes are: {known}.")
    load_params(path)
    changed = changes(PARAMS, path)
    with new_file(PARAMS) as partial:
        partial.write_bytes(path.read_bytes())
    for key, (before, after) in changed.items():
        print(printable(f"{key}: {before} -> {after}"))
    print(f"{PARAMS} is now {path}; {len(changed)} values changed")
