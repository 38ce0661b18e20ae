"""What training changes: weights, optimiser, their average, and how far the run has come.

All of it can be written down (`dump`) and taken up again (`restore`), and is made of nothing
else, so a run that goes on from a checkpoint makes the steps that it would have made.
"""

import math
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.attributes import MODEL_ORDER
from pipeline.errors import PipelineError
from pipeline.network.inference import predict_logits
from pipeline.network.model import FaceAttributes, to_float
from pipeline.params import Train
from pipeline.shards.read import Batch, ShardReader
from pipeline.training import processes
from pipeline.training.augment import Draw, augment, transform
from pipeline.training.checkpoints import State


class TrainingState:
    """A network in training.

    `labels` ([N, 40] bool, model order) are those of the training split; the weights of
    positives come from them where `positive_weights` asks for it.
    """

    def __init__(
        self, fabric: Fabric, model: FaceAttributes, settings: Train, labels: np.ndarray
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
        # On a CPU the eager augmentation is the faster one.
        on_gpu = fabric.device.type == "cuda"
        self._transform = torch.compile(transform) if settings.compile and on_gpu else transform
        self._positive_weight = (
            torch.from_numpy(positive_weights(labels)).to(fabric.device)
            if settings.positive_weights
            else None
        )
        self._frozen: bool | None = None
        self._best: dict[str, torch.Tensor] = {}
        self._pending: list[tuple[int, Batch, int, torch.Tensor]] = []  # last: loss, accuracy
        self.step, self.steps = 0, 0
        """Steps made, and all that will be."""
        self.loss_sum, self.accuracy_sum = 0.0, 0.0
        """Over the images of this epoch so far, as they were trained on."""
        self.last_loss = math.nan
        self.stopping = False
        """Whether a process of the run was told to stop."""
        self.history: list[dict[str, Any]] = []
        self.speed: list[dict[str, Any]] = []

    def _compile(self, model: nn.Module) -> nn.Module:
        return torch.compile(model) if self.settings.compile else model  # type: ignore[return-value]

    def begin_epoch(self, epoch: int, steps: int) -> None:
        """Make ready for an epoch of a run of `steps` steps in all."""
        self.steps = steps
        frozen = epoch < self.settings.frozen_epochs
        if frozen != self._frozen:
            self.model.freeze_backbone(frozen)
            # DDP averages the gradients of what could change when it was set up.
            self._network = self.fabric.setup_module(self._compiled, move_to_device=False)
            self._frozen = frozen
        self.model.train()

    def make_step(self, batch: Batch, drawn: Draw, size: int) -> None:
        """One step on this process's part of a global batch of `size` samples."""
        settings = self.settings
        self.rate = learning_rate(settings, self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        torch.manual_seed(_step_seed(settings.seed, self.step, self.fabric.global_rank))
        count = len(batch.rows)
        pieces = np.array_split(np.arange(count), min(settings.accumulate, count))
        measured = torch.zeros(2, device=self.fabric.device)
        for piece in pieces:
            own = slice(piece[0], piece[-1] + 1)
            images = to_float(self._to_device(batch.images[own]))
            images = augment(images, drawn[own], self._transform)
            images = images.contiguous(memory_format=self._layout)
            labels = self._to_device(batch.labels[own]).float()
            last = piece is pieces[-1]
            with self.fabric.no_backward_sync(self._network, enabled=not last):
                logits = self._network(images)
                part = self._loss(logits, labels) / (size * len(MODEL_ORDER))
                # DDP takes the mean over processes; the parts are to be summed.
                self.fabric.backward(part * self.fabric.world_size)
            right = ((logits.detach() >= 0) == (labels > 0)).sum() / (size * len(MODEL_ORDER))
            measured += torch.stack([part.detach(), right])
        if settings.clip:
            self.fabric.clip_gradients(
                self._network, self._fabric_optimizer, max_norm=settings.clip
            )
        self._fabric_optimizer.step()
        self._fabric_optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average:
            self.average.update(self.model, self.step)
        self._pending.append((self.step, batch, size, measured))

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self.fabric.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.fabric.device, non_blocking=True)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        smoothing = self.settings.label_smoothing
        return binary_cross_entropy_with_logits(
            logits,
            labels * (1 - smoothing) + smoothing / 2 if smoothing else labels,
            pos_weight=self._positive_weight,
            reduction="sum",
        )

    def look(self, epoch: int, samples: ShardReader, told: bool) -> None:
        """Fetch loss and accuracy of the steps since the last look, and who was told to stop.

        Raises PipelineError where a loss is not finite.
        """
        here = [measured for *_, measured in self._pending]
        here.append(torch.tensor([float(told), 0.0], device=self.fabric.device))
        *all_measured, (stopping, _) = processes.total(torch.stack(here)).tolist()
        self.stopping = stopping > 0
        steps = zip(self._pending, all_measured, strict=True)
        for (step, batch, size, _), (loss, accuracy) in steps:
            if not math.isfinite(loss):
                keys = ", ".join(str(samples.keys[int(row)]) for row in batch.rows)
                raise PipelineError(
                    f"The loss is {loss} at step {step:,}, in epoch {epoch + 1}; lower train.lr,"
                    f" set train.clip, or look at the samples of the step: {keys}."
                )
            self.loss_sum += loss * size
            self.accuracy_sum += accuracy * size
            self.last_loss = loss
        self._pending.clear()

    def end_epoch(self, epoch: int, valid: ShardReader, trained: int) -> None:
        """Judge the network on valid and write the epoch's row of history."""
        fabric = self.fabric
        if self.average:  # its attention biases were cached when it was last judged
            self.average.module.train()
        with fabric.autocast():
            own = predict_logits(
                self._judged, valid, self.settings.batch_size, fabric.device,
                fabric.global_rank, fabric.world_size,
            )  # fmt: skip
        logits = processes.total(torch.from_numpy(own).to(fabric.device)).cpu()
        truth = torch.from_numpy(valid.labels)
        loss = binary_cross_entropy_with_logits(logits, truth.float()).item()
        if self.settings.keep == "best" and all(loss < row["valid_loss"] for row in self.history):
            self._best = {name: t.cpu().clone() for name, t in self._weights().items()}
        self.history.append(
            {
                "epoch": epoch + 1,
                "step": self.step,
                "lr": self.rate,
                "train_loss": self.loss_sum / trained,
                "valid_loss": loss,
                "train_accuracy": self.accuracy_sum / trained,
                "valid_accuracy": ((logits >= 0) == truth).double().mean().item(),
            }
        )
        self.loss_sum, self.accuracy_sum = 0.0, 0.0

    def _weights(self) -> dict[str, torch.Tensor]:
        return (self.average.module if self.average else self.model).state_dict()

    def result(self) -> FaceAttributes:
        """The network that is kept: the last or the best one, averaged where asked for."""
        model = self.model.cpu()
        model.load_state_dict(self._best or self._weights())
        model.freeze_backbone(False)
        return model.train().eval()

    def dump(self) -> State:
        """All of the state; call `look` before."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        if self.average:
            averages = self.average.module.state_dict()
            tensors |= {f"average.{name}": t for name, t in averages.items()}
        tensors |= {f"best.{name}": t for name, t in self._best.items()}
        for i, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": t for name, t in values.items()}
        facts = {
            "step": self.step,
            "loss_sum": self.loss_sum,
            "accuracy_sum": self.accuracy_sum,
            "history": self.history,
            "speed": self.speed,
            "scaler": self.fabric.strategy.precision.state_dict(),
        }
        return tensors, facts

    def restore(self, state: State | None) -> None:
        """Take up what `dump` gave; None is the beginning."""
        if state is None:
            return
        tensors, facts = state

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(under("model."))
        if self.average:
            self.average.module.load_state_dict(under("average."))
        self._best = under("best.")
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in under("optimizer.").items():
            i, name = key.split(".")
            moments.setdefault(int(i), {})[name] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.step = facts["step"]
        self.loss_sum, self.accuracy_sum = facts["loss_sum"], facts["accuracy_sum"]
        self.history, self.speed = facts["history"], facts["speed"]
        self.fabric.strategy.precision.load_state_dict(facts["scaler"])


def learning_rate(settings: Train, step: int, steps: int) -> float:
    """The rate of a step: a linear rise over the warm-up, then constant or half a cosine to 0."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    progress = (step - warmup) / max(steps - warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


def positive_weights(labels: np.ndarray) -> np.ndarray:
    """Negatives over positives of each attribute ([N, 40] bool -> [40] float32); 1 without either.

    The column `positive_weight` of the statistics, which are not imported: another column of
    theirs must not train anew.
    """
    positives = np.count_nonzero(labels, axis=0)
    negatives = len(labels) - positives
    both = (positives > 0) & (negatives > 0)
    return np.where(both, negatives / np.maximum(positives, 1), 1).astype(np.float32)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
