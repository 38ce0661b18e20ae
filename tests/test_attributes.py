from pipeline.attributes import (
    CELEBA_ORDER,
    MODEL_ORDER,
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
