"""Names and card: what every exported file says of itself."""

import json

import pytest

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError
from pipeline.export.card import About, check_attributes


def test_the_card_is_json_in_model_order() -> None:
    about = About("1", "for research", thresholds=tuple(i / 40 for i in range(40)))
    card = {key: json.loads(value) for key, value in about.metadata().items()}
    assert card["attributes"] == list(MODEL_ORDER)
    assert card["regions"] == {region: list(names) for region, names in REGIONS.items()}
    assert card["thresholds"] == [i / 40 for i in range(40)]
    with pytest.raises(ValueError, match="3 thresholds"):
        About("1", "for research", thresholds=(0.5,) * 3)


def test_other_attribute_names_or_orders_are_refused() -> None:
    check_attributes({"attributes": json.dumps(MODEL_ORDER)}, "x")
    swapped = [MODEL_ORDER[1], MODEL_ORDER[0], *MODEL_ORDER[2:]]
    with pytest.raises(PipelineError, match="another order"):
        check_attributes({"attributes": json.dumps(swapped)}, "x")
    with pytest.raises(PipelineError, match="does not name"):
        check_attributes({}, "x")
