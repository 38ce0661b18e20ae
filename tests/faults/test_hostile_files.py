"""Every format that is read, from somebody who damaged it or made it up: a result or a sentence.

`--fuzz=N` reads N damaged copies of each format; without it there are a few.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.apps.answers import predict_portraits
from pipeline.apps.photos import open_photograph, read_crop
from pipeline.apps.predictor import open_predictor
from pipeline.apps.site import read_card
from pipeline.attributes import load_set
from pipeline.dataset.codec import BadImage, CropSettings
from pipeline.dataset.duplicates import find_duplicates
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.evaluation import predictions
from pipeline.evaluation.evaluate import evaluate, write
from pipeline.export import to_coreml
from pipeline.export.card import about_run
from pipeline.export.run_coreml import Program
from pipeline.files import write_csv, write_json
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.saved import load_model, save_model
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import load_params
from pipeline.report.card import write_card
from pipeline.report.page import Run, write_report
from pipeline.report.revisions import read_revision
from pipeline.shards.foreign import index_of
from pipeline.shards.read import ShardReader
from pipeline.sources.folder.source import FolderSource
from pipeline.sources.table.source import TableSource
from pipeline.verification.verify import verify
from pipeline.vocabulary import SPLITS
from tests.support.attributes import CELEBA, CELEBA_ORDER, CELEBA_VIEW, REGIONS
from tests.support.celeba import write_celeba
from tests.support.fuzz import damage_parquet, damaged, damaged_json, damaged_text
from tests.support.networks import pictures
from tests.support.predicted import found, settings
from tests.support.project import ROOT, write_params
from tests.support.tables import settings as table_settings
from tests.support.tables import write_table

pytest_plugins = ("tests.support.packages",)

LONGEST, MOST_MEMORY = 20, 500
"""Seconds and MB that a file of others may take."""

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Format:
    """A good file, how copies of it are damaged, and all that reads it."""

    file: Path
    read: Callable[[], object]
    change: Change | None
    """None: as a table of parquet."""

    cases: int
    """In CI: what a second has room for."""


def batches(folder: Path, view: View | None = None) -> None:
    with ShardReader(folder, "train", view, threads=1) as reader:
        for batch in reader.batches([np.arange(len(reader))]):
            assert batch.images.shape[0] == len(reader)


def say(folder: Path) -> None:
    """Read shards in every way; verify finds faults and raises nothing."""
    for fault in verify(None, folder, workers=1).faults:
        assert str(fault).isprintable()
    both(lambda: batches(folder), lambda: write_card(folder))


def both(*readers: Callable[[], object]) -> None:
    """All of them, whether the one before raises a sentence or not."""
    raised = []
    for read in readers:
        try:
            read()
        except PipelineError as error:
            raised.append(error)
    if raised:
        raise raised[0]


def folder_source(folder: Path, images: bool = False) -> None:
    source = FolderSource(folder, with_images=images)
    for split in SPLITS:
        for batch in source.batches(split):
            batch.validate(full=True)


def predict(network: Path, picture: Path) -> None:
    for _, answer in predict_portraits(open_predictor(network), [picture]):
        if not isinstance(answer, BadImage):
            values = answer[0].probabilities
            assert ((values >= 0) & (values <= 1)).all()


def celeba_csv(celeba: Path, folder: Path) -> Path:
    """The labels as Kaggle has them."""
    lines = (celeba / "Anno/list_attr_celeba.txt").read_text().split("\n")[1:]
    rows = [",".join(line.split()) for line in lines if line.strip()]
    folder.mkdir()
    (folder / "list_attr_celeba.csv").write_text("\n".join(["image_id," + rows[0], *rows[1:]]))
    for name in ("Eval/list_eval_partition.txt", "Anno/identity_CelebA.txt"):
        shutil.copy(celeba / name, folder)
    return folder


@pytest.fixture(scope="module")
def formats(
    raw: Path, shards: Path, onnx_file: Path, package: Path, tmp_path_factory
) -> dict[str, Format]:
    root = tmp_path_factory.mktemp("good")
    celeba = write_celeba(raw, root / "celeba")
    kaggle = celeba_csv(celeba, root / "kaggle")
    raw, shards = (Path(shutil.copytree(f, root / f.name)) for f in (raw, shards))
    tars = root / "tars"
    tars.mkdir()
    shutil.copy(shards / "train-000000.tar", tars / "train-0.tar")
    model = root / "model"
    model.mkdir()
    save_model(
        FaceAttributes(Architecture("test_resnet", 64, width=8, depth=1), REGIONS),
        model,
        CELEBA,
        {},
    )
    onnx = Path(shutil.copytree(onnx_file.parent, root / "onnx")) / onnx_file.name
    package = Path(shutil.copytree(package, root / package.name))
    evaluation, stats, export = (root / name for name in ("evaluation", "stats", "export"))
    for folder in (evaluation, export):
        folder.mkdir()
    write(evaluate(found(100), settings(resamples=5)), evaluation)
    predictions.write(evaluation / "predictions.parquet", found(60))
    shutil.copytree(ROOT / "data/stats", stats)
    write_json(export / "metrics.json", {"parameters": 8, "coreml_bytes": 16})
    write_csv(export / "variants.csv", [{"file": "a.onnx", "bytes": 9, "agreement": 0.9987}])
    card = export / "FaceAttributes.json"
    write_json(card, {"licence": "none", "thresholds": {"chosen": [0.5] * 40}})
    card.with_suffix(".onnx").touch()
    params = root / "params.yaml"
    write_params(params)
    project = root / "project"
    (project / "data/evaluation").mkdir(parents=True)
    shutil.copy(params, project)
    write_json(project / "data/evaluation/metrics.json", {"accuracy": 0.5})
    lock = {"path": "data/x/shards", "md5": "c" * 32}
    write_json(project / "dvc.lock", {"stages": {"evaluate": {"deps": [lock], "outs": []}}})
    picture = root / "portrait.jpg"
    Image.fromarray(pictures(1, 218)[0][:, :178]).save(picture)
    run = Run(params, stats, root / "none", evaluation, export, root / "none")
    out = root / "out"

    def report() -> None:
        write_report(run, out / "report.html")

    def pack() -> None:
        target = ShardSettings(CropSettings(32), 50)
        both(
            lambda: read_labels(raw, CELEBA_VIEW)[0],
            lambda: find_duplicates(raw, engine="threads", workers=1),
            lambda: write_shards(raw, out / "shards", target, engine="threads", workers=1),
        )

    def anew(part: Path) -> Callable[[], None]:
        """The package, its manifest written for its files as they are: whoever damages, can."""

        def read() -> None:
            if part.name != "Manifest.json":
                content = json.dumps(to_coreml._manifest(package / "Data"))
                (package / "Manifest.json").write_text(content)
            Program.load(package).run(pictures(1, 64))

        return read

    coreml = package / "Data/com.apple.CoreML"
    train = raw / "train-00000-of-00001.parquet"
    rows = [[f"{i}.jpg", f"p{i % 3}", i % 2, ["a", "b"][i % 2]] for i in range(12)]
    own = write_table(root / "own", rows, ["file", "who", "x1", "kind"])
    own_parquet = own.with_suffix(".parquet")
    pq.write_table(pa.csv.read_csv(own), own_parquet)
    own_set = Path(shutil.copy(ROOT / "pipeline/sets/celeba.yaml", root / "set.yaml"))

    def own_table(path: Path) -> None:
        chosen = table_settings(path, labels=["x1"], classes=["kind"], identity="who")
        write_raw(TableSource(chosen), out / "own")

    listed = celeba / "Anno/list_attr_celeba.txt"
    partition, identity = (
        celeba / "Eval/list_eval_partition.txt",
        celeba / "Anno/identity_CelebA.txt",
    )
    return {
        "own table": Format(own, lambda: own_table(own), damaged_text, 40),
        "own parquet": Format(own_parquet, lambda: own_table(own_parquet), damaged, 40),
        "attribute set": Format(own_set, lambda: load_set(str(own_set)), damaged_text, 20),
        "list_attr.txt": Format(listed, lambda: folder_source(celeba), damaged_text, 40),
        "list_attr.csv": Format(
            kaggle / "list_attr_celeba.csv", lambda: folder_source(kaggle), damaged_text, 40
        ),
        "partition": Format(partition, lambda: folder_source(celeba), damaged_text, 40),
        "identity": Format(identity, lambda: folder_source(celeba), damaged_text, 40),
        "zip": Format(
            celeba / "Img/img_align_celeba.zip", lambda: folder_source(celeba, True), damaged, 40
        ),
        "raw parquet": Format(train, pack, None, 12),
        "raw parquet, verified": Format(train, lambda: verify(raw, None, workers=1), None, 20),
        "source.json": Format(
            raw / "source.json",
            lambda: both(
                lambda: verify(raw, None, workers=1), lambda: read_labels(raw, CELEBA_VIEW)[0]
            ),
            damaged_json,
            20,
        ),
        "tar": Format(shards / "train-000000.tar", lambda: say(shards), damaged, 15),
        "index.json": Format(shards / "index.json", lambda: say(shards), damaged_json, 20),
        "index.parquet": Format(shards / "index.parquet", lambda: say(shards), None, 20),
        "_info.json": Format(shards / "_info.json", lambda: say(shards), damaged_json, 10),
        "foreign tar": Format(
            tars / "train-0.tar",
            lambda: both(lambda: index_of(tars, CELEBA_ORDER), lambda: batches(tars, CELEBA_VIEW)),
            damaged,
            30,
        ),
        "model.json": Format(model / "model.json", lambda: load_model(model), damaged_json, 30),
        "safetensors": Format(
            model / "model.safetensors", lambda: predict(model, picture), damaged, 20
        ),
        "ONNX": Format(onnx, lambda: predict(onnx, picture), damaged, 12),
        "Manifest.json": Format(
            package / "Manifest.json", anew(package / "Manifest.json"), damaged_json, 10
        ),
        "mlmodel": Format(coreml / "model.mlmodel", anew(coreml), damaged, 6),
        "weight.bin": Format(coreml / "weights/weight.bin", anew(coreml), damaged_head, 6),
        "predictions.parquet": Format(
            evaluation / "predictions.parquet",
            lambda: predictions.read(evaluation),
            None,
            20,
        ),
        "thresholds.json": Format(
            evaluation / "thresholds.json",
            lambda: about_run(load_model(model)[1], model, evaluation),
            damaged_json,
            20,
        ),
        "metrics.json": Format(evaluation / "metrics.json", report, damaged_json, 2),
        "attributes.csv": Format(evaluation / "attributes.csv", report, damaged_text, 2),
        "radar.json": Format(evaluation / "radar.json", report, damaged_json, 1),
        "calibration.csv": Format(evaluation / "calibration.csv", report, damaged_text, 1),
        "card": Format(card, lambda: read_card(card.with_suffix(".onnx")), damaged_json, 30),
        "params.yaml": Format(params, lambda: load_params(params), damaged_text, 10),
        "params as JSON": Format(
            as_json(root / "params.json", params),
            lambda: load_params(root / "params.json"),
            damaged_json,
            10,
        ),
        "dvc.lock": Format(
            project / "dvc.lock", lambda: read_revision("workspace", project), damaged_json, 10
        ),
        "compared metrics": Format(
            project / "data/evaluation/metrics.json",
            lambda: read_revision("workspace", project),
            damaged_json,
            10,
        ),
        **{
            kind: Format(path, lambda path=path: read_crop(path, 64), damaged, 30)  # type: ignore[misc]
            for kind, path in photographs(root)
        },
        **{
            f"{kind}, all of it": Format(path, lambda path=path: looked_at(path), damaged, 10)  # type: ignore[misc]
            for kind, path in photographs(root)
        },
    }


def looked_at(path: Path) -> None:
    with open_photograph(path) as photograph:
        assert photograph.pixels.shape[2] == 3 and photograph.times >= 1


def as_json(path: Path, params: Path) -> Path:
    """Params as JSON, which YAML is too."""
    path.write_text(load_params(params).model_dump_json())
    return path


def damaged_head(data: bytes, rng: random.Random) -> bytes:
    """The places where the weights are described, or any other."""
    size = rng.choice((64, 200, len(data)))
    return damaged(data[:size], rng) + data[size:]


def photographs(root: Path) -> Iterator[tuple[str, Path]]:
    for ending, options in {
        "jpg": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"},
        "png": {}, "webp": {}, "gif": {}, "bmp": {}, "tif": {"compression": "tiff_lzw"},
        "jp2": {}, "ppm": {}, "avif": {"speed": 10},
    }.items():  # fmt: skip
        path = root / f"picture.{ending}"
        Image.fromarray(pictures(2, 96)[1]).save(path, **options)
        yield ending, path


class TooLong(BaseException):
    """Nothing that reads a file may catch it."""


def too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong


@contextmanager
def within(folder: Path) -> Iterator[list[str]]:
    """What the block writes outside the folder, and whom it connects to."""
    seen: list[str] = []
    watching.append((folder, seen))
    try:
        yield seen
    finally:
        watching.pop()


watching: list[tuple[Path, list[str]]] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if not watching:
        return
    folder, seen = watching[-1]
    if event in ("socket.connect", "socket.getaddrinfo"):
        seen.append(f"{event} {arguments[1:]}")
    elif event == "open" and isinstance(arguments[0], str | bytes):
        path, flags = os.fsdecode(arguments[0]), arguments[2]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        inside = os.path.realpath(path).startswith(str(folder))
        if writes and not inside and path != os.devnull and "__pycache__" not in path:
            seen.append(f"open {path}")


sys.addaudithook(watch)


def forget_peak() -> None:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def memory(name: str) -> int:
    """MB by a line of /proc/self/status; 0 where there is none, as on macOS."""
    status = Path("/proc/self/status")
    return int(status.read_text().split(name)[1].split()[0]) // 1024 if status.exists() else 0


PICTURES = ("jpg", "png", "webp", "gif", "bmp", "tif", "jp2", "ppm", "avif")
NAMES = (
    "list_attr.txt", "list_attr.csv", "partition", "identity", "zip", "raw parquet",
    "raw parquet, verified", "source.json", "tar", "index.json", "index.parquet", "_info.json",
    "foreign tar", "model.json", "safetensors", "ONNX", "Manifest.json", "mlmodel", "weight.bin",
    "predictions.parquet", "thresholds.json", "metrics.json", "attributes.csv", "radar.json",
    "own table", "own parquet", "attribute set",
    "calibration.csv", "card", "params.yaml", "params as JSON", "dvc.lock", "compared metrics",
    *PICTURES, *(f"{kind}, all of it" for kind in PICTURES),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_copy_gives_a_result_or_a_sentence(
    formats: dict[str, Format], name: str, pytestconfig, tmp_path, monkeypatch, capfd
) -> None:
    assert formats.keys() == set(NAMES)
    tried, good = formats[name], formats[name].file.read_bytes()
    root = next(parent for parent in tried.file.parents if parent.name.startswith("good"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    tried.read()  # the good one, and whatever is imported or drawn the first time
    earlier = signal.signal(signal.SIGALRM, too_long)
    sentences = 0
    try:
        for case in range(pytestconfig.getoption("--fuzz") or tried.cases):
            rng = random.Random(f"{name} {case}")
            if tried.change is None:
                tried.file.write_bytes(good)
                damage_parquet(tried.file, rng)
            else:
                tried.file.write_bytes(tried.change(good, rng))
            forget_peak()
            before, start = memory("VmRSS:"), time.monotonic()
            signal.alarm(3 * LONGEST)
            try:
                with within(root.parent) as outside:
                    tried.read()
            except (PipelineError, BadImage) as error:
                sentences += 1
                assert str(error).isprintable(), f"{name}, case {case}: {str(error)!r}"
                assert len(str(error)) < 3000, f"{name}, case {case}"
            except BaseException as error:
                error.add_note(f"{name}, case {case}")
                raise
            finally:
                signal.alarm(0)
            assert not outside, f"{name}, case {case}"
            assert time.monotonic() - start < LONGEST, f"{name}, case {case}"
            more = memory("VmHWM:") - before
            assert more < MOST_MEMORY, f"{name}, case {case}: {more} MB"
    finally:
        signal.signal(signal.SIGALRM, earlier)
        tried.file.write_bytes(good)
    few = tried.cases < 5 or name in (
        "_info.json",
        "raw parquet, verified",
        "dvc.lock",
        "ppm",
        "card",
    )
    assert sentences or few
