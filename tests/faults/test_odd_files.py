"""Files with one thing in them that nobody would put there by accident: each is one sentence."""

import csv
import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import coremltools
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.apps.answers import predict_portraits
from pipeline.apps.photos import read_crop
from pipeline.apps.predictor import open_predictor
from pipeline.dataset.codec import BadImage, decode_crop
from pipeline.errors import PipelineError
from pipeline.export import to_coreml
from pipeline.files import write_csv
from pipeline.shards.foreign import index_of
from pipeline.shards.read import ShardReader
from pipeline.sources.folder.source import FolderSource
from tests.support.attributes import CELEBA_ORDER
from tests.support.damage import edit, faults_of, members_of, pack
from tests.support.networks import pictures
from tests.support.project import write_params

pytest_plugins = ("tests.support.packages",)


def copied(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place / folder.name))


# The index of shards


@pytest.mark.parametrize("column", ["offset", "length"])
@pytest.mark.parametrize("value", [-1, 0, 2**40, 2**63 - 1, None])
def test_an_image_that_lies_in_no_shard_is_refused(shards, tmp_path, column, value):
    folder = copied(shards, tmp_path)
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    rows[0][column] = value
    schema = pq.read_schema(folder / "index.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "index.parquet")
    assert faults_of(folder)
    if (column, value) == ("offset", 0):  # the header of the tar: bytes that are there
        return
    with pytest.raises(PipelineError, match=r"run `pipeline shard` again"):
        ShardReader(folder, "train")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.tar", "a/../../x.tar", "", ".", "a\0.tar"])
def test_a_shard_outside_its_folder_is_refused(shards, tmp_path, name):
    folder = copied(shards, tmp_path)
    edit(folder / "index.json", lambda index: index["shards"]["train"][0].update(name=name))
    with pytest.raises(PipelineError, match=r"index.json is damaged \("):
        ShardReader(folder, "train")
    assert faults_of(folder)


def test_a_number_in_quotes_is_a_fault(shards, tmp_path):
    folder = copied(shards, tmp_path)
    edit(folder / "index.json", lambda index: index.update(size="64"))
    [fault] = faults_of(folder)
    assert str(fault).startswith("index.json: is damaged (size: ")


@pytest.mark.parametrize("value", [10**100, 2**63, -(10**30), "1", 1.5, True, [1]])
def test_an_identity_beyond_64_bits_is_refused(shards, tmp_path, value):
    members = members_of(shards, "train-000000.tar")[:2]
    content = json.loads(members[1][1]) | {"celeb_id": value}
    pack(tmp_path, "train-0.tar", [members[0], (members[1][0], json.dumps(content).encode())])
    with pytest.raises(PipelineError, match=r'its "celeb_id" is .*, which is no integer'):
        index_of(tmp_path, CELEBA_ORDER)


# What is read as a picture


def test_a_picture_that_is_a_program_is_not_run(pipeline, onnx_file, tmp_path, monkeypatch):
    """EPS, which Pillow would give to Ghostscript."""
    ran = tmp_path / "ran"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    picture = tmp_path / "face.jpg"
    picture.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    code, _, err = pipeline("predict", str(picture), "--model", str(onnx_file))
    assert code == 1 and "face.jpg is no image" in err
    assert not ran.exists()


def test_a_zip_by_a_method_with_errors_of_its_own_is_refused_by_name(celeba):
    path = celeba / "Img/img_align_celeba.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(PipelineError, match=r"is packed by the method LZMA, .* unpack it with `7z"):
        next(FolderSource(celeba).batches("train"))


def test_a_jpeg_of_thousands_of_scans_is_not_decoded(tmp_path, onnx_file):
    """64 MB of scans of 78 bytes would take half an hour."""
    picture = Image.fromarray(pictures(1, 96)[0])
    picture.save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + data[last:-2] * 200 + data[-2:])
    [(_, answer)] = predict_portraits(open_predictor(onnx_file), [tmp_path / "a.jpg"])
    assert str(answer) == "has more than 100 scans"
    with pytest.raises(BadImage, match=r"has more than 100 scans"):
        decode_crop((tmp_path / "a.jpg").read_bytes(), np.zeros((96, 96, 3), np.uint8))


def test_a_jpeg_of_thousands_of_segments_is_not_opened(tmp_path):
    Image.fromarray(pictures(1, 96)[0]).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1\0\2" * 3000 + data[2:])
    with pytest.raises(BadImage, match=r"has more than 2,000 segments"):
        read_crop(tmp_path / "a.jpg", 64)
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1\0\2" * 300 + data[2:])
    assert read_crop(tmp_path / "a.jpg", 64).shape == (64, 64, 3)


def test_a_tiff_with_a_tile_far_larger_than_it_is_refused(tmp_path):
    tags = {
        256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 32768, 323: 32768, 324: 200, 325: 9
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries
    (tmp_path / "a.tif").write_bytes(head.ljust(300, b"\0"))
    with pytest.raises(BadImage, match=r"has tiles of 32768 x 32768 px"):
        read_crop(tmp_path / "a.tif", 64)


# Tars of others


def test_a_sparse_member_and_chained_headers_are_refused(tmp_path):
    sparse = tarfile.TarInfo("a.jpg")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    sparse.size = 512
    with tarfile.open(tmp_path / "train-0.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse, io.BytesIO(b"1\n0\n512\n".ljust(512, b"\0")))
    with pytest.raises(PipelineError, match=r"it holds a sparse file"):
        index_of(tmp_path)
    longer = tarfile.TarInfo("././@LongLink")
    longer.type, longer.size = tarfile.GNUTYPE_LONGNAME, 2
    chained = (longer.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 3000
    (tmp_path / "train-0.tar").write_bytes(chained + bytes(1024))
    with pytest.raises(PipelineError, match=r"train-0.tar cannot be read"):
        index_of(tmp_path)


def test_a_pipe_with_a_name_of_ours_is_waited_for_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "test-000000.tar")
    with pytest.raises(PipelineError):
        ShardReader(tmp_path, "test")


# What a terminal shows


def test_no_name_steers_a_terminal(pipeline, onnx_file, faces):
    odd = Path("a\x1b]0;x\x07\x1b[2J.jpg")
    shutil.copy(faces, odd)
    Path("b\x1b[2J.jpg").write_bytes(b"no picture")
    code, out, err = pipeline("predict", "--aligned", ".", "--model", str(onnx_file))
    assert code == 1 and "\x1b" not in out + err and "\\x1b[2J.jpg" in out and "\\x1b" in err


def test_no_metric_steers_a_terminal(pipeline):
    write_params(Path("params.yaml"))
    Path("data/evaluation").mkdir(parents=True)
    metrics = {"a\x1b[2J": "\x1b]0;x\x07"}
    Path("data/evaluation/metrics.json").write_text(json.dumps(metrics))
    code, out, err = pipeline("compare", "workspace")
    assert code == 0 and "\x1b" not in out + err and "\\x1b" in out


def test_long_keys_of_metrics_are_refused(pipeline):
    """Each of 7,000 values would repeat the key of 200 kB above it: 8 GB."""
    write_params(Path("params.yaml"))
    Path("data/evaluation").mkdir(parents=True)
    metrics = {"k" * 200_000: {str(n): n for n in range(7000)}}
    Path("data/evaluation/metrics.json").write_text(json.dumps(metrics))
    code, _, err = pipeline("compare", "workspace")
    assert code == 1 and "a key of 200,000 characters" in err


# Pipes, which nobody ends


def test_a_pipe_among_the_files_is_waited_for_by_nobody(
    pipeline, raw, shards, celeba, onnx_file, tmp_path, monkeypatch
):
    write_params(Path("params.yaml"))
    data = Path("data/synthetic")
    copied(raw, data)
    copied(shards, data)
    picture = tmp_path / "pipe.jpg"
    os.mkfifo(picture)
    monkeypatch.setenv("CELEBA_ROOT", str(celeba))
    predict = ["predict", "--aligned", str(picture), "--model"]
    tried: list[tuple[Path, list[str]]] = [
        (data / "raw/train-00000-of-00001.parquet", ["stats"]),
        (data / "raw/source.json", ["shard"]),
        (data / "raw/source.json", ["verify"]),
        (data / "shards/index.json", ["verify"]),
        (data / "shards/index.parquet", ["card"]),
        (data / "shards/index.parquet", ["verify"]),
        (data / "shards/train-000000.tar", ["verify"]),
        (data / "shards/test-000000.tar", ["samples"]),
        (celeba / "Anno/list_attr_celeba.txt", ["stats", str(celeba)]),
        (celeba / "Eval/list_eval_partition.txt", ["stats", str(celeba)]),
        (Path("params.yaml"), ["stats"]),
        (tmp_path / "x.onnx", [*predict, str(tmp_path / "x.onnx")]),
        (picture, [*predict, str(onnx_file)]),
    ]
    for path, command in tried:
        kept = path.read_bytes() if path.is_file() else None
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        code, _, err = pipeline(*command)
        assert code == 1 and "Traceback" not in err, command
        assert "pipe" in err or "index.json" in err or "source.json" in err, (command, err)
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)


# Networks of others


@pytest.mark.parametrize(
    "text", [None, "", "[]", "[0.5]", "null", '"x"', json.dumps([2.0] * 40), "[" * 9999]
)
def test_thresholds_that_are_none_are_refused(onnx_file, package, tmp_path, text):
    model = onnx.load(onnx_file)
    kept = [entry for entry in model.metadata_props if entry.key != "thresholds"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if text is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "thresholds", text
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(PipelineError, match=r"x.onnx does not name 40 thresholds in \[0, 1\]"):
        open_predictor(tmp_path / "x.onnx")

    ours = copied(package, tmp_path)
    spec = coremltools.utils.load_spec(str(ours))
    user = spec.description.metadata.userDefined
    user.pop("thresholds") if text is None else user.update({"thresholds": text})
    (ours / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())
    (ours / "Manifest.json").write_text(json.dumps(to_coreml._manifest(ours / "Data")))
    with pytest.raises(PipelineError, match=r"mlpackage does not name 40 thresholds in \[0, 1\]"):
        open_predictor(ours)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.25])
def test_what_is_no_probability_decides_nothing(onnx_file, faces, tmp_path, value):
    model = onnx.load(onnx_file)
    [last] = [node for node in model.graph.node if "probabilities" in node.output]
    last.output[0] = "before"
    odd = onnx.helper.make_tensor("odd", onnx.TensorProto.FLOAT, [1], [value])
    model.graph.initializer.append(odd)
    for kind, ends in (
        ("Mul", ["before", "zero", "none"]),
        ("Add", ["none", "odd", "probabilities"]),
    ):
        model.graph.node.append(onnx.helper.make_node(kind, ends[:2], ends[2:]))
    model.graph.initializer.append(
        onnx.helper.make_tensor("zero", onnx.TensorProto.FLOAT, [1], [0.0])
    )
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(PipelineError, match=rf"The network gives {value}, and each image has"):
        list(predict_portraits(open_predictor(tmp_path / "x.onnx"), [faces]))


def node(kind: str, inputs: list[str], outputs: list[str], **values: object) -> onnx.NodeProto:
    return onnx.helper.make_node(kind, inputs, outputs, **values)


def endless() -> list[onnx.NodeProto]:
    """A loop that runs 2**62 times."""
    kind = onnx.TensorProto.BOOL
    body = onnx.helper.make_graph(
        [node("Identity", ["go"], ["on"])], "body",
        [onnx.helper.make_tensor_value_info("n", onnx.TensorProto.INT64, []),
         onnx.helper.make_tensor_value_info("go", kind, [])],
        [onnx.helper.make_tensor_value_info("on", kind, [])],
    )  # fmt: skip
    often = onnx.helper.make_tensor("t", onnx.TensorProto.INT64, [], [2**62])
    return [
        node("Constant", [], ["often"], value=often),
        node("Constant", [], ["yes"], value=onnx.helper.make_tensor("y", kind, [], [True])),
        node("Loop", ["often", "yes"], [], body=body),
    ]


def texts() -> list[onnx.NodeProto]:
    """What no cap on memory counts."""
    return [node("Constant", [], ["text"], value_string="x" * 1000)]


def as_texts() -> list[onnx.NodeProto]:
    return [node("Cast", ["image"], ["text"], to=onnx.TensorProto.STRING)]


@pytest.mark.parametrize("nodes", [endless, texts, as_texts])
def test_operations_that_no_network_of_pictures_has_are_refused(onnx_file, tmp_path, nodes):
    model = onnx.load(onnx_file)
    model.graph.node.extend(nodes())
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(PipelineError, match=r"x.onnx is no ONNX file that can be run \(it"):
        open_predictor(tmp_path / "x.onnx")


def test_long_metadata_are_not_read(onnx_file, tmp_path):
    model = onnx.load(onnx_file)
    [names] = [entry for entry in model.metadata_props if entry.key == "attributes"]
    names.value = "[" + "[]," * 100_000 + "[]]"
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(PipelineError, match=r"x.onnx does not name its attributes"):
        open_predictor(tmp_path / "x.onnx")


@pytest.fixture
def faces(tmp_path, raw) -> Path:
    path = tmp_path / "face.jpg"
    [row] = pq.read_table(raw / "test-00000-of-00001.parquet").slice(0, 1).to_pylist()
    path.write_bytes(row["image"]["bytes"])
    return path


# Tables that a spreadsheet opens


FORMULAS = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "a\r=1", "'quoted", "=cmd|' /C calc'!A0"]


def test_no_cell_is_a_formula_and_none_is_lost(tmp_path):
    rows = [{"name": text, "number": -1.5} for text in [*FORMULAS, "plain", "-"]]
    write_csv(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert all(row["name"][0] not in "=+-@\t\r" for row in read)
    assert [row["name"].removeprefix("'") for row in read] == [
        row["name"].replace("\r", "\\r") for row in rows
    ]
    assert {row["number"] for row in read} == {"-1.5"}


def test_the_name_of_a_file_is_no_formula_in_the_csv_of_predict(pipeline, onnx_file, faces):
    shutil.copy(faces, "=HYPERLINK(0).jpg")
    code, _, err = pipeline(
        "predict", "--aligned", "=HYPERLINK(0).jpg", "--csv", "found.csv", "--model", str(onnx_file)
    )
    assert code == 0, err
    assert Path("found.csv").read_text().splitlines()[1].startswith("'=HYPERLINK(0).jpg,")
