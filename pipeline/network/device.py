"""Which device a network runs on."""

import torch

from pipeline.errors import PipelineError


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA, else Apple's MPS, else the CPU.

    Raises PipelineError where this machine has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, found in available.items() if found)
    if not available[name]:
        raise PipelineError(
            f"train.device is {name}, and this machine has none; set it to auto or cpu."
        )
    return torch.device(name)
