"""The training loop: BCE on all 40 attributes, AdamW, a rate schedule, a look at valid each epoch.

Everything random is drawn from (seed, epoch, step), never from the state that earlier steps
left, so the order of samples, the augmentation and dropout of a step do not depend on how it
was reached. On a CPU the same settings give the same weights, bit for bit.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.attributes import SPLITS
from pipeline.augment import augment, draw, to_float
from pipeline.inference import choose_device, model_order, predict_logits
from pipeline.loader import ShardReader, epoch_order
from pipeline.model import Architecture, FaceAttributes
from pipeline.params import Augment, Train
from pipeline.progress import Progress


def train(
    architecture: Architecture, shards: Path, settings: Train, augmentation: Augment
) -> tuple[FaceAttributes, list[dict[str, Any]]]:
    """Train a network on the split `train`; returns it with a row of history an epoch.

    History: epoch, step, learning rate, mean training loss, and loss and accuracy on valid.
    """
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    model = FaceAttributes(architecture).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    history = []
    with ShardReader(shards, SPLITS[0]) as samples, ShardReader(shards, SPLITS[1]) as valid:
        steps = -(-len(samples) // settings.batch_size) * settings.epochs
        step = 0
        for epoch in range(settings.epochs):
            model.train()
            order = epoch_order(len(samples), settings.seed, epoch)
            total_loss = 0.0
            with Progress(
                f"epoch {epoch + 1} of {settings.epochs}", len(samples), "images"
            ) as done:
                for batch in samples.batches(order, settings.batch_size):
                    rate = learning_rate(settings, step, steps)
                    for group in optimizer.param_groups:
                        group["lr"] = rate
                    torch.manual_seed(_step_seed(settings.seed, step))
                    drawn = draw(
                        augmentation,
                        len(batch.rows),
                        np.random.default_rng([settings.seed, epoch, step]),
                    )
                    images = augment(to_float(torch.from_numpy(batch.images).to(device)), drawn)
                    labels = torch.from_numpy(model_order(batch.labels)).to(device).float()
                    loss = binary_cross_entropy_with_logits(model(images), labels)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    step += 1
                    total_loss += loss.item() * len(batch.rows)
                    done(len(batch.rows), f"loss {loss.item():.4f}")
            logits = torch.from_numpy(predict_logits(model, valid, settings.batch_size, device))
            truth = torch.from_numpy(model_order(valid.labels))
            history.append(
                {
                    "epoch": epoch + 1,
                    "step": step,
                    "lr": rate,
                    "train_loss": total_loss / len(samples),
                    "valid_loss": binary_cross_entropy_with_logits(logits, truth.float()).item(),
                    "valid_accuracy": ((logits >= 0) == truth).double().mean().item(),
                }
            )
    return model.cpu().eval(), history


def learning_rate(settings: Train, step: int, steps: int) -> float:
    """The rate of a step: a linear rise over the warm-up, then constant or half a cosine to 0."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    progress = (step - warmup) / max(steps - warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
