"""Commands that are killed, held up or out of room in the middle of their work; what they leave.

A child is forked for each run from a server that has imported the libraries, so that a run takes
as long as its work. In the child every operation on a file of the project's folder is counted
before it happens: openings to write, renames, removals, new folders, fsync.
"""

import ctypes
import importlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from pipeline.dataset.raw import raw_files
from pipeline.faces.weights import ALL, read_weights
from pipeline.files import sha256_of
from tests.support.project import write_params

LIBRARIES = (
    "torch", "timm", "torchvision.transforms.v2", "onnxruntime", "onnxscript", "coremltools",
    "matplotlib.figure", "matplotlib.style", "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg", "jinja2", "huggingface_hub", "mlcroissant",
    "pipeline.training.loop", "pipeline.export.convert", "pipeline.report.card",
    "pipeline.report.page", "pipeline.report.samples", "pipeline.apps.predictor",
    "pipeline.evaluation.evaluate", "pipeline.sources.synthetic.source", "stages.__main__",
)  # fmt: skip

OPERATIONS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
"""Of Python's audit events those on files, of `open` to write alone; fsync has none."""

WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


SMALL = {
    "efficientformerv2_s0": "test_byobnet",  # timm's smallest
    "resamples: 1000": "resamples: 20",
}
"""Changes of the tiny params that save time."""


@dataclass(frozen=True)
class Command:
    """A command that writes."""

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    """Files that are replaced one by one, or a folder that is replaced as a whole."""

    differs: tuple[str, ...] = ()
    """Files in it that hold measured times."""

    parts: bool = False
    """Whether the folder is replaced file by file."""


COMMANDS = (
    Command("download", ("download",), ("data/synthetic/raw",)),
    Command("stats", ("stats",), ("data/stats",)),
    Command("shard", ("shard",), ("data/synthetic/shards",)),
    Command("train", ("train",), ("data/model",), ("speed.csv",)),
    Command("evaluate", ("evaluate",), ("data/evaluation",)),
    Command("export", ("export",), ("data/export",)),
    Command("card", ("card",), ("data/synthetic/croissant.json", "data/synthetic/README.md")),
    Command("publish", ("publish", "published"), ("published",)),
    Command("samples", ("samples", "--out", "sheet.jpg"), ("sheet.jpg",)),
    Command(
        "samples of foreign tars",
        ("samples", "--params", "foreign.yaml"),
        ("samples.png", "cache/face-attributes/indexes"),
        parts=True,
    ),
    Command("predict", ("predict", "--aligned", "photos", "--csv", "found.csv"), ("found.csv",)),
    Command("align", ("align", "photos", "portraits", "--engine", "threads"), ("portraits",)),
    Command("demo", ("demo", "--build", "site"), ("site",), parts=True),
    Command("report", ("report",), ("data/evaluation/report.html",)),
    Command("recipe", ("recipe", "tiny"), ("params.yaml",)),
)  # fmt: skip

Contents = dict[str, str | None]
"""File -> sha256; None for a folder."""


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    """Of the exit, or the negative number of a signal."""

    said: str
    """On both outputs."""

    operations: int

    @property
    def refused(self) -> bool:
        """With one sentence and nothing else on the side."""
        lines = self.said.splitlines()
        return self.code == 1 and sum(line.startswith("error: ") for line in lines) == 1

    def check_no_traceback(self) -> None:
        assert "Traceback" not in self.said and "Error:" not in self.said, self.said


class Run:
    """A command at work in a child. At operation `hold` it waits for `go_on`."""

    def __init__(self, command: Command, folder: Path, **faults: Any) -> None:
        context = _context()
        self._said, said = context.Pipe(duplex=False)
        self._line, line = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_child, args=(command.arguments, folder, said, line, faults)
        )
        self._process.start()
        said.close()
        line.close()

    def wait_until_held(self) -> bool:
        """Whether it holds; it may have ended before."""
        try:
            return self._line.recv() == "held"
        except EOFError:
            return False

    def go_on(self) -> None:
        """Let it."""
        self._line.send("go on")

    def end(self) -> Ended:
        """Wait for it, and for all that it has started: they hold its outputs."""
        text = b""
        while part := os.read(self._said.fileno(), 1 << 16):
            text += part
        self._process.join()
        count = 0
        try:
            while isinstance(found := self._line.recv(), int | str):
                count = found if isinstance(found, int) else count
        except (EOFError, ConnectionError):
            pass
        assert self._process.exitcode is not None
        return Ended(self._process.exitcode, text.decode(errors="replace"), count)


def run(command: Command, folder: Path, **faults: Any) -> Ended:
    """Run it to its end: `kill` it at an operation or `after` seconds, `limit` the bytes of a file,
    or let `data` be a `disk` of some bytes, whose content is copied to `left`."""
    return Run(command, folder, **faults).end()


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__ + "_preload"])
    return context


def preload() -> None:
    """What the server does before it forks."""
    logging.disable()  # coremltools tells what it lacks here
    for name in LIBRARIES:
        importlib.import_module(name)
    logging.disable(logging.NOTSET)


def _child(
    arguments: Sequence[str],
    folder: Path,
    said: Connection,
    line: Connection,
    faults: dict[str, Any],
) -> None:
    os.chdir(folder)
    os.environ |= {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
    }
    tempfile.tempdir = None
    if hasattr(os, "sched_setaffinity"):  # one core: units of work run one after the other here
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for number in (1, 2):
        os.dup2(said.fileno(), number)
    said.close()
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    if "disk" in faults:
        _mount_disk(folder, faults["disk"])
    if "limit" in faults:
        resource.setrlimit(resource.RLIMIT_FSIZE, (faults["limit"],) * 2)
    count = _count_operations(folder, line, faults.get("kill"), faults.get("hold"))
    if "after" in faults:
        kill = (os.getpid(), signal.SIGKILL)
        threading.Timer(faults["after"], os.kill, kill).start()
    sys.argv = ["pipeline", *arguments]
    try:
        importlib.import_module("stages.__main__").main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    if "disk" in faults:  # which nobody else sees
        shutil.copytree(folder / "data", folder / "left", symlinks=True)
    line.send(count())
    os._exit(code)


def _mount_disk(folder: Path, size: int) -> None:
    """Let `data` be a disk of some bytes, for this process alone, with links to what was there."""
    data, before = folder / "data", folder / "before"
    data.rename(before)
    data.mkdir()
    c = ctypes.CDLL(None, use_errno=True)
    own_mounts, own_users = 0x00020000, 0x10000000
    users = os.getuid(), os.getgid()
    if c.unshare(own_mounts | own_users):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"0 {users[0]} 1"), ("gid_map", f"0 {users[1]} 1"),
    ):  # fmt: skip
        Path("/proc/self", name).write_text(text)
    if c.mount(b"none", os.fsencode(data), b"tmpfs", 0, b"size=%d" % size):
        raise OSError(ctypes.get_errno(), "mount")
    for path in (*before.glob("*"), *before.glob("synthetic/*")):
        here = data / path.relative_to(before)
        if path.name == "synthetic":
            here.mkdir()
        else:
            here.symlink_to(path)


def can_mount() -> bool:
    """Whether this user may have disks of their own here."""
    done = shutil.which("unshare") and subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/tmp"], capture_output=True
    )
    return bool(done) and not done.returncode


def _count_operations(
    folder: Path, line: Connection, kill: int | None, hold: int | None
) -> Callable[[], int]:
    """Count the operations below the folder; kill this process, or hold it, before one of them."""
    done, root, main = 0, os.path.realpath(folder), threading.get_ident()

    def step() -> None:
        nonlocal done
        done += 1
        if done == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if done == hold and threading.get_ident() == main:
            line.send("held")
            line.recv()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or isinstance(arguments[0], int):
            return
        if event == "open" and not arguments[2] & WRITE:
            return
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(root):
            step()

    def fsync(handle: int) -> None:
        step()
        original(handle)

    original, os.fsync = os.fsync, fsync
    sys.addaudithook(hear)
    return lambda: done


class Project:
    """A folder in which every command has run once, made anew before each fault."""

    def __init__(self, place: Path) -> None:
        self.folder, self._whole = place / "work", place / "whole"
        self.ended: dict[str, Ended] = {}
        self.seconds: dict[str, float] = {}
        self.new: dict[str, Contents] = {}
        """Of a command: what it wrote."""

        self.folder.mkdir(parents=True)
        Run(COMMANDS[0], self.folder, kill=1).end()  # the server has started
        (self.folder / "tmp").mkdir()
        _write_inputs(self.folder)
        for command in COMMANDS:
            if command.name == "predict":
                _write_photos(self.folder)
            begun = time.perf_counter()
            ended = self.ended[command.name] = run(command, self.folder)
            self.seconds[command.name] = time.perf_counter() - begun
            assert ended.code == 0, (command.name, ended.said)
            self.new[command.name] = self.contents(command)
            if command.name == "shard":
                _write_foreign(self.folder)
        self.folder.rename(self._whole)

    def prepare(self, command: Command, old: bool = True) -> Contents:
        """The folder as it is before a command runs; returns the outputs, if there are `old` ones.

        They are the new ones with an empty line after their end.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._whole, self.folder, copy_function=os.link, symlinks=True)
        for output in command.outputs:
            for path in _files(self.folder / output):
                data = path.read_bytes()
                path.unlink()  # another name of the file in `whole`
                if old and "cache" not in output:
                    path.write_bytes(data + b"\n")
            if not old and (self.folder / output).is_dir():
                shutil.rmtree(self.folder / output)
        return self.contents(command)

    def contents(self, command: Command, data: str = "data") -> Contents:
        """What stands where the command writes; in another folder than `data`."""
        return {
            str(path.relative_to(self.folder)).replace(f"{data}/", "data/", 1): sha256_of(path)
            for output in command.outputs
            for path in _files(self.folder / output.replace("data/", f"{data}/", 1))
            if path.name not in command.differs and not path.name.startswith(".")
        }

    def check_old_or_new(self, command: Command, old: Contents) -> None:
        """Every file, or the folder as a whole, is the old one, the new one or not there."""
        found, new = self.contents(command), self.new[command.name]
        if len(command.outputs) == 1 and not command.parts:
            assert found in ({}, old, new), (command.name, sorted(found))
            return
        for name, content in found.items():
            assert content in (old.get(name), new.get(name)), (command.name, name)
        if command.name == "demo" and "site/index.html" in found:  # a site that opens is one site
            assert found in (old, new)

    def check_new(self, command: Command) -> None:
        """All is as after an undisturbed run, and nothing else is left."""
        assert self.contents(command) == self.new[command.name], command.name
        rests = self.rests()
        assert rests == [], command.name

    def rests(self) -> list[str]:
        """What is no output of anything: files and folders of writers, locks, temporary files."""
        # Not the file of four bytes by which Python finds out whether it can write to TMPDIR.
        found = [p for p in (self.folder / "tmp").iterdir() if p.is_dir() or p.stat().st_size > 4]
        found += self.folder.rglob(".*")
        found += (self.folder / "cache/face-attributes/training").glob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found)


def _files(path: Path) -> list[Path]:
    return sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def _write_inputs(folder: Path) -> None:
    """Params, a recipe, and in the cache what npm and pip would fetch."""
    from pipeline.apps.site import PAGE, RUNTIME

    write_params(folder / "params.yaml", **SMALL)
    (folder / "recipes").mkdir()
    shutil.copy(folder / "params.yaml", folder / "recipes/tiny.yaml")
    versions = json.loads((PAGE / "package.json").read_text())["dependencies"]
    runtime = folder / "cache/face-attributes/onnxruntime-web" / versions["onnxruntime-web"]
    runtime.mkdir(parents=True)
    for name in {name for names in RUNTIME.values() for name in names}:
        (runtime / name).write_text(f"stands for {name}")
    for weights in ALL:
        path = folder / "cache/face-attributes/faces" / weights.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(read_weights(weights))


def _write_foreign(folder: Path) -> None:
    """Our tars under names of others, as the shards of the source `folder`."""
    theirs = folder / "data/folder/shards"
    theirs.mkdir(parents=True)
    for path in (folder / "data/synthetic/shards").glob("*.tar"):
        shutil.copy(path, theirs / f"{path.stem}-x.tar")
    write_params(folder / "foreign.yaml", **SMALL, **{"source: synthetic": "source: folder   "})


def _write_photos(folder: Path) -> None:
    (folder / "photos").mkdir()
    [path] = raw_files(folder / "data/synthetic/raw")["test"]
    for image in pq.read_table(path, columns=["image"])["image"].to_pylist()[:3]:
        (folder / "photos" / image["path"]).write_bytes(image["bytes"])
