"""Made-up evaluations of sets of any size, with names as long as they may be; CelebA's, cut."""

import json
from collections.abc import Iterable
from itertools import cycle, islice

from pipeline.tables import Row
from tests.support.attributes import CELEBA

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


def celeba_without(*names: str) -> str:
    """The text of CelebA's set less some attributes, as JSON, which is YAML too."""
    values = CELEBA.model_dump()

    def rest(of: Iterable[str]) -> list[str]:
        return [name for name in of if name not in names]

    values["attributes"] = {name: values["attributes"][name] for name in rest(CELEBA.names)}
    values["regions"] = {region: rest(of) for region, of in CELEBA.regions.items() if rest(of)}
    values["groups"] = [rest(group) for group in CELEBA.groups if len(rest(group)) > 1]
    return json.dumps({**values, "name": "mine", "hidden": rest(CELEBA.hidden)})
