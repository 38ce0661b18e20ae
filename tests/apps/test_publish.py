"""A view baked into shards of its own, as others read them."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset

from pipeline.dataset.corrections import Correction, Corrections, spell, write_corrections
from pipeline.report.card import write_card
from pipeline.shards.index import read_index
from pipeline.shards.read import ShardReader
from tests.support.shards import hashes, project_of

OUT = Path("published")


@pytest.fixture
def publish(pipeline, shards) -> Callable[..., tuple[int, str, str]]:
    """Run `pipeline publish` in a project whose labels are corrected."""
    project_of(shards, Path())
    index = {row["key"]: row for row in pq.read_table(shards / "index.parquet").to_pylist()}
    smiling, young, male = (
        index[key][name]
        for key, name in (("000001", "Smiling"), ("000002", "Young"), ("000050", "Male"))
    )
    rows = (
        Correction("000001", "Smiling", spell(smiling), spell(not smiling), "seen"),
        Correction("000002", "Young", spell(young), ""),
        Correction("000003", "image", "keep", "drop"),
        Correction("000004", "split", "train", "test"),
        Correction("000050", "Male", spell(male), spell(male)),
    )
    write_corrections(Corrections(Path("corrections/synthetic.csv"), rows))
    return lambda *arguments: pipeline("publish", *arguments)


def members(folder: Path) -> dict[str, tuple[str, bytes, dict]]:
    """Key -> its shard, image and JSON, as tarfile reads them."""
    found: dict[str, tuple[str, bytes, dict]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            files = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
        for name, data in files.items():
            if name.endswith(".jpg"):
                key = name.removesuffix(".jpg")
                found[key] = path.name, data, json.loads(files[f"{key}.json"])
    return found


def test_labels_are_the_views_and_crops_are_copied_as_they_are(publish, pipeline, shards):
    code, out, _ = publish(str(OUT))
    assert code == 0 and "46 train, 16 valid, 21 test crops" in out and "licence: CC0-1.0" in out
    before, after = members(shards), members(OUT)
    assert set(before) - set(after) == {"000003"}
    assert after["000004"][0] == "test-000000.tar"
    names = read_index(OUT).attributes
    apart = set()
    for key, (_, image, said) in after.items():
        _, image_before, said_before = before[key]
        assert image == image_before
        assert (said["path"], said["celeb_id"]) == (said_before["path"], said_before["celeb_id"])
        pairs = zip(names, said["attributes"], said_before["attributes"], strict=True)
        apart |= {(key, name, there) for name, there, here in pairs if there != here}
    smiling = before["000001"][2]["attributes"][names.index("Smiling")]
    assert apart == {("000001", "Smiling", 1 - smiling), ("000002", "Young", None)}
    kept = Path("corrections/synthetic.csv").read_bytes()
    assert (OUT / "corrections.csv").read_bytes() == kept
    code, out, err = pipeline("verify", str(OUT))
    assert code == 0 and "83 crops in 4 shards are as their indexes say" in out, err


def test_others_read_it_without_help(publish):
    publish(str(OUT))
    with ShardReader(OUT, "test") as reader:
        assert reader.read_keys()[-1] == "000004" and len(reader) == 21
        [batch] = reader.batches([np.arange(21)])
        assert batch.images.shape == (21, 64, 64, 3)
        labels = dict(zip(reader.read_keys(), reader.labels().values.tolist(), strict=True))
    tars = [str(OUT / "test-000000.tar")]
    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("rgb"))
    assert {s["__key__"]: list(map(bool, s["json"]["attributes"])) for s in read} == labels
    loaded = datasets.load_dataset(str(OUT), cache_dir="hub")
    assert {split: len(rows) for split, rows in loaded.items()} == {
        "train": 46, "valid": 16, "test": 21
    }  # fmt: skip
    info = json.loads((OUT / "_info.json").read_text())["splits"]["train"]
    assert info["num_samples"] == 46 and info["filenames"] == [
        "train-000000.tar",
        "train-000001.tar",
    ]


def test_the_card_says_what_was_corrected(publish):
    publish(str(OUT))
    card = (OUT / "README.md").read_text()
    assert "## A view of its source" in card
    assert "1 images of the source are left out, 1 of them because they were dropped" in card
    assert "1 are in another split than there. 1 labels were looked at and left" in card
    assert "| Young | 0 | 0 | 1 |" in card
    assert "must not be given to others" not in card
    index = json.loads((OUT / "index.json").read_text())
    assert index["provenance"]["view"]["attributes"] == "CelebA"
    (OUT / "index.json").write_text(json.dumps(index | {"source": "folder"}))
    write_card(OUT)
    assert "CelebA's and must not be given to others" in (OUT / "README.md").read_text()
    index["provenance"]["view"] = {"attributes": ["<b>"]}  # of somebody else
    (OUT / "index.json").write_text(json.dumps(index))
    write_card(OUT)
    assert "A view of" not in (OUT / "README.md").read_text()


def test_the_same_view_gives_the_same_bytes_again(publish):
    publish(str(OUT))
    first = hashes(OUT)
    (OUT / "test-000007.tar").touch()  # of an earlier publish with more shards
    assert publish(str(OUT))[0] == 0
    assert hashes(OUT) == first
    Path("other").mkdir()
    assert publish("other")[0] == 0
    assert hashes(Path("other")) == first


def test_a_smaller_set_and_an_expression_are_baked_in(publish, pipeline):
    Path("two.yaml").write_text(
        "name: Two\nlicence: CC0-1.0\nsource: us\nattributes: {Young: null, Male: null}\n"
        "regions: {b: [Male], a: [Young]}\n"
    )
    params = Path("params.yaml").read_text()
    params = params.replace("attributes: celeba", "attributes: two.yaml")
    Path("params.yaml").write_text(params.replace("where: null", "where: Smiling and not Bald", 1))
    code, _, err = publish("data/synthetic/two")
    assert code == 0, err
    index = read_index(Path("data/synthetic/two"))
    assert index.attributes == ["Young", "Male"]
    assert 0 < sum(index.counts.values()) < 83
    rows = members(Path("data/synthetic/two"))
    assert {len(said["attributes"]) for _, _, said in rows.values()} == {2}
    card = Path("data/synthetic/two/README.md").read_text()
    assert "images those for which this holds: Smiling and not Bald" in card
    # Raw files beside it have other labels and more images, which is no fault of a view.
    Path("data/synthetic/raw").mkdir()
    Path("data/synthetic/raw/source.json").write_text("{}")
    assert pipeline("verify", "data/synthetic/two")[0] == 0


def test_damage_ends_it_with_the_sample_and_leaves_nothing(publish):
    tar = Path("data/synthetic/shards/train-000001.tar")
    data = bytearray(tar.read_bytes())
    data[1024] ^= 255
    tar.write_bytes(data)
    code, _, err = publish(str(OUT))
    assert code == 1 and "train-000001.tar: the image of 0000" in err and "crc32" in err
    assert not OUT.exists()
    data[1024] ^= 255
    at = data.index(b'"path": "')
    data[at : at + 9] = b'"pfad": "'
    tar.write_bytes(data)
    code, _, err = publish(str(OUT))
    assert code == 1 and "the JSON of 0000" in err
    assert not OUT.exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("params.yaml", "params.yaml is a file; name a folder"),
        ("data", "data holds synthetic, which is kept"),
        ("data/synthetic/shards", "holds shards that are no earlier publish"),
        ("mine", "mine holds notes.txt, which is kept"),
    ],
)
def test_no_other_folder_is_replaced(publish, place, said):
    publish("mine")
    Path("mine/notes.txt").touch()
    code, _, err = publish(place)
    assert code == 1 and said in err
    assert Path("params.yaml").is_file() and Path("data/synthetic/shards/index.json").exists()
    assert Path("mine/notes.txt").exists()


def test_where_nothing_counts_or_shards_are_foreign_it_says_so(publish):
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("where: null", "where: Bald and not Bald", 1))
    code, _, err = publish(str(OUT))
    assert code == 1 and "data.where and corrections leave none" in err
    Path("params.yaml").write_text(params)
    Path("data/synthetic/shards/index.json").unlink()
    code, _, err = publish(str(OUT))
    assert code == 1 and err.count("\n") == 1
    shutil.rmtree("data")
    code, _, err = publish(str(OUT))
    assert code == 1 and "run `pipeline shard` first" in err and not OUT.exists()
