"""Made-up evaluations of attribute sets of any size, with names as long as they may be."""

from itertools import cycle, islice

from pipeline.tables import Row

_WORDS = ("Left", "Upper", "Wearing", "Sunglasses", "Slightly", "Open", "Narrow", "W" * 10)


def long_name(number: int) -> str:
    """64 letters, the last of them the number."""
    words = "_".join(islice(cycle(_WORDS), number % 7, number % 7 + 12))
    return f"{words[: 64 - len(str(number)) - 1]}_{number}"


def evaluation_of(attributes: int, regions: int, *, long: bool = False) -> list[Row]:
    """Rows as those of an evaluation, the attributes spread evenly over the regions."""
    tail = "_and_all_that_is_around" if long else ""
    rows: list[Row] = []
    for i in range(attributes):
        share = 0.02 + 0.48 * (i * 7 % 11) / 11
        rows.append(
            {
                "attribute": long_name(i) if long else f"Number_{i}",
                "region": f"part_{i * regions // attributes}{tail}",
                "accuracy": 100 - 25 * share,
                "baseline": 100 - 100 * share,
                "prevalence": share,
                "recall": 1 - share,
                "prevalence_train": share,
                "prevalence_valid": 0.9 * share,
                "prevalence_test": 1.1 * share,
            }
        )
    return rows
