"""Small files that ask for all the memory there is: one sentence or a result, in little of it."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.network.model import Architecture, FaceAttributes
from pipeline.network.saved import save_model
from pipeline.sources.celeba import LARGEST_IMAGE
from tests.support.attributes import CELEBA, CELEBA_ORDER, REGIONS, SCHEMA
from tests.support.project import ROOT, environment, write_params

pytest_plugins = ("tests.support.packages",)

MOST_MEMORY, LONGEST = 500, 60
"""MB and seconds of a command, whatever it opens."""

TORCH = 700
"""MB of a process that has imported torch and timm, and done nothing."""

Command = list[str | Path]


MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "stages", *sys.argv[2:]]).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""A small process between: to a child its parent's memory counts until it runs another program."""


def run(command: Command, folder: Path, **environ: str) -> tuple[int, str, int]:
    """Exit code, both outputs and the most memory of a process in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "memory", *command],
        cwd=folder, env=environment(folder / "cache", PYTHONPATH=str(ROOT), **environ),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST,
    )  # fmt: skip
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return done.returncode, done.stdout, int((folder / "memory").read_text()) // unit


def sparse(path: Path, size: int = 8 << 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def flat_png(path: Path, width: int, height: int) -> Path:
    path.write_bytes(cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes())
    return path


def zip_of_zeros(folder: Path, celeba: Path) -> Command:
    """200 members, packed a thousand times smaller than they are."""
    names = [line.split()[0] for line in (celeba / "Eval/list_eval_partition.txt").open()]
    with zipfile.ZipFile(
        celeba / "Img/img_align_celeba.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for name in names:
            archive.writestr(f"img_align_celeba/{name}", b"\xff\xd8\xff" + bytes(LARGEST_IMAGE - 3))
    write_params(folder / "params.yaml", **{"source: synthetic": "source: folder"})
    return ["download"]


def large_pictures(folder: Path, celeba: Path) -> Command:
    """Four at once, each as large as is read, or four times as large."""
    for number in range(4):
        flat_png(folder / f"{number}.png", 7000, 5800)
    flat_png(folder / "4.png", 14_000, 8500)
    return ["predict", *sorted(folder.glob("*.png"))]


def one_line_of_pixels(folder: Path, celeba: Path) -> Command:
    return ["predict", flat_png(folder / "long.png", 65_500, 1)]


def sparse_picture(folder: Path, celeba: Path) -> Command:
    return ["predict", sparse(folder / "large.jpg")]


def sparse_picture_of_a_source(folder: Path, celeba: Path) -> Command:
    (celeba / "Img/img_align_celeba.zip").unlink()
    names = [line.split()[0] for line in (celeba / "Eval/list_eval_partition.txt").open()]
    for name in names:
        sparse(celeba / "img_align_celeba" / name)
    write_params(folder / "params.yaml", **{"source: synthetic": "source: folder"})
    return ["download"]


def sparse_labels(folder: Path, celeba: Path) -> Command:
    sparse(celeba / "Anno/list_attr_celeba.txt")
    return ["stats", celeba]


def long_keys(folder: Path, celeba: Path) -> Command:
    """A dictionary of one key, which every row has."""
    path = folder / "data/synthetic/shards/index.parquet"
    table = pq.read_table(path)
    key = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), ["k" * (1 << 20)])
    table = table.set_column(table.column_names.index("key"), "key", key)
    pq.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 2 << 20
    return ["verify"]


def many_rows(folder: Path, celeba: Path) -> Command:
    path = folder / "data/synthetic/shards/index.parquet"
    table = pq.read_table(path).slice(0, 1).take(pa.array(np.zeros(10_000, np.int64)))
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(60):
            writer.write_table(table)
    return ["verify"]


def one_image_for_all(folder: Path, celeba: Path) -> Command:
    """A raw file whose rows name one image of 30 MB."""
    path = folder / "data/synthetic/raw/train-00000-of-00001.parquet"
    rows = pq.read_metadata(path).num_rows
    pixels = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [bytes(30 << 20)])
    names = pa.array([f"{n:06}.jpg" for n in range(rows)])
    image = pa.StructArray.from_arrays([pixels, names], ["bytes", "path"])
    columns = [image, pa.array([1] * rows), *[pa.array([True] * rows)] * len(CELEBA_ORDER)]
    table = pa.Table.from_arrays(columns, SCHEMA.names)
    pq.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 4 << 20
    return ["shard"]


def aliases(folder: Path, celeba: Path) -> Command:
    """A billion laughs: each list names the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "params.yaml").write_text("\n".join(lines))
    return ["compare", "workspace"]


def deep_json(folder: Path, celeba: Path) -> Command:
    (folder / "data/synthetic/shards/index.json").write_text("[" * 2_000_000)
    return ["verify"]


def wide_safetensors(folder: Path, celeba: Path) -> Command:
    """A header of 2 GB, and a network of 17 GB."""
    model = folder / "model"
    description = json.loads((folder / "model/model.json").read_text())
    description["architecture"] |= {"backbone": "eva02_enormous_patch14_clip_224"}
    (model / "model.json").write_text(json.dumps(description))
    with sparse(model / "model.safetensors").open("r+b") as file:
        file.write((2 << 30).to_bytes(8, "little"))
    return ["predict", "--aligned", folder / "face.jpg", "--model", model]


def onnx_that_grows(folder: Path, celeba: Path) -> Command:
    """A constant of 64 GB, in a file of 300 bytes."""
    value = onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [1.0])
    shape = onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [2], [1 << 17, 1 << 17])
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("ConstantOfShape", ["s"], ["large"], value=value),
            onnx.helper.make_node("ReduceMax", ["large"], ["one"], keepdims=0),
            onnx.helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("ReduceMin", ["pixels"], ["two"], keepdims=0),
            onnx.helper.make_node("Add", ["one", "two"], ["probabilities"]),
        ],
        "grows",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["n", 64, 64, 3])],
        [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [])],
        [shape],
    )
    good = onnx.load(folder / "FaceAttributes.onnx")
    model = onnx.helper.make_model(graph, opset_imports=good.opset_import, ir_version=8)
    model.metadata_props.extend(good.metadata_props)
    (folder / "FaceAttributes.onnx").write_bytes(model.SerializeToString())
    return ["predict", "--aligned", folder / "face.jpg", "--model", folder / "FaceAttributes.onnx"]


def foreign_tar_with_a_sparse_image(folder: Path, celeba: Path) -> Command:
    shards = folder / "data/folder/shards"
    shards.mkdir(parents=True)
    with (shards / "test-0.tar").open("wb") as file:
        text = json.dumps({"attributes": [0] * 40}).encode()
        for name, size, data in (("a.jpg", 8 << 30, b""), ("a.json", len(text), text)):
            member = tarfile.TarInfo(name)
            member.size = size
            file.write(member.tobuf())
            start = file.tell()
            file.write(data)
            file.seek(start + -(-size // 512) * 512)
        file.truncate(file.tell() + 1024)
    write_params(folder / "params.yaml", **{"source: synthetic": "source: folder"})
    return ["samples", "--out", "sheet.png"]


BOMBS: tuple[Callable[[Path, Path], Command], ...] = (
    zip_of_zeros, large_pictures, one_line_of_pixels, sparse_picture, sparse_picture_of_a_source,
    sparse_labels, long_keys, many_rows, one_image_for_all, aliases, deep_json, wide_safetensors,
    onnx_that_grows, foreign_tar_with_a_sparse_image,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, raw, shards, onnx_file) -> Path:
    """A project with data, and a picture, an ONNX file and a model folder beside it."""
    write_params(tmp_path / "params.yaml")
    for made in (raw, shards):
        shutil.copytree(made, tmp_path / "data/synthetic" / made.name)
    shutil.copytree(onnx_file.parent, tmp_path / "data/export")
    shutil.copy(onnx_file, tmp_path)
    (tmp_path / "model").mkdir()
    save_model(
        FaceAttributes(Architecture("test_resnet", 64, width=8, depth=1), REGIONS),
        tmp_path / "model",
        CELEBA,
        {},
    )
    flat_png(tmp_path / "face.jpg", 178, 218)
    return tmp_path


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_it_takes_little_memory(bomb, folder, celeba) -> None:
    command = bomb(folder, celeba)
    code, said, memory = run(command, folder, CELEBA_ROOT=str(celeba))
    print(f"{bomb.__name__}: {memory} MB")  # pytest -rP shows it
    assert "Traceback" not in said, said
    assert memory < MOST_MEMORY + (TORCH if bomb is wide_safetensors else 0)
    if code:
        assert code == 1 and any(line.startswith(("error:", "fault")) for line in said.splitlines())
