"""Anybody's WebDataset tars: indexed on first use, or refused in one sentence."""

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import shutil
import subprocess
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import webdataset

from pipeline.attributes import set_of_model
from pipeline.dataset.codec import CropSettings, encode_crop
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.shards.files import cache_folder
from pipeline.shards.foreign import index_of, read_foreign
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader
from tests.support.attributes import CELEBA_ORDER, SMALL


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


LABELS = [0, 1] * 20

IN_ORDER = View(set_of_model({"face": CELEBA_ORDER}))
"""CelebA's labels in the order of the dataset."""


def read(folder, split, view=IN_ORDER):
    return ShardReader(folder, split, view)


def picture(side=32, format="jpg", width=None):
    image = np.full((side, width or side, 3), 90, np.uint8)
    return encode_crop(image, CropSettings(side, format=format))


def write_tar(path, members):
    """A tar of members {name: bytes}, or a list of pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def sample(key, labels=LABELS, side=32, kind="jpg", **more):
    content = {"attributes": labels, **more}
    image = picture(side, "png" if kind == "png" else "webp" if kind == "webp" else "jpg")
    return {f"{key}.{kind}": image, f"{key}.json": json.dumps(content).encode()}


def refuse(folder, match, split="train"):
    with pytest.raises(PipelineError, match=match):
        read(folder, split)
    assert not list(cache_folder("indexes").iterdir())


def test_a_png_with_a_long_text_is_read(tmp_path):
    """As programs that make pictures write their settings into them."""
    members = sample("a", kind="png")
    text = b"workflow\0\0" + zlib.compress(b"x" * 2_000_000)
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text
    chunk += zlib.crc32(chunk[4:]).to_bytes(4, "big")
    members["a.png"] = members["a.png"][:33] + chunk + members["a.png"][33:]
    write_tar(tmp_path / "tars/train-0.tar", members)
    with read(tmp_path / "tars", "train") as reader:
        [batch] = reader.batches([np.arange(1)])
        assert (batch.images == 90).all()


def test_names_that_are_not_utf_8_are_written_out_and_those_of_macos_left_out(tmp_path):
    """Beside a.jpg a Mac's tar packs ._a.jpg, which holds no picture."""
    names = [*sample(os.fsdecode(b"sch\xf6n")).items(), *sample("a").items(), ("._a.jpg", b"Mac")]
    write_tar(tmp_path / "tars/train-0.tar", names)
    with read(tmp_path / "tars", "train") as reader:
        assert list(reader.read_keys()) == [r"sch\udcf6n", "a"]


def renamed(shards, folder):
    """A copy of our tars, without their index and under names that are not ours."""
    folder.mkdir()
    for path in shards.glob("*.tar"):
        shutil.copy(path, folder / f"{path.stem}-x.tar")
    return folder


def test_our_tars_without_their_index_are_refused_for_they_may_be_a_part(shards, tmp_path):
    """A `shard` of an earlier version that was killed at its end left such a folder."""
    for kept in (3, 1):
        folder = tmp_path / str(kept)
        folder.mkdir()
        for path in sorted(shards.glob("train-*.tar"))[:kept]:
            shutil.copy(path, folder)
        for open_it in (index_of, lambda folder: read(folder, "train")):
            with pytest.raises(PipelineError, match=r"train-000000.tar is of `pipeline shard`, "):
                open_it(folder)


def test_tars_of_others_may_have_names_like_ours(shards, tmp_path):
    write_tar(tmp_path / "train-000000.tar", sample("a"))
    with read(tmp_path, "train") as reader:
        assert reader.read_keys() == ["a"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_same_tars_under_other_names_give_the_same_batches(shards, tmp_path, split):
    folder = renamed(shards, tmp_path / "tars")
    names = sorted(os.listdir(folder))
    for _ in range(2):  # indexed, then from the cache
        with read(folder, split) as theirs, ShardReader(shards, split) as ours:
            assert theirs.read_keys() == ours.read_keys() and theirs.size == ours.size
            assert (theirs.labels().values == ours.labels().values).all()
            assert (theirs.labels().celeb_id == ours.labels().celeb_id).all()
            parts = cut(epoch_order(len(ours), 0, 0), 7)
            for one, other in zip(theirs.batches(parts), ours.batches(parts), strict=True):
                assert (one.images == other.images).all()
    assert sorted(os.listdir(folder)) == names
    assert len(list(cache_folder("indexes").iterdir())) == 1


def test_tars_of_webdatasets_own_writer_are_read(tmp_path):
    with webdataset.ShardWriter(str(tmp_path / "train-%03d.tar"), maxcount=3, verbose=0) as sink:
        for i in range(7):
            labels = [(i + j) % 2 for j in range(40)]
            jpg = picture()
            sink.write({"__key__": f"face/{i:04d}", "jpg": jpg, "json": {"attributes": labels}})
    with read(tmp_path, "train") as reader:
        assert reader.read_keys() == [f"face/{i:04d}" for i in range(7)]
        assert reader.labels().values[:, 0].tolist() == [False, True] * 3 + [False]
        assert reader.labels().celeb_id.tolist() == [-1] * 7
        assert len(list(reader.batches(cut(np.arange(7), 4)))) == 2


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_any_dialect_of_tar_is_read(tmp_path, format):
    long = "a/very/long/folder/" * 8
    with tarfile.open(tmp_path / "train-0.tar", "w", format=format) as tar:
        tar.addfile(tarfile.TarInfo("./._0001.jpg"))  # what a Mac leaves
        name = "./" if format == tarfile.USTAR_FORMAT else long
        for member, data in sample(f"{name}0001").items():
            info = tarfile.TarInfo(member)
            info.size, info.mtime = len(data), 1.5
            tar.addfile(info, io.BytesIO(data))
    with read(tmp_path, "train") as reader:
        assert len(list(reader.batches([np.arange(1)]))) == 1
        assert reader.read_keys()[0].endswith("0001")


def test_labels_may_be_a_list_or_an_object_of_0_and_1_or_of_minus_1_and_1(tmp_path):
    signs = [2 * label - 1 for label in LABELS]
    by_name = dict(reversed(list(zip(CELEBA_ORDER, signs, strict=True))))
    write_tar(
        tmp_path / "train-0.tar",
        sample("a") | sample("b", signs, kind="png") | sample("c", by_name, kind="webp")
        | sample("d", [bool(label) for label in LABELS], kind="jpeg", celeb_id=9),
    )  # fmt: skip
    with read(tmp_path, "train") as reader:
        assert reader.labels().values.astype(int).tolist() == [LABELS] * 4
        assert reader.labels().celeb_id.tolist() == [-1, -1, -1, 9]
        [batch] = reader.batches([np.arange(4)])
        assert (np.abs(batch.images.astype(int) - 90) <= 2).all()


def test_splits_may_be_folders_and_valid_has_three_names(tmp_path):
    for place in ("train/0.tar", "train/1.tar", "validation/0.tar", "test-0.tar", "val-0.tar"):
        write_tar(tmp_path / place, sample(place.replace("/", "-").removesuffix(".tar")))
    for split, keys in {"train": ["train-0", "train-1"], "test": ["test-0"]}.items():
        with read(tmp_path, split) as reader:
            assert reader.read_keys() == keys
    with read(tmp_path, "valid") as reader:
        assert sorted(reader.read_keys()) == ["val-0", "validation-0"]
    with read(tmp_path, "val") as reader:
        assert reader.read_keys() == ["val-0"]
    (tmp_path / "validation/0.tar").unlink()
    for split in ("valid", "val"):  # the same tar under two names of the split
        with read(tmp_path, split) as reader:
            assert reader.read_keys() == ["val-0"]


def test_a_folder_of_tars_is_described_like_our_own(shards, tmp_path):
    folder = renamed(shards, tmp_path / "tars")
    ours, theirs = index_of(shards, CELEBA_ORDER), index_of(folder, CELEBA_ORDER)
    assert ours.model_dump() == json.loads((shards / "index.json").read_text())
    assert (theirs.size, theirs.counts) == (ours.size, ours.counts)
    assert (theirs.source, theirs.licence, theirs.format) == ("foreign", "unknown", None)
    for split, shards_of_split in theirs.shards.items():
        without_hash = [
            replace(shard, name=f"{shard.name[:-4]}-x.tar", sha256=None)
            for shard in ours.shards[split]
        ]
        assert shards_of_split == without_hash
    write_tar(folder / "test-9.tar", sample("z"))
    with pytest.raises(PipelineError, match=r"test-9.tar begins with an image of 32 px"):
        index_of(folder, CELEBA_ORDER)
    for path in folder.glob("test-00*"):
        path.unlink()
    with pytest.raises(PipelineError, match=r"several sizes .train of 64 px, valid of 64 px, test"):
        index_of(folder, CELEBA_ORDER)
    with pytest.raises(PipelineError, match="holds neither"):
        index_of(tmp_path, CELEBA_ORDER)


def test_a_changed_tar_is_indexed_anew(tmp_path):
    path = write_tar(tmp_path / "train-0.tar", sample("a"))
    for members in (sample("a"), sample("b"), sample("b") | sample("c")):
        write_tar(path, members)
        with read(tmp_path, "train") as reader:
            assert [f"{key}.jpg" for key in reader.read_keys()] == list(members)[::2]


def test_more_shards_than_files_that_a_shell_grants(tmp_path):
    for i in range(90):
        write_tar(tmp_path / f"train-{i:02d}.tar", sample(f"k{i}"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with read(tmp_path, "train") as reader:
            assert sum(len(batch.rows) for batch in reader.batches(cut(np.arange(90), 32))) == 90
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_unknown_identity_is_minus_1_or_null_or_absent(tmp_path):
    unknown = sample("a", celeb_id=-1) | sample("b", celeb_id=None) | sample("c")
    write_tar(tmp_path / "train-0.tar", unknown | sample("d", celeb_id=0))
    with read(tmp_path, "train") as reader:
        assert reader.labels().celeb_id.tolist() == [-1, -1, -1, 0]


GZIP, XZ, BZIP2 = gzip.compress, lzma.compress, bz2.compress
ZSTD = bytes.fromhex("28b52ffd2004") + b"no library packs it here"


@pytest.mark.parametrize(
    ("name", "compress", "command"),
    [
        ("train-0.tar.gz", GZIP, "gunzip train-0.tar.gz"),
        ("train/0.tgz", GZIP, "gunzip train/0.tgz"),
        ("train-0.tar", GZIP, "mv train-0.tar train-0.tar.gz && gunzip train-0.tar.gz"),
        ("train-0.tar.xz", XZ, "unxz train-0.tar.xz"),
        ("train/0.tar", BZIP2, "mv train/0.tar train/0.tar.bz2 && bunzip2 train/0.tar.bz2"),
        ("train-0.tar.zst", lambda _: ZSTD, "unzstd --rm train-0.tar.zst"),
    ],
)
def test_a_compressed_tar_is_refused_with_what_unpacks_it(
    tmp_path, monkeypatch, name, compress, command
):
    monkeypatch.chdir(tmp_path)
    path = write_tar(Path(name), sample("a"))
    path.write_bytes(compress(path.read_bytes()))
    refuse(Path(), f"^{name} is compressed with .* plain tar; unpack it: `{command}`.$")
    if shutil.which(command.split()[-2]) and compress(b"") != ZSTD:
        subprocess.run(command, shell=True, check=True)
        with read(Path(), "train") as reader:
            assert reader.read_keys() == ["a"]


def test_a_compressed_tar_may_lie_beside_the_unpacked_one_alone(tmp_path):
    tar = write_tar(tmp_path / "train-0.tar", sample("a"))
    (tmp_path / "train-0.tar.gz").write_bytes(GZIP(tar.read_bytes()))
    write_tar(tmp_path / "train/._1.tar", {}).write_bytes(b"what a Mac leaves")
    with read(tmp_path, "train") as reader:
        assert reader.read_keys() == ["a"]
    tar.rename(tmp_path / "train-1.tar")
    with pytest.raises(PipelineError, match=r"train-0.tar.gz is compressed with gzip"):
        read(tmp_path, "train")
    (tmp_path / "train-0.tar.gz").write_bytes((tmp_path / "train-1.tar").read_bytes())
    with pytest.raises(PipelineError, match=r"cannot be read .it is not compressed as its name"):
        read(tmp_path, "train")


def test_a_folder_without_tars_is_named(tmp_path):
    refuse(tmp_path, "holds neither index.json nor train-\\*.tar")
    refuse(tmp_path / "nowhere", "holds neither index.json nor train-\\*.tar")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (sample("a") | {"b.jpg": picture()}, "b has no json"),
        (sample("a") | {"b.json": sample("b")["b.json"]}, "b has no image"),
        ([*sample("a").items(), *sample("a").items()], "a has two images"),
        (sample("a") | {"a.png": picture(format="png")}, "a has two images"),
        ([*sample("a").items(), ("a.JSON", b"{}")], "a has two json"),
        (sample("a", [0, 1] * 19 + [0]), "a has a json without .* 40 labels"),
        (sample("a", [0, 1, -1, 0] * 10), "all of 0 and 1 or all of -1 and 1"),
        (sample("a", [2] * 40), "a has a json without"),
        (sample("a", None), "a has a json without"),
        (
            sample("a", dict.fromkeys(CELEBA_ORDER, 1)) | sample("b", dict.fromkeys("xy", 1)),
            "b has a json that is not understood: it has 5_o_Clock_Shadow alone, or all but it",
        ),
        (sample("a", {"Big nose": 1}), "its labels have odd names"),
        (sample("a", {}), "its labels have odd names, or there are none"),
        (sample("a", {"split": 1}), "no attribute can be called split"),
        (sample("a", dict.fromkeys([f"n{i}" for i in range(1001)], 1)), "its labels have odd"),
        (sample("a", [[0]] * 40), "a has a json without"),
        (sample("a", celeb_id="7"), "its \"celeb_id\" is '7', which is no integer"),
        (sample("a", celeb_id=7.5), 'its "celeb_id" is 7.5, which is no integer'),
        ({"a.jpg": picture(), "a.json": b"[1, 2]"}, "a has a json without"),
        ({"a.jpg": picture(), "a.json": b"\xff{"}, "a has a json that is not understood"),
        ({"a.jpg": picture(32, width=48), "a.json": sample("a")["a.json"]}, "a is 48 x 32 px"),
        ({"a.jpg": b"GIF", "a.json": sample("a")["a.json"]}, "a has a damaged image"),
        ({"a.txt": b"hello"}, "holds no sample"),
        ({}, "holds no sample"),
    ],
)
def test_what_is_wrong_in_a_tar_is_named_with_its_key(tmp_path, members, message):
    write_tar(tmp_path / "train-0.tar", members)
    refuse(tmp_path, f"train-0.tar.*{message}")


def test_a_key_in_two_tars_is_named(tmp_path):
    write_tar(tmp_path / "train-0.tar", sample("a") | sample("b"))
    write_tar(tmp_path / "train-1.tar", sample("c") | sample("b"))
    refuse(tmp_path, "train-1.tar: b is in train-0.tar too")


def test_images_of_two_sizes_are_named(tmp_path):
    write_tar(tmp_path / "train-0.tar", sample("a") | sample("b", side=48))
    with (
        read(tmp_path, "train") as reader,
        pytest.raises(PipelineError, match="the image of b is 48 x 48 px, not 32"),
    ):
        list(reader.batches([np.arange(2)]))
    write_tar(tmp_path / "test-0.tar", sample("a"))
    write_tar(tmp_path / "test-1.tar", sample("b", side=48))
    with pytest.raises(PipelineError, match=r"test-1.tar begins with an image of 48 px"):
        read(tmp_path, "test")


def test_a_tar_cut_anywhere_is_named(tmp_path):
    path = write_tar(tmp_path / "train-0.tar", sample("a") | sample("b"))
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + 512
    for length in {0, 1, 511, 513, last.offset, last.offset + 100, end - 512, end - 1, end}:
        path.write_bytes(data[:length])
        refuse(tmp_path, "train-0.tar (is cut off|cannot be read)")
    path.write_bytes(data[: last.offset + 10] + b"spoilt" + data[last.offset + 16 :])
    refuse(tmp_path, "train-0.tar is damaged at byte")
    path.write_bytes(simplejpeg.encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
    refuse(tmp_path, "train-0.tar cannot be read")


def test_an_index_that_another_version_left_in_the_cache_is_not_taken(tmp_path, monkeypatch):
    write_tar(tmp_path / "train-0.tar", sample("a"))
    first, rows = read_foreign(tmp_path, "train", CELEBA_ORDER)
    [cached] = (tmp_path / "cache/face-attributes/indexes").glob("*.arrow")
    cached.write_bytes(b"of another form")
    again, rows = read_foreign(tmp_path, "train", CELEBA_ORDER)
    assert again == first and rows.keys.to_pylist() == ["a"]
    monkeypatch.setattr("pipeline.shards.foreign.FORM", 99)
    read_foreign(tmp_path, "train", CELEBA_ORDER)
    assert len(list(cached.parent.glob("*.arrow"))) == 2


def test_labels_as_an_object_carry_their_own_names(tmp_path):
    one = {"smile": 1, "hat": None, "beard": 0}
    other = {"beard": 1, "smile": 0, "hat": 1}
    write_tar(tmp_path / "train-0.tar", sample("a", one) | sample("b", other))
    with ShardReader(tmp_path, "train") as reader:
        assert reader.names == ("smile", "hat", "beard")
        labels = reader.labels()
        assert labels.values.tolist() == [[True, False, False], [False, True, True]]
        assert labels.known.tolist() == [[True, False, True], [True, True, True]]
        [batch] = reader.batches([np.array([1])])
        assert batch.known is None and batch.labels.tolist() == [[False, True, True]]
    assert index_of(tmp_path).attributes == ["smile", "hat", "beard"]
    write_tar(tmp_path / "test-0.tar", sample("c", {"smile": 1, "hat": 1}))
    with pytest.raises(PipelineError, match="has the label beard in train or in test alone"):
        index_of(tmp_path)


def test_a_list_stands_for_the_names_of_the_set_or_for_nothing(tmp_path):
    write_tar(tmp_path / "train-0.tar", sample("a", [1, -1, None]))
    with read(tmp_path, "train", View(SMALL)) as reader:
        assert reader.names == ("Smiling", "Hat", "Bald")
        assert reader.labels().values.tolist() == [[True, False, False]]
        assert reader.labels().known.tolist() == [[True, False, True]]
    with pytest.raises(PipelineError, match="its labels are a list, and nothing says of what"):
        ShardReader(tmp_path, "train")
    with pytest.raises(PipelineError, match="the 40 labels as an object by name or a list"):
        read(tmp_path, "train")


def test_tars_put_together_with_cat_are_refused(tmp_path):
    """Readers stop at the first end mark, and half of the samples were gone without a word."""
    parts = [write_tar(tmp_path / f"{key}.tar", sample(key)).read_bytes() for key in "ab"]
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars/train-0.tar").write_bytes(b"".join(parts))
    refuse(tmp_path / "tars", r"holds more behind its end at byte .*--ignore-zeros")


@pytest.mark.parametrize("names", [["b.05"], ["b.05", "b.06"]])
def test_keys_with_dots_are_named_not_left_out(tmp_path, names):
    """b.05.jpg and b.05.json are two more files of a sample b, which has no image then."""
    members = sample("a") | {k: v for name in names for k, v in sample(name).items()}
    write_tar(tmp_path / "tars/train-0.tar", members)
    refuse(tmp_path / "tars", r"b has no image but b\.0[56]\.jpg: a key ends at its first dot")


def test_a_second_picture_of_a_sample_is_no_key(tmp_path):
    write_tar(tmp_path / "tars/train-0.tar", sample("a") | {"a.seg.jpg": b"mask"})
    with read(tmp_path / "tars", "train") as reader:
        assert list(reader.read_keys()) == ["a"]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_links_in_a_tar_are_named_with_the_way_to_pack_what_they_point_to(tmp_path, link):
    """GNU tar packs equal files of a cache with hard links so."""
    for name, data in sample("a").items():
        (tmp_path / name).write_bytes(data)
        link(tmp_path / name, tmp_path / name.replace("a", "b"))
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars/train-0.tar", "w") as tar:
        for name in ("a.jpg", "a.json", "b.jpg", "b.json"):
            tar.add(tmp_path / name, name)
    refuse(tmp_path / "tars", r"b\.jpg is a link to .*a\.jpg; .*--hard-dereference")


@pytest.mark.parametrize(("data", "what"), [(b"", "an empty"), (b"<html>", "a damaged")])
def test_a_first_image_that_is_none_is_named_without_addresses_of_memory(tmp_path, data, what):
    write_tar(tmp_path / "tars/train-0.tar", sample("a") | {"a.jpg": data})
    refuse(tmp_path / "tars", rf"a has {what} image; mend")
