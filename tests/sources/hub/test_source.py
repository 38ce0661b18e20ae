"""The source `hub`: the rows of any repo of CelebA in any form, and what is no CelebA."""

import itertools
import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.raw_writer import write_raw
from pipeline.errors import PipelineError
from pipeline.sources.hub import files as hub_files
from pipeline.sources.hub import source as hub_source
from pipeline.sources.hub.source import HubSource
from tests.support.attributes import CELEBA_ORDER, SCHEMA
from tests.support.hub_server import (
    COMMIT,
    REPO,
    TRAIN,
    Cut,
    Page,
    Whole,
    assert_same,
    changed,
)
from tests.support.project import COUNTS


def as_published(table: pa.Table) -> pa.Table:
    return table


def as_signs(table: pa.Table) -> pa.Table:
    """Labels of -1 and 1, columns in another order, one column more, wider types."""
    for name in CELEBA_ORDER:
        signs = [1 if value else -1 for value in table[name].to_pylist()]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(signs))
    table = table.append_column("prompt", pa.array(["a face"] * len(table)))
    images = table["image"].combine_chunks()
    wide = pa.StructArray.from_arrays(
        [images.field("path"), images.field("bytes").cast(pa.large_binary())], ["path", "bytes"]
    )
    table = table.set_column(table.schema.get_field_index("image"), "image", wide)
    return table.select(sorted(table.schema.names, reverse=True))


def as_digits(table: pa.Table) -> pa.Table:
    """Labels of 0 and 1 in a byte, no metadata."""
    kinds = {**{name: pa.uint8() for name in CELEBA_ORDER}, "celeb_id": pa.int32()}
    fields = [pa.field(f.name, kinds.get(f.name, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


@pytest.mark.parametrize("change", [as_published, as_signs, as_digits])
@pytest.mark.parametrize("valid", ["valid", "validation"])
def test_every_form_gives_the_same_rows(server, source, raw, tmp_path, change, valid):
    content = changed(server.files, change)
    server.files = {name.replace("/valid-", f"/{valid}-"): c for name, c in content.items()}
    opened = source()
    assert opened.counts == COUNTS
    record = write_raw(opened, tmp_path / "raw")
    assert_same(tmp_path / "raw", raw)
    assert record.images == sum(COUNTS.values())


def test_the_layout_of_the_converted_branch_is_found(server, source):
    server.files = {
        name.replace("-0000", "/0000"): content for name, content in server.files.items()
    }
    assert source().counts == COUNTS


def test_source_json_tells_where_from_and_nothing_of_this_machine(source, server, tmp_path):
    opened = source(revision="main")
    record = write_raw(opened, tmp_path / "raw")
    assert record.provenance["repo"] == REPO
    assert record.provenance["revision"] == COMMIT
    assert "non-commercial" in record.licence
    assert record.provenance["licence_on_the_hub"] == "celeba-dataset-release-agreement"
    assert len(record.provenance["downloads"]) == 4
    assert record.provenance["downloads"][TRAIN]["bytes"] == len(server.files[TRAIN])
    assert str(tmp_path) not in json.dumps(record.content())
    assert server.url not in json.dumps(record.content())
    assert "84 images (named) in 4 parquet files" in opened.found()


def test_without_identities_they_are_null(server, source, tmp_path):
    server.files = changed(server.files, lambda table: table.drop_columns("celeb_id"))
    for batch in source().batches("test"):
        assert batch["celeb_id"].null_count == len(batch)


# Names


def with_paths(table: pa.Table, paths: list[str | None], images: pa.Array | None = None):
    images = table["image"].combine_chunks().field("bytes") if images is None else images
    struct = pa.StructArray.from_arrays([images, pa.array(paths, pa.string())], ["bytes", "path"])
    return table.set_column(table.schema.get_field_index("image"), "image", struct)


def names_of(opened: HubSource) -> list[str]:
    return [
        name
        for split in COUNTS
        for batch in opened.batches(split)
        for name in batch["image"].field("path").to_pylist()
    ]


NUMBERS = [f"{number:06d}" for number in range(1, 1 + sum(COUNTS.values()))]


@pytest.mark.parametrize("path", [None, "image.jpg", "", "ünsafe.jpg"])
def test_images_without_names_of_their_own_are_numbered_over_the_dataset(server, source, path):
    server.files = changed(server.files, lambda t: with_paths(t, [path] * len(t)))
    assert names_of(source()) == [f"{number}.jpg" for number in NUMBERS]


def test_the_extension_of_a_numbered_image_tells_its_format(server, source):
    heads = itertools.cycle([b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"RIFFxxxxWEBP", b"?"])
    server.files = changed(
        server.files,
        lambda t: with_paths(t, [None] * len(t), pa.array([next(heads) for _ in range(len(t))])),
    )
    ends = itertools.cycle([".png", ".jpg", ".webp", ".bin"])
    assert names_of(source()) == [number + next(ends) for number in NUMBERS]


@pytest.mark.parametrize("form", ["celeba/{}.png", "C:\\faces\\{}.png"])
def test_a_file_name_is_kept_and_its_folder_is_not(server, source, form):
    numbers = iter(NUMBERS)
    server.files = changed(
        server.files, lambda t: with_paths(t, [form.format(next(numbers)) for _ in range(len(t))])
    )
    assert names_of(source()) == [f"{number}.jpg" for number in NUMBERS]  # what the bytes are


def test_a_name_without_an_extension_gets_that_of_its_bytes(server, source):
    numbers = iter(NUMBERS)
    server.files = changed(
        server.files, lambda t: with_paths(t, [f"face_{next(numbers)}" for _ in range(len(t))])
    )
    assert names_of(source()) == [f"face_{number}.jpg" for number in NUMBERS]


# What is no CelebA


def replaced(name: str, values: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        column = pa.array([values] * len(table))
        return table.set_column(table.schema.get_field_index(name), name, column)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop_columns(["Male"]), "lacks the columns Male; set"),
        (lambda t: t.drop_columns(["image", "Male"]), "lacks the columns image, Male; set"),
        (lambda t: t.select(["image"]), "5_o_Clock_Shadow, Arched_Eyebrows, Attractive and 37 mo"),
        (replaced("image", b"jpeg"), "the column image of img_align"),
        (replaced("image", {"path": "1.jpg"}), "an image is a struct with bytes"),
        (replaced("image", {"bytes": b"", "path": "1.jpg"}), "row 0: the image has 0 bytes"),
        (replaced("Male", "yes"), "the column Male of"),
        (replaced("Male", 2), "column Male holds 2"),
        (replaced("Male", pa.scalar(None, pa.bool_())), "column Male holds None"),
    ],
)
def test_what_is_no_celeba_is_named(server, source, tmp_path, change, sentence):
    server.files = changed(server.files, change)
    with pytest.raises(PipelineError) as raised:
        write_raw(source(), tmp_path / "out/raw")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("out/*"))


# Columns, looked at before the files are fetched


@pytest.mark.parametrize("footer", [hub_files.FOOTER, 100, 8])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop_columns(["Male"]), "train-00000-of-00002.parquet lacks the columns Male"),
        (replaced("celeb_id", "n000002"), "the column celeb_id of img_align"),
        (replaced("celeb_id", 2.5), "is of type double; an image"),
    ],
)
def test_wrong_columns_are_told_from_the_end_of_one_file(
    server, source, monkeypatch, change, sentence, footer
):
    monkeypatch.setattr(hub_files, "FOOTER", footer)
    server.files = changed(server.files, change)
    with pytest.raises(PipelineError) as raised:
        source()
    assert sentence in str(raised.value)
    assert server.requests("store") == []


@pytest.mark.parametrize("moods", [[None, Whole()], [None, Cut(100), None, None], [Page()]])
def test_without_the_end_of_a_file_the_columns_are_told_from_the_whole(server, source, moods):
    server.moods("end", moods)
    assert source().counts == COUNTS
    server.files = changed(server.files, lambda t: t.drop_columns(["Male"]))
    server.moods("end", moods)
    with pytest.raises(PipelineError, match="lacks the columns Male"):
        source("flwrlabs/celeba", "main")


def test_an_image_too_large_is_refused(server, source, monkeypatch):
    monkeypatch.setattr(hub_source, "LARGEST_IMAGE", 1000)
    with pytest.raises(PipelineError, match=r"row 0: the image has .* bytes, which no image"):
        next(source().batches("train"))


def test_a_file_that_is_no_parquet_is_named(server, source):
    server.files[TRAIN] = b"PAR1 not really"
    with pytest.raises(PipelineError, match=r"train-00000-of-00002\.parquet is as the Hub has it"):
        source()


def test_a_split_that_is_missing_is_named(server, source):
    server.files = {name: c for name, c in server.files.items() if "/valid-" not in name}
    with pytest.raises(PipelineError, match=r"holds no valid-\*\.parquet at 0123"):
        source()


@given(
    values=st.lists(st.sampled_from([-1, 0, 1, 2, None, -(2**62)]), min_size=1, max_size=20),
    kind=st.sampled_from([pa.int8(), pa.int64(), pa.bool_()]),
)
def test_labels_are_what_they_say_or_refused(values, kind):
    try:
        column = pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        return
    held = set(column.to_pylist())
    if held <= {0, 1} or held <= {-1, 1}:
        assert hub_source._labels(column, "x").to_pylist() == [
            value > 0 for value in column.to_pylist()
        ]
    else:
        with pytest.raises(PipelineError):
            hub_source._labels(column, "x")


def test_the_rows_have_the_schema_of_raw(source):
    assert all(batch.schema.equals(SCHEMA) for batch in source().batches("train"))
