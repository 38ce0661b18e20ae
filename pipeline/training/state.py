"""What training changes: weights, their average, the optimiser, and how far the run has come.

`dump` writes all of it down and `restore` takes it up again, so a run that goes on from a
checkpoint makes the steps that it would have made.
"""

import math
from typing import TypedDict

import numpy as np
import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.dataset.labels import Labels
from pipeline.errors import PipelineError
from pipeline.network.inference import predict_logits
from pipeline.network.model import FaceAttributes, to_float
from pipeline.params import Train
from pipeline.shards.read import Batch, ShardReader
from pipeline.training import processes
from pipeline.training.augment import Draw, augment, transform
from pipeline.training.checkpoints import Snapshot
from pipeline.training.losses import Losses, OnStep
from pipeline.training.seen import SeenLogits
from pipeline.training.timing import Speed


class Epoch(TypedDict):
    """One row of history.csv.

    What it says of train is of the augmented images, as the network was when it saw them.
    """

    epoch: int
    """From 1."""

    step: int
    """Steps made so far."""

    lr: float
    """The learning rate of the last of them."""

    train_loss: float
    valid_loss: float
    train_accuracy: float
    valid_accuracy: float


class TrainingState:
    """A network in training.

    `samples` is the training split, its labels in model order; where `positive_weights` is set, the
    weights of positives come from them. Raises PipelineError where none of its labels is known.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: FaceAttributes,
        settings: Train,
        samples: ShardReader,
        on_step: OnStep | None = None,
    ) -> None:
        self.fabric, self.settings = fabric, settings
        self._layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        processes.synchronise_batch_norms(model, fabric)
        self.model = model.to(fabric.device).to(memory_format=self._layout)
        self.average = (
            ModelEmaV3(self.model, decay=settings.ema, use_warmup=True) if settings.ema else None
        )
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        wrapped = fabric.setup_optimizers(self.optimizer)
        assert not isinstance(wrapped, tuple)
        self._fabric_optimizer = wrapped
        self._compiled = self._compile(self.model)
        self._judged = self._compile(self.average.module) if self.average else self._compiled
        # On a CPU the augmentation is faster uncompiled.
        on_gpu = fabric.device.type == "cuda"
        self._transform = torch.compile(transform) if settings.compile and on_gpu else transform
        self._positive_weight = (
            torch.from_numpy(positive_weights(samples.labels())).to(fabric.device)
            if settings.positive_weights
            else None
        )
        self._frozen: bool | None = None
        self._best: dict[str, torch.Tensor] = {}
        self._labels = samples.known_labels(np.arange(len(samples)))
        if not self._labels:
            raise PipelineError(
                f"{samples.folder} has no known label of {samples.split}: nothing can be learned."
            )
        self.seen = SeenLogits(len(samples), len(samples.names), fabric.device)
        self.step = 0
        """Steps made so far."""
        self.losses = Losses(samples.key, on_step)
        self.history: list[Epoch] = []
        self.speed: list[Speed] = []

    @property
    def epoch(self) -> int:
        """The epoch that it is in, from 1."""
        return len(self.history) + 1

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.history) >= self.settings.epochs

    def _compile(self, model: nn.Module) -> nn.Module:
        return torch.compile(model) if self.settings.compile else model  # type: ignore[return-value]

    def begin_epoch(self) -> None:
        """Freeze the backbone or free it, as this epoch wants it, and go into training mode."""
        frozen = self.epoch <= self.settings.frozen_epochs
        if frozen != self._frozen:
            self.model.freeze_backbone(frozen)
            # DDP averages the gradients of those weights that were free when it was set up.
            self._network = self.fabric.setup_module(self._compiled, move_to_device=False)
            self._frozen = frozen
        self.model.train()

    def make_step(self, batch: Batch, drawn: Draw, labels: int, rate: float) -> None:
        """Augment, go forward and backward, and move the weights at the learning rate `rate`.

        `batch` and `drawn` are this process's share of a global batch, of which so many `labels`
        are known: the loss is their mean. They go through the network in `accumulate` pieces.
        """
        settings = self.settings
        torch.manual_seed(_step_seed(settings.seed, self.step, self.fabric.global_rank))
        count = len(batch.rows)
        pieces = np.array_split(np.arange(count), min(settings.accumulate, count))
        measured = torch.zeros(2, device=self.fabric.device)  # loss, accuracy
        for piece in pieces:
            chosen = slice(piece[0], piece[-1] + 1)
            images = to_float(self._to_device(batch.images[chosen]))
            images = augment(images, drawn[chosen], self._transform)
            images = images.contiguous(memory_format=self._layout)
            truth = self._to_device(batch.labels[chosen]).float()
            known = None if batch.known is None else self._to_device(batch.known[chosen])
            last = piece is pieces[-1]
            with self.fabric.no_backward_sync(self._network, enabled=not last):
                logits = self._network(images)
                loss = self._loss(logits, truth, known) / max(labels, 1)
                # DDP takes the mean over processes, but their losses are to be summed.
                self.fabric.backward(loss * self.fabric.world_size)
            self.seen.note(batch.rows[chosen], logits)
            right = (logits.detach() >= 0) == (truth > 0)
            right = (right if known is None else right & known).sum() / max(labels, 1)
            measured += torch.stack([loss.detach(), right])
        if settings.clip:
            self.fabric.clip_gradients(
                self._network, self._fabric_optimizer, max_norm=settings.clip
            )
        self.rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._fabric_optimizer.step()
        self._fabric_optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average:
            self.average.update(self.model, self.step)
        self.losses.add(self.step, batch.rows, labels, measured)

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self.fabric.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.fabric.device, non_blocking=True)

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor | None
    ) -> torch.Tensor:
        """The sum over the labels that are known."""
        smoothing = self.settings.label_smoothing
        return binary_cross_entropy_with_logits(
            logits,
            labels * (1 - smoothing) + smoothing / 2 if smoothing else labels,
            weight=None if known is None else known.float(),
            pos_weight=self._positive_weight,
            reduction="sum",
        )

    def end_epoch(self, valid: ShardReader) -> None:
        """Judge the network on valid and write the epoch's row of history."""
        self.losses.fetch(self.epoch)
        self.seen.end_epoch()
        fabric = self.fabric
        if self.average:  # drops the attention biases that it cached when it was last judged
            self.average.module.train()
        with fabric.autocast():
            here = predict_logits(
                self._judged, valid, self.settings.batch_size, fabric.device,
                fabric.global_rank, fabric.world_size,
            )  # fmt: skip
        logits = processes.total(torch.from_numpy(here).to(fabric.device)).cpu()
        judged = valid.labels()
        truth, right = torch.from_numpy(judged.values), logits >= 0
        known = None if judged.known is None else torch.from_numpy(judged.known)
        if known is not None:
            logits, truth, right = logits[known], truth[known], right[known]
        loss = binary_cross_entropy_with_logits(logits, truth.float()).item()
        if self.settings.keep == "best" and all(loss < row["valid_loss"] for row in self.history):
            self._best = {name: t.cpu().clone() for name, t in self._weights().items()}
        self.history.append(
            {
                "epoch": self.epoch,
                "step": self.step,
                "lr": self.rate,
                "train_loss": self.losses.loss_sum / self._labels,
                "valid_loss": loss,
                "train_accuracy": self.losses.accuracy_sum / self._labels,
                "valid_accuracy": (right == truth).double().mean().item(),
            }
        )
        self.losses.restart()

    def _weights(self) -> dict[str, torch.Tensor]:
        return (self.average.module if self.average else self.model).state_dict()

    def result(self) -> FaceAttributes:
        """The network to keep, in eval mode on the CPU: the last or the best, or their average."""
        model = self.model.cpu()
        model.load_state_dict(self._best or self._weights())
        model.freeze_backbone(False)
        return model.train().eval()

    def dump(self) -> Snapshot:
        """All of the state; every process of the run calls it, because it fetches the losses."""
        self.losses.fetch(self.epoch)
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        if self.average:
            averages = self.average.module.state_dict()
            tensors |= {f"average.{name}": t for name, t in averages.items()}
        tensors |= {f"best.{name}": t for name, t in self._best.items()}
        tensors |= {f"seen.{name}": t for name, t in self.seen.dump().items()}
        for i, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": t for name, t in values.items()}
        facts = {
            "step": self.step,
            "loss_sum": self.losses.loss_sum,
            "accuracy_sum": self.losses.accuracy_sum,
            "history": self.history,
            "speed": self.speed,
            "scaler": self.fabric.strategy.precision.state_dict(),
        }
        return Snapshot(tensors, facts)

    def restore(self, snapshot: Snapshot) -> None:
        """Take up what `dump` gave."""
        tensors, facts = snapshot

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(under("model."))
        if self.average:
            self.average.module.load_state_dict(under("average."))
        self._best = under("best.")
        self.seen.restore(under("seen."), self.fabric.is_global_zero)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in under("optimizer.").items():
            i, name = key.split(".")
            moments.setdefault(int(i), {})[name] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.step = facts["step"]
        self.losses.restart(facts["loss_sum"], facts["accuracy_sum"])
        self.history, self.speed = facts["history"], facts["speed"]
        self.fabric.strategy.precision.load_state_dict(facts["scaler"])


def learning_rate(settings: Train, step: int, steps: int) -> float:
    """The rate of a step (from 0) of `steps` in all.

    It rises linearly over the warm-up, then it is constant or falls along half a cosine to 0.
    """
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    progress = (step - warmup) / max(steps - warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


def positive_weights(labels: Labels) -> np.ndarray:
    """Negatives over positives of each attribute, float32 [A]; 1 without either.

    The same as the column `positive_weight` of the statistics. They are not imported, so that an
    edit of another column does not train again.
    """
    positives = np.count_nonzero(labels.values, axis=0)
    negatives = labels.counts() - positives
    both = (positives > 0) & (negatives > 0)
    return np.where(both, negatives / np.maximum(positives, 1), 1).astype(np.float32)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
