"""What training saw of each label: logits as they were when an image was last trained on.

They cost no pass of their own: a step has them anyway. The margin of a label is its logit, counted
towards the label. Its mean over the epochs is the *area under the margin* (Pleiss et al.,
"Identifying mislabeled data using the area under the margin ranking", NeurIPS 2020), small where
other images speak against the label. Logits are kept, not margins, so that a label can be judged
once more after it was corrected.
"""

from typing import Final

import numpy as np
import torch

from pipeline.training import processes

LARGEST: Final = 1e4
"""Logits beyond it are cut, so that float16 holds them."""


class SeenLogits:
    """The logits of N training images and A attributes, the running epoch's on the device."""

    def __init__(self, images: int, attributes: int, device: torch.device) -> None:
        shape = images, attributes
        self._epoch = torch.zeros(shape, dtype=torch.float16, device=device)
        self._newest = torch.zeros(shape, dtype=torch.float16)
        self._sum = torch.zeros(shape)
        self._epochs = 0

    def note(self, rows: np.ndarray, logits: torch.Tensor) -> None:
        """Keep the logits [B, A] of some images, int64 [B]; waits for no device."""
        places = torch.from_numpy(rows).to(self._epoch.device, non_blocking=True)
        self._epoch[places] = logits.detach().clamp(-LARGEST, LARGEST).half()

    def end_epoch(self) -> None:
        """Every image was seen once since the last call, by one of the processes of the run."""
        self._newest.copy_(processes.total(self._epoch))
        self._sum += self._newest
        self._epochs += 1
        self._epoch.zero_()

    def newest(self) -> np.ndarray:
        """As each image was last seen, float32 [N, A]."""
        return self._newest.float().numpy()

    def averaged(self) -> np.ndarray:
        """The mean over the epochs, float32 [N, A], with the digits of float16."""
        return (self._sum / max(self._epochs, 1)).half().float().numpy()

    def dump(self) -> dict[str, torch.Tensor]:
        """All of it; every process of the run calls it."""
        return {
            "epoch": processes.total(self._epoch.clone()),
            "newest": self._newest,
            "sum": self._sum,
            "epochs": torch.tensor(self._epochs),
        }

    def restore(self, tensors: dict[str, torch.Tensor], first: bool) -> None:
        """Take up what `dump` gave; the running epoch is that of the `first` process alone."""
        if first:
            self._epoch.copy_(tensors["epoch"])
        self._newest, self._sum = tensors["newest"], tensors["sum"]
        self._epochs = int(tensors["epochs"])
