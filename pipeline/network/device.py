"""Which device a network runs on."""

import torch

from pipeline.errors import PipelineError


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU.

    Raises PipelineError where the named device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there[name]:
        raise PipelineError(
            f"train.device is {name}, and this machine has none; set it to auto or cpu."
        )
    return torch.device(name)
