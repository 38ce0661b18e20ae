"""The file in which an unfinished training run keeps its state, so that a killed one can go on.

DVC removes the outputs of a stage before it runs, so checkpoints lie in the user's cache folder,
under a fingerprint of all that decides the result: settings, shards and code. They are
safetensors, replaced whole, and removed once the results are written. Only one run can hold them.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from pipeline.files import cache_folder, new_file
from pipeline.imports import ROOT, closure


class Snapshot(NamedTuple):
    """The whole state of a run at one step."""

    tensors: dict[str, torch.Tensor]
    """By name."""

    facts: dict[str, Any]
    """What JSON can hold."""


def fingerprint(*what: Any) -> str:
    """sha256 of JSON-like values, of the code of training and of torch's version."""
    digest = hashlib.sha256(json.dumps([*what, torch.__version__], sort_keys=True).encode())
    for path in sorted(closure("pipeline.training.loop")):
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()


def scratch_folder(name: str) -> Path:
    """The folder of a run's checkpoints; `name` is its fingerprint."""
    return cache_folder("training") / name[:32]


class Checkpoints:
    """The last snapshot of one run; while open, no other process can use its folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.safetensors"
        self._lock = FileLock(folder / "lock")

    def __enter__(self) -> "Checkpoints":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise PipelineError(
                f"Another process trains with the same settings and holds {self.path.parent};"
                " wait for it, or end it."
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def save(self, snapshot: Snapshot) -> bool:
        """Replace the snapshot; where that fails, warn, keep the old one and return False."""
        tensors = {n: t.detach().cpu().contiguous() for n, t in snapshot.tensors.items()}
        try:
            with new_file(self.path) as partial:
                save_file(tensors, partial, {"facts": json.dumps(snapshot.facts)})
        except (OSError, SafetensorError) as error:
            print(
                f"warning: no checkpoint could be written to {self.path.parent} ({error});"
                " training goes on, the checkpoint before stays.",
                file=sys.stderr,
            )
            return False
        return True

    def load(self) -> Snapshot | None:
        """The snapshot, or None where there is none that can be read."""
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                names = file.keys()
                return Snapshot({name: file.get_tensor(name) for name in names}, facts)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            print(f"warning: {self.path} is damaged ({error}); starting anew.", file=sys.stderr)
            return None

    def remove(self) -> None:
        """Forget the run."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
