"""The labels on one screen: sizes, baselines, the worst imbalance, what to worry about."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pipeline.dataset.corrections import told
from pipeline.tables import Row, Rows

if TYPE_CHECKING:
    from pipeline.dataset.duplicates import Duplicates

SIGNIFICANT: Final = 0.01
"""Chance of a false alarm over all attributes together (Bonferroni)."""

_WORST: Final = 10
"""Attributes in the table of imbalance."""

_DRIFTING: Final = 4
"""Attributes that are named for their drift."""


def overview(
    headline: Row, attributes: Rows, contradictions: Rows, duplicates: "Duplicates | None" = None
) -> str:
    """The screen as text, from the rows of `pipeline.dataset.statistics`."""
    worries = list(_worries(headline, attributes, contradictions)) or ["nothing"]
    blocks = [
        _sizes(headline),
        _imbalance(attributes),
        ["what to worry about", *(f"  {worry}" for worry in worries)],
    ]
    if duplicates:
        crossing = sum(pair["crosses_splits"] for pair in duplicates.rows)
        blocks[-1].append(
            f"  {len(duplicates.rows):,} pairs of {duplicates.images:,} images are equal or nearly"
            f" so, {crossing:,} across splits; they are listed in duplicates.csv"
        )
    return "\n\n".join("\n".join(block) for block in blocks)


def _sizes(headline: Row) -> list[str]:
    images, people = (
        ", ".join(f"{n:,} {split}" for split, n in headline[key].items())
        for key in ("images", "identities")
    )
    baseline, loss = headline["baseline_accuracy"], headline["constant_loss_on_test"]
    parts = headline.get("origins", {})
    return [
        f"images      {images}",
        *(
            f"origins     {split}: {', '.join(f'{n:,} {part}' for part, n in counts.items())}"
            for split, counts in parts.items()
        ),
        *_left_out(headline),
        *_corrected(headline),
        *_unknown(headline),
        f"identities  {people}; {headline['identities_in_two_splits']:,} in two splits",
        f"baseline    accuracy on test {_shown(baseline['train_majority_on_test'], '.6f')} by the"
        f" majority of train, {_shown(baseline['test_majority_on_test'], '.6f')} by that of test",
        f"            loss on test {_shown(loss, '.6f')} by the rates of train",
    ]


def _left_out(headline: Row) -> Iterator[str]:
    if left_out := headline.get("left_out"):
        counts = ", ".join(f"{n:,} {split}" for split, n in left_out["images"].items())
        yield f"left out    {counts} by data.where: {left_out['where']}"


def _corrected(headline: Row) -> Iterator[str]:
    if counts := headline.get("corrections"):
        yield f"corrected   {told(counts)}"


def _unknown(headline: Row) -> Iterator[str]:
    if unknown := headline.get("unknown_labels"):
        total = headline["labels"]
        told = ", ".join(
            f"{n:,} of {total[split]:,} {split}" for split, n in unknown.items() if total[split]
        )
        yield f"not known   labels: {told}"


def _shown(value: float | None, form: str) -> str:
    """A number by its format, a dash where it is not known."""
    return "-" if value is None else format(value, form)


def _imbalance(attributes: Rows) -> list[str]:
    worst = sorted(attributes, key=lambda row: -(row["imbalance"] or float("inf")))[:_WORST]
    width = max(17, *(len(row["attribute"]) for row in worst))
    heading = f"{'worst imbalance':{width + 2}} prevalence   one in   baseline   drift"
    return [heading, *_worst(worst, width)]


def _worst(worst: Rows, width: int) -> Iterator[str]:
    for row in worst:
        known = row["prevalence_train"] is not None
        rare = f"{row['imbalance'] + 1:.1f}" if row["imbalance"] else "never" if known else "-"
        yield (
            f"  {row['attribute']:{width}} {_shown(row['prevalence_train'], '.2%'):>9}  {rare:>8}"
            f"  {_shown(row['baseline_test'], '.2%'):>9}  {_shown(row['drift'], '+.2%'):>6}"
        )


def _worries(headline: Row, attributes: Rows, contradictions: Rows) -> Iterator[str]:
    for split in headline["empty_splits"]:
        yield f"{split} has no images: what needs them is left empty"
    for row in sorted(contradictions, key=lambda row: -row["all"]):
        if row["all"]:
            group = row["at_most_one_of"].replace(" ", ", ")
            yield f"{row['all']:,} images have more than one of {group}"
    known = [row for row in attributes if row["drift_p"] is not None]
    drifting = [row for row in known if row["drift_p"] < SIGNIFICANT / len(attributes)]
    for row in sorted(drifting, key=lambda row: -abs(row["drift"]))[:_DRIFTING]:
        yield f"{row['attribute']} drifts by {row['drift']:+.2%} from train to {row['drift_split']}"
    for row in attributes:
        if not row["imbalance"] and row["prevalence_train"] is not None:
            yield f"{row['attribute']} has a single value in train"
        if row.get("known_train") == 0 and headline["images"]["train"]:
            yield f"{row['attribute']} has no known label in train: nothing can be learned of it"
    if headline["identities_in_two_splits"]:
        yield f"{headline['identities_in_two_splits']:,} identities are in two splits"
    if unknown := sum(headline["images_without_identity"].values()):
        yield f"{unknown:,} images have no identity: no split is known to be without their people"
