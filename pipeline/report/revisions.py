"""Revisions of the project side by side: data, the params in which they differ, and metrics.

A revision is a commit, branch or tag, the name of a DVC experiment (a commit that DVC keeps below
`refs/exps`), or `workspace`: the files as they are now. Everything else is read from git.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.dataset.corrections import LARGEST_FILE, Corrections, parse_corrections
from pipeline.errors import PipelineError, one_line
from pipeline.params import flatten
from pipeline.reading import LARGEST_TEXT, LARGEST_YAML, parse_json, parse_yaml, read_plain
from pipeline.tables import Row

WORKSPACE: Final = "workspace"
PARAMS: Final = "params.yaml"
_NOTHING_RUNS: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""Options of git: programs that the settings of a copied repository name stay alone."""

METRICS: Final = "data/evaluation/metrics.json"
EXPORT: Final = "data/export/metrics.json"
STATS: Final = "data/stats/stats.json"
LOCK: Final = "dvc.lock"
SHARDS: Final = "data/{}/shards"
"""Of a source; a directory that DVC keeps."""

CORRECTIONS: Final = "corrections/{}.csv"
"""Of a source; in git."""


@dataclass(frozen=True)
class Revision:
    """What a revision holds, flat: key -> value."""

    name: str
    data: str | None
    """Which data were judged, as `data_name` has it; None where that is not known."""

    params: Row
    images: Row
    """Of each split, before quarantine: `images.train` ..."""

    metrics: Row
    """Metrics and, of the exported files, sizes."""


def side_by_side(revisions: Sequence[Revision]) -> list[Row]:
    """A row each: `revision`, `data`, the images and params in which they differ, the metrics.

    What a revision does not have is None.
    """
    images = _differing([r.images for r in revisions])
    params = _differing([r.params for r in revisions])
    measured = dict.fromkeys(key for r in revisions for key in r.metrics)
    return [
        {
            "revision": r.name,
            "data": r.data,
            **{key: r.images.get(key) for key in images},
            **{key: r.params.get(key) for key in params},
            **{key: r.metrics.get(key) for key in measured},
        }
        for r in revisions
    ]


def read_revision(name: str, folder: Path) -> Revision:
    """A revision of the project in `folder`, which lies in a git repository.

    Raises PipelineError where git does not know the revision, nothing was evaluated there, or a
    file is damaged.
    """
    commit = None if name == WORKSPACE else find_commit(name, folder)

    def text(path: str) -> str:
        most = LARGEST_TEXT if path.endswith(".json") else LARGEST_YAML
        return read_file(folder, commit, path, most).decode()

    def content(path: str) -> Any:
        return (parse_json if path.endswith(".json") else parse_yaml)(text(path) or "{}")

    try:
        metrics, export = flatten(content(METRICS)), flatten(content(EXPORT))
        params, stats = flatten(content(PARAMS)), flatten(content(STATS))
        lock = content(LOCK)
    except (ValueError, OSError) as error:
        raise PipelineError(
            f"{name} has a damaged params, metrics or lock file: {one_line(error)}."
        ) from error
    if not metrics:
        raise PipelineError(f"{name} holds no {METRICS}; nothing was evaluated there.")
    sizes = {k: v for k, v in export.items() if k == "parameters" or k.endswith("bytes")}
    images = {key: count for key, count in stats.items() if key.startswith("images.")}
    data = _judged(lock, text(METRICS), name, folder, commit)
    return Revision(name, data, params, images, metrics | sizes)


def read_file(folder: Path, commit: str | None, path: str, most: int) -> bytes:
    """A file of the project at a commit, or (None) as it is now; empty where there is none.

    Raises ValueError for more than `most` bytes; of the workspace also as `read_plain` does.
    """
    if not commit:
        file = folder / path
        return read_plain(file, most) if file.is_file() else b""
    size = int(git(folder, "cat-file", "-s", f"{commit}:./{path}") or 0)
    if size > most:
        raise ValueError(f"{path} has {size:,} bytes")
    done = _run(folder, "cat-file", "blob", f"{commit}:./{path}") if size else None
    return done.stdout if done and done.returncode == 0 else b""


def read_corrections_of(folder: Path, name: str, commit: str | None, source: str) -> Corrections:
    """The corrections of a source at a revision; none where it has no file of them.

    Raises PipelineError where the file is damaged.
    """
    path = CORRECTIONS.format(source)
    place = Path(f"{name}:{path}" if commit else path)
    try:
        data = read_file(folder, commit, path, LARGEST_FILE)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{place} cannot be read ({one_line(error)}).") from error
    return parse_corrections(data, place) if data else Corrections(place)


def data_name(shards: str, corrections: Corrections) -> str:
    """What a version of the data is called: `1a2b3c4d`, corrected `1a2b3c4d+12:9f3e`.

    Eight digits of DVC's hash of the shards; then how many corrections change something, and four
    digits of what they change.
    """
    changes = len(corrections.changes())
    return shards[:8] + (f"+{changes:,}:{corrections.fingerprint()[:4]}" if changes else "")


def find_commit(revision: str, folder: Path) -> str:
    """The commit, 40 hex digits, that a revision or an experiment's name stands for."""
    commit = git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit:
        return commit.strip()
    if reason := why_no_git(folder):
        raise PipelineError(f"{revision} cannot be read, for {reason}.")
    listed = git(folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or ""
    refs = [line.split() for line in listed.splitlines()]
    # refs/exps/ab/cdef.../NAME: DVC files experiments under the commit that they started from
    found = [commit for commit, ref in refs if ref.split("/")[4:] == [revision]]
    if len(found) == 1:
        return found[0]
    raise PipelineError(
        f"{len(found)} experiments are called {revision!r}; name the one you mean by its commit."
        if found
        else f"Neither git nor DVC knows a revision {revision!r}; `dvc exp list -A` and"
        " `git branch -a` list what there is."
    )


def git(folder: Path, *arguments: str) -> str | None:
    """What git prints, run in `folder`; None where it fails, or there is no git."""
    done = _run(folder, *arguments)
    return done.stdout.decode() if done and done.returncode == 0 else None


def why_no_git(folder: Path) -> str | None:
    """Why git can say nothing of `folder`, a clause; None where it can.

    Besides folders outside a repository it refuses those of another owner, and says how to trust
    one.
    """
    done = _run(folder, "rev-parse", "--git-dir")
    if done is None:
        return "git is not installed"
    said = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("fatal: ")
    return f'git says "{said}"' if done.returncode else None


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """Git as it ended; None where there is no git."""
    try:
        return subprocess.run(
            ["git", "-C", folder, *_NOTHING_RUNS, *arguments],
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},  # so that what it says is known words
        )
    except FileNotFoundError:
        return None


def _judged(lock: Any, metrics: str, name: str, folder: Path, commit: str | None) -> str | None:
    """The data that were judged: the shards by dvc.lock, and the corrections of the revision.

    None where the lock speaks of other metrics, or of other corrections: then a stage was run by
    hand since, or the file was edited. Raises PipelineError where the corrections are damaged.
    """
    try:
        judged = lock["stages"]["evaluate"]
        sums = {part["path"]: part["md5"] for part in [*judged["deps"], *judged["outs"]]}
        [found] = [m for path in sums if (m := re.fullmatch("data/([^/]+)/shards", path))]
        shards, source = str(sums[found[0]]), found[1]
        if sums[METRICS] != hashlib.md5(metrics.encode()).hexdigest():
            return None
        path = CORRECTIONS.format(source)
        if path in sums:
            data = read_file(folder, commit, path, LARGEST_FILE)
            if sums[path] != hashlib.md5(data).hexdigest():
                return None
    except (KeyError, TypeError, ValueError):
        return None
    return data_name(shards, read_corrections_of(folder, name, commit, source))


def _differing(rows: Sequence[Row]) -> list[str]:
    """The keys that have not the same value in all rows."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if any(row.get(key) != rows[0].get(key) for row in rows)]
