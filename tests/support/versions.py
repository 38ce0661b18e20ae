"""A project in a repository of git and DVC whose data have several versions, tiny and real.

Nothing of the pipeline runs: a stage of the same name and paths lets DVC keep the shards.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.arrow import text_column
from pipeline.files import write_json
from pipeline.report.kept_shards import Kept
from pipeline.report.versions import FACTS, State, Version
from tests.support.project import write_params

SHARDS = "data/{}/shards"
STAGE = "stages:\n  shard:\n    cmd: python -m stages shard\n    outs: [data/{}/shards]\n"
HEADER = "key,attribute,was,is,why\n"

Rows = dict[str, dict]
"""Key -> the row of the index."""


class Project:
    """A folder with git and DVC, and one source at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> str:
        """A command in the folder; its output."""
        state = self.folder.parent / "dvc-state"
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_NO_ANALYTICS": "1",
            **{f"DVC_{n}_DIR": str(state / n) for n in
               ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")},
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def dvc(self, *arguments: str) -> str:
        """DVC in the folder."""
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def git(self, *arguments: str) -> str:
        """Git in the folder."""
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return self.run("git", *who, *arguments)

    def start(self) -> None:
        """An empty repository."""
        self.git("init", "-q", "-b", "main")
        self.dvc("init", "-q")
        (self.folder / "data").mkdir()
        (self.folder / "data/.gitignore").write_text("*\n!.gitignore\n")

    def use(self, shards: Path, source: str = "synthetic", corrections: str = "") -> None:
        """Put the shards of a source in place, its params and its corrections (rows of CSV)."""
        place = self.folder / SHARDS.format(source)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(shards, place)
        write_params(self.folder / "params.yaml", **{"source: synthetic": f"source: {source}"})
        (self.folder / "dvc.yaml").write_text(STAGE.format(source))
        self.correct(corrections, source)

    def correct(self, rows: str, source: str = "synthetic") -> None:
        """Write the corrections of a source."""
        path = self.folder / f"corrections/{source}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + rows)

    def keep(self, tag: str) -> None:
        """Let DVC keep the data, and commit under a tag."""
        self.dvc("commit", "-q", "-f")
        self.commit(tag)

    def commit(self, tag: str) -> None:
        """Commit all that git takes, under a tag."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", tag)
        self.git("tag", tag)

    def listing(self, tag: str) -> dict[str, Path]:
        """Name -> where DVC's cache keeps it, of the shards at a tag."""
        lock = self.git("show", f"{tag}:dvc.lock")
        [md5] = {line.split()[1] for line in lock.splitlines() if line.strip().startswith("md5:")}
        cache = self.folder / ".dvc/cache/files/md5"
        entries = json.loads((cache / md5[:2] / md5[2:]).read_text())
        places = {e["relpath"]: cache / e["md5"][:2] / e["md5"][2:] for e in entries}
        return {**places, "": cache / md5[:2] / md5[2:]}


def rows_of_index(shards: Path) -> Rows:
    """The rows of index.parquet."""
    return {row["key"]: row for row in pq.read_table(shards / "index.parquet").to_pylist()}


def change_index(
    shards: Path,
    folder: Path,
    change: Callable[[Rows], None],
    facts: Mapping[str, object] | None = None,
) -> Path:
    """A copy of shards whose index was changed; the tars stay. `facts` go into index.json."""
    shutil.copytree(shards, folder)
    schema = pq.read_schema(shards / "index.parquet")
    rows = rows_of_index(shards)
    change(rows)
    index = json.loads((shards / "index.json").read_text())
    labels = [name for name in schema.names if schema.field(name).type == pa.bool_()]
    there = next(iter(rows.values()))
    fields = [schema.field(name) for name in schema.names if name in there]
    fields += [pa.field(name, pa.bool_()) for name in there if name not in schema.names]
    index["attributes"] = [n for n in labels if n in there]
    index["attributes"] += [name for name in there if name not in schema.names]
    every = {shard["name"]: shard for listed in index["shards"].values() for shard in listed}
    # A tar is listed under one split: a sample that is moved takes its tar's name along.
    for split in dict.fromkeys([*index["shards"], *(row["split"] for row in rows.values())]):
        kept = [row for row in rows.values() if row["split"] == split]
        names = sorted({row["shard"] for row in kept})
        counts = {name: sum(row["shard"] == name for row in kept) for name in names}
        index["shards"][split] = [{**every[n], "samples": counts[n]} for n in names]
        index["counts"][split] = len(kept)
    pq.write_table(pa.Table.from_pylist([*rows.values()], pa.schema(fields)),
                   folder / "index.parquet")  # fmt: skip
    write_json(folder / "index.json", {**index, **(facts or {})})
    return folder


def version(
    keys: Sequence[str],
    values: np.ndarray,
    labels: Sequence[str],
    known: np.ndarray | None = None,
    **columns: Sequence[int],
) -> Version:
    """A version of these samples, none corrected; `values` and `known` are bool [N, A].

    `columns`: split (places in SPLITS), celeb_id, crc32, length; by default all alike.
    """
    count = len(keys)

    def column(name: str, value: int, kind: type[np.generic]) -> np.ndarray:
        return np.array(columns.get(name, [value] * count), kind)

    state = State(column("split", 0, np.int8), np.asarray(values), known)
    return Version(
        name="one", source="test", data=None, facts=dict.fromkeys(FACTS), where=None,
        corrections=0, labels=tuple(labels), keys=text_column(keys),
        shard=np.zeros(count, np.int32), shards=("train-000000.tar",),
        offset=np.zeros(count, np.int64), length=column("length", 500, np.int64),
        crc32=column("crc32", 7, np.uint32), celeb_id=column("celeb_id", 1, np.int64),
        official=state, corrected=state, kept=Kept(Path("nowhere")),
    )  # fmt: skip
