"""Running a network over the samples of a split, on whatever device there is."""

import numpy as np
import torch
from torch import nn

from pipeline.network.model import to_float
from pipeline.progress import Progress
from pipeline.shards.order import cut
from pipeline.shards.read import ShardReader


def predict_logits(
    model: nn.Module,
    reader: ShardReader,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> np.ndarray:
    """Logits of every sample of the split, in its order: float32 [N, A] in model order.

    `reader` is a split, whose labels are those of the network. Of many processes (`world`), each
    fills the rows of its own samples and leaves the others at 0.
    """
    model = model.to(device).eval()
    logits = np.zeros((len(reader), len(reader.names)), np.float32)
    batches = cut(np.arange(len(reader)), batch_size, rank, world)
    label, total = f"predict {reader.split}", sum(map(len, batches))
    with torch.inference_mode(), Progress(label, total, "images", rank == 0) as done:
        for batch in reader.batches(batches):
            images = torch.from_numpy(batch.images).to(device)
            logits[batch.rows] = model(to_float(images)).float().cpu().numpy()
            done(len(batch.rows))
    return logits
