"""The source `union`: several sources as one dataset, and what leaks between them."""

import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.attributes import set_of_model
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.raw_labels import read_labels
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.dataset.where import Where
from pipeline.errors import PipelineError
from pipeline.sources.synthetic.source import SyntheticSource
from pipeline.sources.table.source import TableSource
from pipeline.sources.union.source import UnionSource
from tests.support.tables import settings, write_table


def drawn(seed: int = 3, **more: object) -> SyntheticSource:
    return SyntheticSource(8, 3, 4, seed=seed, workers=1, **more)


HEADER = ["file", "who", "Smiling", "beard", "split"]
ROWS = [
    ["a/1.jpg", "ann", 1, 0, "train"],
    ["a/2.jpg", "ann", 0, "", "train"],
    ["b/1.jpg", "bob", 1, 1, "test"],
]


@pytest.fixture
def own(tmp_path) -> TableSource:
    table = write_table(tmp_path / "own", ROWS, HEADER)
    labels = ["Smiling", "beard"]
    return TableSource(settings(table, labels=labels, identity="who", split="split"))


def rows_of(raw: Path) -> list[dict]:
    return [
        {**row, "split": path.name.partition("-")[0]}
        for path in sorted(raw.glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_labels_stand_side_by_side_and_each_image_has_its_origin(own, tmp_path, capsys):
    faces = drawn(attributes=["Male", "Smiling"])
    union = UnionSource({"drawn": faces, "own": own}, "fail")
    assert union.counts == {"train": 10, "valid": 3, "test": 5}
    write_raw(union, tmp_path / "raw")
    assert "leaks between parts: none among 18 images" in capsys.readouterr().out
    index = read_source(tmp_path / "raw")
    assert index.attributes == ["Male", "Smiling", "beard"]
    assert (index.extra, index.pictures) == (["origin", "size"], "any")
    rows = {row["image"]["path"]: row for row in rows_of(tmp_path / "raw")}
    mine = {name: row for name, row in rows.items() if row["origin"] == "own"}
    assert len(rows) == 18 and len(mine) == 3
    assert all(re.fullmatch(r"own-[ab]_[12]-[0-9a-f]{8}\.jpg", name) for name in mine)
    told = sorted((r["split"], r["Male"], r["Smiling"], r["beard"]) for r in mine.values())
    assert [row[:3] for row in told] == [
        ("test", None, True), ("train", None, False), ("train", None, True),
    ]  # fmt: skip
    others = [row for row in rows.values() if row["origin"] == "drawn"]
    assert all(row["beard"] is None and row["Male"] is not None for row in others)
    assert all(row["size"] is None for row in others)
    people = {r["celeb_id"] for r in others}, {r["celeb_id"] for r in mine.values()}
    assert not people[0] & people[1] and len(people[1]) == 2
    labels, left_out = read_labels(
        tmp_path / "raw",
        View(set_of_model({"face": ["Smiling", "beard"]}), Where("origin = 'own'")),
    )
    assert labels["train"].origin.tolist() == ["own", "own"]
    assert labels["train"].known.tolist() == [[True, True], [True, False]]
    assert left_out == {"train": 8, "valid": 3, "test": 4}


def test_the_same_people_are_the_same_where_the_sources_count_the_same(tmp_path):
    same = people_of({"a": drawn(seed=3), "b": drawn(seed=3)}, tmp_path / "raw")
    assert same["a"] == same["b"]
    people = people_of({"a": drawn(seed=3), "b": drawn(seed=4)}, tmp_path / "other")
    assert not people["a"] & people["b"]


def people_of(parts: dict, place: Path) -> dict[str, set[int]]:
    """The identities of each part, as the raw files of the union have them."""
    write_raw(UnionSource(parts, "ignore"), place)
    found: dict[str, set[int]] = {part: set() for part in parts}
    for row in rows_of(place):
        found[row["origin"]].add(row["celeb_id"])
    return found


def numbered(folder: Path, rows: list[tuple[int, str]], name: str = "labels.csv") -> TableSource:
    """A table of these persons and splits."""
    lines = [[f"{i}.jpg", person, i % 2, split] for i, (person, split) in enumerate(rows)]
    table = write_table(folder, lines, ["file", "who", "Smiling", "split"], name)
    return TableSource(settings(table, labels=["Smiling"], identity="who", split="split"))


def test_people_of_two_parts_never_meet_whatever_their_numbers_and_splits(tmp_path):
    """The numbers of later splits are the larger ones; both tables are called labels.csv."""
    rows = [(1, "train"), (2, "train"), (90, "valid"), (70, "test"), (4, "test")]
    parts = {part: numbered(tmp_path / part, rows) for part in ("one", "other")}
    people = people_of(parts, tmp_path / "raw")
    assert len(people["one"]) == len(people["other"]) == 5
    assert not people["one"] & people["other"]
    backwards = people_of(dict(reversed(parts.items())), tmp_path / "backwards")
    assert not backwards["one"] & backwards["other"]


def test_identities_that_are_too_large_to_be_kept_apart_are_a_sentence(tmp_path):
    largest = 10**18 - 1
    parts = {f"p{i}": numbered(tmp_path / f"p{i}", [(largest, "train")]) for i in range(9)}
    people = people_of(parts, tmp_path / "raw")
    assert len(set.union(*people.values())) == 9
    more = parts | {"more": numbered(tmp_path / "more", [(largest, "train")])}
    with pytest.raises(PipelineError, match=r"The identity 9{18} of p0 is too large"):
        write_raw(UnionSource(more, "ignore"), tmp_path / "too many")
    assert not (tmp_path / "too many").exists()


@pytest.fixture
def leaking(tmp_path) -> dict:
    """Drawn faces, and one of their training pictures, enlarged, among the tests of a table."""
    faces = drawn()
    first = next(faces.batches("train"))["image"][0].as_py()["bytes"]
    table = write_table(tmp_path / "own", ROWS, HEADER)
    image = Image.open(io.BytesIO(first))
    image.resize((356, 436)).save(tmp_path / "own/b/1.jpg", quality=80)
    (tmp_path / "own/a/1.jpg").write_bytes(first)  # in train as well, which is no leak
    chosen = settings(table, labels=["Smiling", "beard"], split="split")
    return {"drawn": faces, "own": TableSource(chosen)}


def test_a_picture_in_two_splits_of_two_parts_is_named(leaking, tmp_path, capsys):
    with pytest.raises(PipelineError) as raised:
        write_raw(UnionSource(leaking, "fail"), tmp_path / "raw")
    text = str(raised.value)
    assert text.startswith("1 leaks between the parts of the union: near picture: drawn-000001.jpg")
    assert "(train) and own-b_1-" in text and "(test); 1 pairs of pictures of two parts" in text
    assert not (tmp_path / "raw").exists()
    write_raw(UnionSource(leaking, "warn"), tmp_path / "raw")
    assert "1 leaks between the parts of the union: near picture" in capsys.readouterr().out
    write_raw(UnionSource(leaking, "ignore"), tmp_path / "raw")
    assert "leaks" not in capsys.readouterr().out


def test_people_in_two_splits_of_two_parts_are_named(tmp_path):
    """Two parts that count the same people, with other pictures of them in other splits."""

    class Moved(SyntheticSource):
        """The tests of another set of the same persons."""

        def batches(self, split):
            for batch in super().batches(split):
                rows = batch.to_pylist()
                for row in rows:
                    pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))[::-1, ::-1]
                    data = io.BytesIO()
                    Image.fromarray(pixels).save(data, "JPEG")
                    row["image"]["bytes"] = data.getvalue()
                    row["celeb_id"] = 1  # who is in train of the other part
                yield type(batch).from_pylist(rows, schema=self.schema)

    one = drawn(seed=3)
    people = {r["celeb_id"] for b in one.batches("train") for r in b.to_pylist()}
    moved = Moved(0, 0, 2, seed=3, workers=1)
    with pytest.raises(PipelineError, match=r"leaks .*person: 1 of a \(train\) and b \(test\)"):
        assert 1 in people
        write_raw(UnionSource({"a": one, "b": moved}, "fail"), tmp_path / "raw")


def test_what_makes_no_union_is_a_sentence(own, tmp_path):
    for parts in ({}, {"own": own}):
        with pytest.raises(PipelineError, match="a union has two or more"):
            UnionSource(parts, "fail")
    table = write_table(tmp_path / "t", [["1.jpg", 1]], ["file", "smiling"])
    other = TableSource(settings(table, labels=["smiling"]))
    with pytest.raises(PipelineError, match="Smiling and smiling differ in their case alone"):
        UnionSource({"own": own, "other": other}, "fail")
