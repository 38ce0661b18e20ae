"""The weights that a backbone starts from: timm's own, from the Hub, or those in a file.

Only safetensors are read, never pickles. Tables that depend on the input size are resampled:
timm does it for position embeddings and most relative biases, this module for the rest.
"""

import math
import os
import re
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import PretrainedCfg

from pipeline.errors import PipelineError, one_line
from pipeline.files import sha256_of
from pipeline.network.model import FaceAttributes, backbone_options, pretrained_config
from pipeline.network.saved import InitialWeights, check_header

FILE = "model.safetensors"
"""Name of the weights in a repository of the Hub."""


def initialise(model: FaceAttributes, weights: str | None) -> InitialWeights | None:
    """Give the backbone of `model` the params' `backbone.weights`; its heads stay as they are.

    None changes nothing; `pretrained` means timm's own for the backbone's name; anything else is a
    safetensors file with the backbone's state dict under timm's names. Weights of a classifier
    are left out. Returns where the weights came from, or None where nothing was loaded.

    Raises PipelineError where the weights cannot be fetched, read, or do not fit the backbone.
    """
    if weights is None:
        return None
    config = pretrained_config(model.architecture.backbone)
    path = _fetch(config) if weights == "pretrained" else Path(weights).expanduser()
    source = str(config.hf_hub_id) if weights == "pretrained" else path.name
    try:
        check_header(path)
        state = load_file(path)
        sha256 = sha256_of(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise PipelineError(
            f"The weights {source} are no safetensors file that can be read ({one_line(error)});"
            " set backbone.weights to null, pretrained or a safetensors file."
        ) from error
    load_weights(model, state, source)
    licence = config.license if weights == "pretrained" else None
    return InitialWeights(source=source, sha256=sha256, licence=licence)


def load_weights(model: FaceAttributes, state: dict[str, torch.Tensor], source: str) -> None:
    """Copy a backbone's state dict into `model`, resampled to its input size.

    Raises PipelineError, naming `source`, where a weight is missing, unknown or of another shape.
    """
    architecture = model.architecture
    config = pretrained_config(architecture.backbone)
    wanted = model.backbone.state_dict()
    classifiers = config.classifier or ()
    tops = {
        c.split(".")[0] for c in ((classifiers,) if isinstance(classifiers, str) else classifiers)
    }
    state = {n: t for n, t in state.items() if n in wanted or n.split(".")[0] not in tops}
    try:
        if not state:  # timm would fetch its own then
            raise ValueError("it holds none for a backbone")
        for name in wanted:
            if name.endswith("attention_biases") and name in state:
                state[name] = resample_biases(state[name], wanted[name].shape)
        # timm renames and resamples only while it fills a network that it creates itself.
        loaded = timm.create_model(
            architecture.backbone,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": state, "classifier": None},
            **backbone_options(architecture),
        )
    except Exception as error:  # timm and torch have a class for each misfit
        raise PipelineError(
            f"The weights {source} do not fit backbone.name {architecture.backbone!r} with"
            f" {architecture.options or 'no options'}: {_misfit(error)}; take other weights, or"
            " the name and the options they were made with."
        ) from error
    model.backbone.load_state_dict(loaded.state_dict())
    model.train(model.training)  # makes EfficientFormerV2 drop the biases that it cached


def resample_biases(biases: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Attention biases [heads, side * side], resampled to `shape`, the table of another side.

    In timm's EfficientFormerV2, LeViT and EfficientViT the entry y * side + x is for two places
    y rows and x columns apart. Resampling is bilinear; distance 0 stays 0 and the longest stays
    the longest. Biases that are no such table are returned unchanged.
    """
    old, new = math.isqrt(biases.shape[-1]), math.isqrt(shape[-1])
    square = biases.ndim == 2 and old**2 == biases.shape[-1] and new**2 == shape[-1]
    if biases.shape == shape or not square:
        return biases
    table = biases.view(1, -1, old, old).float()
    table = torch.nn.functional.interpolate(table, (new, new), mode="bilinear", align_corners=True)
    return table.view(-1, new * new).to(biases.dtype)


def _fetch(config: PretrainedCfg) -> Path:
    """timm's own weights of a model, from the Hub's cache or the Hub (HF_ENDPOINT, HF_TOKEN)."""
    import httpx2
    from huggingface_hub import errors, hf_hub_download

    name = f"The weights of backbone.name {config.architecture!r}"
    otherwise = "set backbone.weights to a safetensors file, or to null to start from scratch."
    if not config.hf_hub_id:
        raise PipelineError(f"{name} are not on the Hub; {otherwise}")
    # Read here, because the client reads the environment only once, when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    try:
        path = Path(hf_hub_download(config.hf_hub_id, FILE, endpoint=endpoint))
    except (errors.HfHubHTTPError, httpx2.RequestError, OSError) as error:
        reason = _refusal(error)
        raise PipelineError(
            f"{name} cannot be fetched from {endpoint}/{config.hf_hub_id}: {reason}; change"
            f" that, or {otherwise}"
        ) from error
    # In the cache, a large file is named by the sha256 that the Hub gave for it.
    expected = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", expected) and sha256_of(path) != expected:
        path.resolve().unlink()
        raise PipelineError(
            f"{name} came from {endpoint}/{config.hf_hub_id} with another content than the Hub's"
            f" sha256 {expected[:12]} tells; run again, or {otherwise}"
        )
    return path


def _refusal(error: BaseException) -> str:
    from huggingface_hub import errors

    match error:
        case errors.LocalEntryNotFoundError(__cause__=Exception() as cause):
            return _refusal(cause)
        case errors.OfflineModeIsEnabled():
            return "they are not in the cache, and HF_HUB_OFFLINE forbids the network"
        case errors.GatedRepoError():
            return "they are gated; accept their terms there and log in with `hf auth login`"
        case errors.RemoteEntryNotFoundError():
            return f"there is no {FILE}, and pickles are not read"
        case errors.HfHubHTTPError():
            return f"refused with {error.response.status_code}"
    return one_line(error)


def _misfit(error: Exception) -> str:
    """torch's page of complaints in one line: how many weights are wrong, how, and the first.

    Any other error keeps its own words.
    """
    text = str(error)
    found = {
        "missing": re.findall(r'"([^"]+)"', _after(text, r"Missing key\(s\) in state_dict: ")),
        "unknown": re.findall(r'"([^"]+)"', _after(text, r"Unexpected key\(s\) in state_dict: ")),
        "of another shape": re.findall(r"size mismatch for (\S+):", text),
    }
    counts = [f"{len(keys)} {what} ({keys[0]}, ...)" for what, keys in found.items() if keys]
    return ", ".join(counts) or one_line(error)


def _after(text: str, pattern: str) -> str:
    """The rest of the line after the first match of `pattern`; empty where there is none."""
    match = re.search(pattern + "(.*)", text)
    return match[1] if match else ""
