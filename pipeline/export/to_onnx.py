"""To ONNX, for everyone else: ONNX Runtime on servers, Android and in browsers.

Input `image`: uint8 [batch, S, S, 3], RGB: what a decoder, a canvas or a camera gives, without
alpha. A float input would leave the scale and the order of the axes for the app to get wrong.
Output `probabilities`: float32 [batch, A] in model order. One file; its metadata is the card.
The bytes follow from the network and the card alone.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.export.card import INPUT, OUTPUT, About
from pipeline.export.deployed import Deployed
from pipeline.files import new_file
from pipeline.network.model import FaceAttributes

# What runtimes of 2023 and browsers read. Later opsets have a Gelu of their own, but runtimes
# fuse its five older parts anyway.
_OPSET: Final = 18
_IR_VERSION: Final = 8


class _FromBytes(nn.Module):
    """uint8 [N, S, S, 3] -> probabilities [N, A]."""

    def __init__(self, model: FaceAttributes) -> None:
        super().__init__()
        self.deployed = Deployed(model)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        probabilities: torch.Tensor = self.deployed(image.permute(0, 3, 1, 2).float() / 255)
        return probabilities


def export_onnx(model: FaceAttributes, path: Path, about: About) -> None:
    """Write `model` as the ONNX file `path`, in fp32."""
    size = model.architecture.image_size
    with _quiet():
        try:
            converted = torch.onnx.export(
                _FromBytes(model),
                (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
                dynamo=True,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
        except ImportError as error:
            raise PipelineError(
                f"ONNX files need onnx and onnxscript ({error}): `pip install onnx onnxscript`."
            ) from error
        assert converted is not None
        proto = converted.model_proto
    _strip(proto)
    _write_card(proto, about, size)
    with new_file(path) as partial:
        partial.write_bytes(proto.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress lines on stdout and no warnings of torch's exporter."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _strip(proto: Any) -> None:
    """Leave out where each node came from: a tenth of the bytes, and paths of this machine."""
    graph = proto.graph
    del graph.value_info[:]
    for described in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del described.metadata_props[:]
        described.doc_string = ""


def _write_card(proto: Any, about: About, size: int) -> None:
    proto.ir_version = _IR_VERSION
    proto.doc_string = about.description
    proto.graph.name = "FaceAttributes"
    proto.graph.input[
        0
    ].doc_string = f"Faces as {size} x {size} RGB pictures, 0 to 255, cropped as in training."
    count = len(about.attributes.names)
    proto.graph.output[
        0
    ].doc_string = f"The probabilities of {count} attributes, in the order of `attributes`."
    del proto.metadata_props[:]
    card = {
        "description": about.description,
        "author": about.author,
        "license": about.licence,
        "version": about.version,
        **about.metadata(),
    }
    for key, value in card.items():
        proto.metadata_props.add(key=key, value=value)
