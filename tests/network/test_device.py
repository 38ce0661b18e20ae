"""Which device a network runs on."""

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.network.device import choose_device


def have(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool) -> None:
    """A machine with and without a GPU of either kind."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_there_is(monkeypatch, cuda, mps, chosen):
    have(monkeypatch, cuda, mps)
    assert choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_sentence(monkeypatch, name):
    have(monkeypatch, cuda=False, mps=False)
    with pytest.raises(PipelineError, match=rf"train\.device is {name}, and this machine has none"):
        choose_device(name)
