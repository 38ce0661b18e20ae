"""What the training labels cannot teach, said before the training begins."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.dataset.view import View
from pipeline.shards.looked_at import split_labels
from pipeline.vocabulary import SPLITS


def unlearnable(shards: Path, view: View) -> Iterator[str]:
    """Clauses that name attributes without a known label, or with one value only, in train."""
    train = split_labels(shards, SPLITS[0], view)
    if not len(train):  # which the reader says
        return
    known, positives = train.counts(), np.count_nonzero(train.values, axis=0)
    for odd, what in (
        (known == 0, "no known label in train, so what the network says of it means nothing"),
        ((known > 0) & ((positives == 0) | (positives == known)), "a single value in train"),
    ):
        if odd.any():
            names = ", ".join(name for name, is_odd in zip(train.names, odd, strict=True) if is_odd)
            yield f"{names}: {what}"
