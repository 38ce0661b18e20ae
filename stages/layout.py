"""Where the stages keep what they write (the same paths stand in dvc.yaml), and their option."""

from pathlib import Path
from typing import Annotated

import typer

ParamsFile = Annotated[
    Path, typer.Option("--params", metavar="FILE", help="The params to read.", show_default=True)
]
PARAMS = Path("params.yaml")

STATS = Path("data/stats")
MODEL = Path("data/model")
EVALUATION = Path("data/evaluation")
EXPORT = Path("data/export")
PHOTOGRAPHS = Path("data/photographs")
SUSPECTS = Path("data/suspects")


def raw_folder(source: str) -> Path:
    """Raw parquet of a source."""
    return Path("data") / source / "raw"


def shard_folder(source: str) -> Path:
    """Shards of a source."""
    return Path("data") / source / "shards"


def corrections_file(source: str) -> Path:
    """What is to be read in place of what a source says; in git."""
    return Path("corrections") / f"{source}.csv"
