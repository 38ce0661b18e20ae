"""The network as it is exported: probabilities out, in eval mode, its last batch norm folded.

Every export starts from `Deployed` and is compared with `run_model`, the answers that PyTorch
gives with the network as it was trained.
"""

import torch
from torch import nn

from pipeline.export.card import Images, Probabilities
from pipeline.network.model import FaceAttributes, to_float


class Deployed(nn.Module):
    """Images [N, 3, S, S] float in [0, 1] -> probabilities [N, A]: what is converted.

    A copy of `model` in eval mode on the CPU; the model itself is left alone.
    """

    def __init__(self, model: FaceAttributes) -> None:
        super().__init__()
        self.model = FaceAttributes(model.architecture, model.regions)
        self.model.load_state_dict(model.state_dict())
        _fold_last_norm(self.model)
        self.train().eval()  # EfficientFormerV2 caches its attention biases on eval()
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.model(images))


def _fold_last_norm(model: FaceAttributes) -> None:
    """Fold EfficientFormerV2's last batch norm into the heads.

    Converters fold a batch norm into the convolution before it; this one follows a sum. Between
    it and the heads there is only a mean over positions, and the mean of an affine map is the map
    of the mean.
    """
    norm = getattr(model.backbone, "norm", None)
    if not (
        model.architecture.backbone.startswith("efficientformerv2")
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None
        and norm.running_var is not None
    ):
        return
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        for head in model.heads.values():
            first = head[0]  # type: ignore[index]
            weight = first.weight.double()
            first.bias.copy_(first.bias.double() + weight @ shift)
            first.weight.copy_(weight * scale)
    model.backbone.norm = nn.Identity()


@torch.inference_mode()
def run_model(model: FaceAttributes, images: Images, batch: int = 32) -> Probabilities:
    """PyTorch's own probabilities [N, A], on the CPU, in eval mode: in fp32, the reference.

    A network in float64 computes in that, and gives float64.
    """
    parts = []
    precision = next(model.parameters()).dtype
    for start in range(0, len(images), batch):
        pixels = to_float(torch.from_numpy(images[start : start + batch])).to(precision)
        parts.append(torch.sigmoid(model(pixels)))
    return torch.cat(parts).numpy()
