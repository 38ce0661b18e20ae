"""The losses of the steps. They stay on the device until they are fetched.

Each fetch makes a GPU wait, so the loop fetches the losses of several steps at once.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from pipeline.errors import PipelineError
from pipeline.training import processes

OnStep = Callable[[int, float], None]
"""Called with the number of a step, from 1, and its loss."""


class Losses:
    """Loss and accuracy of an epoch's steps, summed over its images as they were trained on.

    `key` gives the name of a sample, for the message about a loss that is not finite. `on_step` is
    called once for each step, in their order, when its loss has been fetched.
    """

    def __init__(self, key: Callable[[int], str], on_step: OnStep | None = None) -> None:
        self._key, self._on_step = key, on_step
        self._waiting: list[tuple[int, np.ndarray, int, torch.Tensor]] = []
        self.loss_sum, self.accuracy_sum = 0.0, 0.0
        self.last = math.nan
        """The loss of the last step that was fetched."""

    def add(self, step: int, rows: np.ndarray, size: int, measured: torch.Tensor) -> None:
        """Note what a step measured, without waiting for the device.

        `rows` are this process's samples in a global batch of `size`; `measured` holds their
        shares of its mean loss and of its accuracy, float32 [2].
        """
        self._waiting.append((step, rows, size, measured))

    def fetch(self, epoch: int) -> None:
        """Add the steps noted since the last fetch; all processes of a run call it together.

        Raises PipelineError where a loss is not finite; `epoch`, from 1, is for its message.
        """
        if not self._waiting:
            return
        fetched = processes.total(torch.stack([m for *_, m in self._waiting])).tolist()
        for (step, rows, size, _), (loss, accuracy) in zip(self._waiting, fetched, strict=True):
            if not math.isfinite(loss):
                keys = ", ".join(self._key(int(row)) for row in rows)
                raise PipelineError(
                    f"The loss is {loss} at step {step:,}, in epoch {epoch}; lower train.lr,"
                    f" set train.clip, or look at the samples of the step: {keys}."
                )
            self.loss_sum += loss * size
            self.accuracy_sum += accuracy * size
            self.last = loss
            if self._on_step:
                self._on_step(step, loss)
        self._waiting.clear()

    def restart(self, loss_sum: float = 0.0, accuracy_sum: float = 0.0) -> None:
        """Begin an epoch, or go on within one where a checkpoint left off."""
        self.loss_sum, self.accuracy_sum = loss_sum, accuracy_sum
