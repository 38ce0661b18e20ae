"""The order of an epoch, and how it is cut into batches for each process of a run."""

import numpy as np

from pipeline.errors import PipelineError


def epoch_order(samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: a permutation of 0..samples-1 ([N] int64) by seed and epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def cut(order: np.ndarray, batch_size: int, rank: int = 0, world: int = 1) -> list[np.ndarray]:
    """The rows (int64) of each batch of a rank: its part of every global batch of `batch_size`.

    Parts of a batch differ by one sample at most. The last batch is the rest, unless that is a
    single sample (which batch norm cannot take) or fewer samples than there are ranks: then it
    joins the batch before it. Raises PipelineError where a rank would have to go without a sample.
    """
    if world > min(batch_size, len(order)):
        raise PipelineError(
            f"{world} processes cannot share batches of {batch_size:,} from {len(order):,} samples:"
            " each needs one at least; run fewer processes or set a larger batch_size."
        )
    starts = np.arange(0, len(order), batch_size)
    if 0 < len(order) % batch_size < max(2, world):
        starts = starts[:-1]
    return [np.array_split(batch, world)[rank] for batch in np.split(order, starts[1:])]
