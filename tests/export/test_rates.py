"""How well each attribute is found, as apps are told."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.export.rates import missed, read_missed, read_rates


def test_attributes_that_are_hardly_found_are_missed() -> None:
    names = ("Bald", "Hat", "Male", "Young")
    assert missed(names, (0.05, 0.1, None, 0.9), 0.1) == ["Bald"]
    assert missed(names, (), 0.1) == []
    assert read_missed({"missed": '["Hat", "Nose"]'}, names) == {"Hat"}
    for text in ("{", "7", "null", '{"Hat": 1}', "[1, null]"):
        assert read_missed({"missed": text}, names) == set()
    assert read_missed({}, names) == set()


def test_rates_are_those_at_the_thresholds_of_apps(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_text(
        "attribute,accuracy,recall,accuracy_chosen,recall_chosen\n"
        "Hat,0.9,0.5,0.95,0.6\nMale,0.8,,,\nYoung,0.7,0.6,,\n"
    )
    assert read_rates(tmp_path, ("Young", "Hat", "Male")) == ((0.7, 0.95, 0.8), (0.6, 0.6, None))
    for text in ("attribute\nHat\n", "", "attribute,accuracy,recall,accuracy_chosen\nHat,x,1,\n"):
        path.write_text(text)
        with pytest.raises(PipelineError, match=r"attributes\.csv is damaged .*; run `pipeline ev"):
            read_rates(tmp_path, ("Hat",))
    path.unlink()
    with pytest.raises(PipelineError, match=r"attributes\.csv is missing; run `pipeline evaluate`"):
        read_rates(tmp_path, ("Hat",))
