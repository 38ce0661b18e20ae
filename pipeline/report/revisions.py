"""Revisions of the project side by side: the params in which they differ, and their metrics.

A revision is a commit, branch or tag, the name of a DVC experiment (a commit that DVC keeps below
`refs/exps`), or `workspace`: the files as they are now. Everything else is read from git.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML, YAMLError

from pipeline.errors import PipelineError
from pipeline.params import flatten
from pipeline.tables import Row

WORKSPACE: Final = "workspace"
PARAMS: Final = "params.yaml"
METRICS: Final = "data/evaluation/metrics.json"
EXPORT: Final = "data/export/metrics.json"


def revision_rows(revisions: Sequence[str], folder: Path) -> list[Row]:
    """One row per revision: `revision`, the params in which they differ, the metrics, the sizes.

    `folder` is the project's, in a git repository. What a revision does not have is None. Raises
    PipelineError where git does not know a revision, nothing was evaluated there, or a file is
    damaged.
    """
    read = [_read(revision, folder) for revision in revisions]
    params = {key: [row.get(key) for row, _ in read] for row, _ in read for key in row}
    differing = [key for key, values in params.items() if any(v != values[0] for v in values)]
    measured = list(dict.fromkeys(key for _, metrics in read for key in metrics))
    return [
        {
            "revision": revision,
            **{key: settings.get(key) for key in differing},
            **{key: metrics.get(key) for key in measured},
        }
        for revision, (settings, metrics) in zip(revisions, read, strict=True)
    ]


def find_commit(revision: str, folder: Path) -> str:
    """The commit, 40 hex digits, that a revision or an experiment's name stands for."""
    commit = git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit:
        return commit.strip()
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
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, encoding="utf-8"
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _read(revision: str, folder: Path) -> tuple[Row, Row]:
    """Params, and metrics with sizes, of a revision; both flat."""
    commit = None if revision == WORKSPACE else find_commit(revision, folder)

    def text(path: str) -> str | None:
        if commit:
            return git(folder, "show", f"{commit}:./{path}")
        return (folder / path).read_text("utf-8") if (folder / path).is_file() else None

    try:
        params = flatten(YAML(typ="safe", pure=True).load(text(PARAMS) or "{}"))
        metrics = flatten(json.loads(text(METRICS) or "{}"))
        export = flatten(json.loads(text(EXPORT) or "{}"))
    except (YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{revision} has a damaged params or metrics file: {reason}."
        ) from error
    if not metrics:
        raise PipelineError(f"{revision} holds no {METRICS}; nothing was evaluated there.")
    sizes = {k: v for k, v in export.items() if k == "parameters" or k.endswith("bytes")}
    return params, metrics | sizes
