"""Names and card: what every exported file says of itself."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation.thresholds import as_json
from pipeline.export.card import About, about_run, check_attributes
from tests.support.attributes import MODEL_ORDER, REGIONS


def test_the_card_is_json_in_model_order() -> None:
    about = About("1", "for research", thresholds=tuple(i / 40 for i in range(40)))
    card = {key: json.loads(value) for key, value in about.metadata().items()}
    assert card["attributes"] == list(MODEL_ORDER)
    assert card["regions"] == {region: list(names) for region, names in REGIONS.items()}
    assert card["thresholds"] == [i / 40 for i in range(40)]
    with pytest.raises(ValueError, match="3 thresholds"):
        About("1", "for research", thresholds=(0.5,) * 3)


def test_thresholds_that_were_not_chosen_are_the_fixed_one(tmp_path: Path) -> None:
    kept = as_json(None, 0.4, "f1")
    (tmp_path / "thresholds.json").write_text(json.dumps(kept))
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    about = about_run(SimpleNamespace(licence=None, source=None), tmp_path, tmp_path)
    assert (about.thresholds, about.fixed_threshold, about.chosen_for) == ((0.4,) * 40, 0.4, "")


def test_other_attribute_names_or_orders_are_refused() -> None:
    check_attributes({"attributes": json.dumps(MODEL_ORDER)}, "x")
    swapped = [MODEL_ORDER[1], MODEL_ORDER[0], *MODEL_ORDER[2:]]
    with pytest.raises(PipelineError, match="another order"):
        check_attributes({"attributes": json.dumps(swapped)}, "x")
    with pytest.raises(PipelineError, match="does not name"):
        check_attributes({}, "x")
