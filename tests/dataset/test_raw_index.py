"""source.json: what it tells, and what is refused."""

import json

import pyarrow.parquet as pq
import pytest

from pipeline.dataset.raw_index import read_source
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from tests.support.project import COUNTS


def test_source_json_tells_counts_and_hashes(raw):
    record = read_source(raw)
    assert record.counts == COUNTS
    for name, file in record.files.items():
        assert sha256_of(raw / name) == file.sha256
        assert pq.read_metadata(raw / name).num_rows == file.rows
    assert record.licence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content.pop("licence"), "names no licence"),
        (lambda content: content.update(images="84"), "images: Input should be a valid integer"),
        (lambda content: content["files"].update({"../x": {}}), "files"),
    ],
)
def test_what_is_not_source_json_is_refused_with_the_place(raw, tmp_path, change, said):
    content = json.loads((raw / "source.json").read_text())
    change(content)
    (tmp_path / "source.json").write_text(json.dumps(content))
    with pytest.raises(PipelineError, match=r"source\.json is damaged") as refused:
        read_source(tmp_path)
    assert said in str(refused.value)


def test_the_content_is_the_file(raw):
    assert read_source(raw).content() == json.loads((raw / "source.json").read_text())
