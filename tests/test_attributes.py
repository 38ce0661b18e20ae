import numpy as np

from pipeline.attributes import (
    CELEBA_ORDER,
    CELEBA_TO_MODEL,
    MODEL_ORDER,
    MODEL_TO_CELEBA,
    REGION_OF,
    REGIONS,
)


def test_both_orders_hold_the_same_40_attributes():
    assert len(CELEBA_ORDER) == len(set(CELEBA_ORDER)) == 40
    assert sorted(CELEBA_ORDER, key=str.lower) == list(CELEBA_ORDER)
    assert set(MODEL_ORDER) == set(CELEBA_ORDER)


def test_regions_have_the_sizes_of_the_report():
    assert [len(names) for names in REGIONS.values()] == [9, 10, 5, 2, 9, 3, 2]
    assert REGION_OF["Wearing_Hat"] == "hair"


def test_mappings_move_each_attribute_to_its_place_and_back():
    names = np.array(CELEBA_ORDER)
    assert tuple(names[list(CELEBA_TO_MODEL)]) == MODEL_ORDER
    assert tuple(names[list(CELEBA_TO_MODEL)][list(MODEL_TO_CELEBA)]) == CELEBA_ORDER
