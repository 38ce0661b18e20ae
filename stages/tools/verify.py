"""Command `verify`: raw files and shards against their indexes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stages.layout import PARAMS, ParamsFile, raw_folder, shard_folder


def verify(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A shard folder, a raw folder or one that holds raw/ or shards/;"
            " by default those of the params' source.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at existence, sizes and counts only.")
    ] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Find every fault of raw files and shards. Reads data/SOURCE/raw and data/SOURCE/shards.

    Writes nothing. Each fault is a line with the file and the sample's key; the exit code is
    then 1.
    """
    from pipeline.errors import PipelineError
    from pipeline.params import load_params
    from pipeline.verification.verify import verify as verify_folders

    if path is None:
        source = load_params(params).data.source
        raw, shards = (
            folder if folder.is_dir() else None
            for folder in (raw_folder(source), shard_folder(source))
        )
        path = raw_folder(source).parent
    else:
        raw, shards = _find(path)
    if raw is None and shards is None:
        if any(path.glob("**/*.tar")):
            raise PipelineError(
                f"{path} holds tars without index.json, which they would be verified against;"
                " `pipeline train` looks through such tars itself."
            )
        raise PipelineError(
            f"{path} holds neither raw files nor shards; run `pipeline download` and"
            " `pipeline shard` first."
        )
    found = verify_folders(raw, shards, quick)
    for fault in found.faults:
        print(fault)
    if found.ignored:
        print(f"ignored: {found.ignored:,} files of the system, as .DS_Store is", file=sys.stderr)
    if found.faults:
        plural = "s" if len(found.faults) > 1 else ""
        raise PipelineError(
            f"{path} has {len(found.faults):,} fault{plural}; `pipeline download` makes raw files"
            " anew, `pipeline shard` shards."
        )
    print(
        f"{path}: {found.rows:,} images in {found.raw_files:,} raw files and {found.samples:,}"
        f" crops in {found.shards:,} shards are as their indexes say"
        f"{' (sizes and counts)' if quick else ''}"
    )


def _find(path: Path) -> tuple[Path | None, Path | None]:
    """The raw folder and the shard folder that a path means."""
    if (path / "index.json").exists():
        return None, path
    if (path / "source.json").exists():
        return path, None
    raw, shards = (path / name if (path / name).is_dir() else None for name in ("raw", "shards"))
    return raw, shards
