"""Where the shards of a revision lie on this disk: the folder itself, or DVC's cache.

A revision's dvc.lock names a list of files, the list their hashes, and the cache holds each file
under its hash. So the index of any revision can be read without its pictures. What the cache lacks
DVC fetches from the project's remote: the two files of the index and nothing else, kept in this
user's cache under the hash of the list.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.errors import PipelineError, one_line
from pipeline.files import cache_folder, new_directory
from pipeline.reading import LARGEST_TEXT, check_plain, parse_json, read_plain
from pipeline.report.revisions import LOCK

INDEX: Final = ("index.json", "index.parquet")
"""What tells of every sample."""

_HASH: Final = re.compile(r"[0-9a-f]{32}")
_PROJECT: Final = Path(".dvc/cache")
"""Where DVC's cache is unless its settings say otherwise, which costs a second to ask."""


@dataclass(frozen=True)
class Kept:
    """Shards as far as they lie on this disk."""

    index: Path
    """A folder that holds the two files of INDEX."""

    tars: Mapping[str, Path] = field(default_factory=dict)
    """Name -> the file, of those whose place is known; it may be missing there."""

    def tar(self, name: str) -> Path | None:
        """The file of a shard; None where it is not on this disk."""
        path = self.tars.get(name)
        return path if path is not None and path.is_file() else None


def locked_shards(lock: Any, shards: str, name: str) -> str:
    """DVC's hash of the folder `shards` in the content of a dvc.lock, 32 hex digits.

    Raises PipelineError where it has none: nothing was made there.
    """
    try:
        [md5] = [o["md5"] for o in lock["stages"]["shard"]["outs"] if o["path"] == shards]
        digits = str(md5).removesuffix(".dir")
        if _HASH.fullmatch(digits):
            return digits
    except (KeyError, TypeError, ValueError):
        pass
    raise PipelineError(
        f"{LOCK} at {name} tells of no {shards}: the pipeline had not run there with this source;"
        " name a revision at which it had."
    )


@contextmanager
def kept_shards(folder: Path, shards: str, md5: str, commit: str, name: str) -> Iterator[Kept]:
    """The shards of a commit of the project in `folder`, whose list has this hash.

    `index` of what it gives is there while the block lasts. `name` is the revision's, for
    messages. Raises PipelineError where neither cache nor remote has the index, or one is damaged.
    """
    files: dict[str, tuple[Path, str]] = {}
    for cache in _caches(folder):
        files = _listed(cache, md5)
        tars = {relative: place for relative, (place, _) in files.items()}
        parts = {part: files[part] for part in INDEX if part in files}
        if len(parts) == len(INDEX) and all(_is_sound(*part) for part in parts.values()):
            with tempfile.TemporaryDirectory() as temporary:
                for part, (place, _) in parts.items():
                    Path(temporary, part).symlink_to(place.resolve())
                yield Kept(Path(temporary), tars)
            return
    own = cache_folder("versions") / md5
    if not all((own / part).is_file() for part in INDEX):
        told = {relative: digits for relative, (_, digits) in files.items()}
        _fetch(folder, shards, commit, name, own, told)
    yield Kept(own, {relative: place for relative, (place, _) in files.items()})


def _caches(folder: Path) -> Iterator[Path]:
    """DVC's caches: the usual place, then, if that lacked something, what DVC says."""
    usual = folder / _PROJECT
    yield usual
    done = _dvc(folder, "cache", "dir")
    said = done.stdout.strip()
    if done.returncode == 0 and said and (folder / said).resolve() != usual.resolve():
        yield folder / said


def _place(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _listed(cache: Path, md5: str) -> dict[str, tuple[Path, str]]:
    """Name -> place in the cache and hash, of the files of a list; none where it is not there.

    Raises PipelineError where it is damaged, which DVC would not see.
    """
    path = _place(cache, f"{md5}.dir")
    try:
        data = read_plain(path, LARGEST_TEXT)
        if hashlib.md5(data).hexdigest() != md5:
            raise PipelineError(
                f"{path} in DVC's cache is damaged; delete it, and `dvc fetch` it or run again."
            )
        return {
            str(entry["relpath"]): (_place(cache, entry["md5"]), entry["md5"])
            for entry in parse_json(data)
            if _HASH.fullmatch(entry["md5"])
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_sound(place: Path, md5: str) -> bool:
    """Whether the file is there and is what its hash says."""
    try:
        check_plain(place)
        with place.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == md5
    except OSError:
        return False


def _fetch(
    folder: Path, shards: str, commit: str, name: str, place: Path, told: Mapping[str, str]
) -> None:
    """Let DVC bring the index of a commit into the folder `place`; `told`: hashes, if known."""
    lacking = f"The index of {shards} at {name} is not whole in DVC's cache"
    remote = _dvc(folder, "config", "core.remote").stdout.strip()  # of now, not of the commit
    if not remote:
        raise PipelineError(
            f"{lacking}, and the project names no default remote to ask; name the one that it was"
            " pushed to (`dvc remote add -d NAME URL`), or another revision."
        )
    print(f"{name}: DVC's cache lacks the index; asking the remote {remote}", file=sys.stderr)
    with new_directory(place) as partial:
        for part in INDEX:
            done = _dvc(
                folder, "get", ".", f"{shards}/{part}", "--rev", commit, "--remote", remote,
                "--out", str(partial / part),
            )  # fmt: skip
            if done.returncode or not (partial / part).is_file():
                said = [line for line in done.stderr.splitlines() if "ERROR" in line]
                reason = (said or [done.stderr])[-1].partition("ERROR: ")[2]
                raise PipelineError(
                    f"{lacking}, and the remote {remote} does not give it (DVC says:"
                    f" {one_line(ValueError(reason))}); run `dvc push` where it was made."
                )
            if part in told and not _is_sound(partial / part, told[part]):
                raise PipelineError(
                    f"{lacking}: it keeps {part} as {told[part]}, which is damaged; delete that"
                    " file of the cache, and run again."
                )


def _dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *arguments],  # -P: no module of the folder is run
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )
