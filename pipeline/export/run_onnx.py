"""Run an exported ONNX file with ONNX Runtime: no torch is needed, and it starts at once.

A file of others may ask for any memory, or name other files as its weights: memory is capped, and
a file has all its weights inside.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines import available_cpus
from pipeline.errors import PipelineError, one_line
from pipeline.export.card import INPUT, OUTPUT, Images, Probabilities, read_attributes
from pipeline.reading import read_plain

LARGEST_FILE: Final = 200 << 20
"""Bytes of an ONNX file, which takes three times as many; the report's network has 62 MB."""

MEMORY: Final = 300 << 20
"""Bytes for the values of a run, besides four times the file; the report's network takes 60 MB."""

SIDES: Final = range(16, 1025)
"""Of the image that a network takes, px."""


_ODD_OPERATIONS: Final = (
    "Loop", "Scan", "If", "Sequence", "Optional", "String", "Regex", "Tf", "Label", "ConcatFrom",
    "SplitTo", "ReverseSequence",
)  # fmt: skip
"""How the names of operations begin that no network of pictures has."""


class Network:
    """An exported file in ONNX Runtime on the CPU.

    It has the file's `metadata`, the `attributes` that it names, and the image `size` it takes.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        """`threads` 0: one for each core of this process.

        Raises PipelineError where the file is missing, damaged or not ours.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise PipelineError(
                f"ONNX files need onnxruntime ({error}): `pip install onnxruntime`."
            ) from error
        options = onnxruntime.SessionOptions()
        # Left to itself ONNX Runtime ties threads to cores, even to some that are not ours to use.
        options.intra_op_num_threads = threads or available_cpus()
        options.log_severity_level = 4  # what is wrong is in the exception
        # Weights outside the file would lie below this; below a file there is nothing.
        folder = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(folder, str(path))
        options.add_session_config_entry("session.use_env_allocators", "1")
        self._path = path
        try:
            data = read_plain(path, LARGEST_FILE)
            _check_operations(data)
            _cap_memory(onnxruntime, MEMORY + 4 * len(data))
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except FileNotFoundError:
            raise PipelineError(f"{path} is missing; run `pipeline export` first.") from None
        except PipelineError:
            raise
        except Exception as error:  # ONNX Runtime has a dozen classes, all its own
            reason = one_line(error)
            raise PipelineError(f"{path} is no ONNX file that can be run ({reason}).") from error
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.attributes = read_attributes(self.metadata, str(path))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [i.name for i in inputs] != [INPUT] or [o.name for o in outputs] != [OUTPUT]:
            raise PipelineError(f"{path} does not map {INPUT!r} to {OUTPUT!r}; export it again.")
        shape = list(inputs[0].shape)
        if len(shape) != 4 or shape[1] not in SIDES or shape[2:] != [shape[1], 3]:
            raise PipelineError(
                f"{path} takes {shape}, no batch of square images; export it again."
            )
        self.size = int(shape[1])

    def run(self, images: Images, batch: int = 16) -> Probabilities:
        """Probabilities [N, A] of uint8 images [N, S, S, 3].

        Raises PipelineError for other images, and where the network cannot be run.
        """
        if images.shape[1:] != (self.size, self.size, 3) or images.dtype != np.uint8:
            raise PipelineError(
                f"The ONNX file takes RGB images of {self.size} x {self.size} bytes, and got"
                f" {images.dtype} {list(images.shape)}."
            )
        batch = max(1, min(batch, batch * 256**2 // self.size**2))
        try:
            parts = [
                self._session.run([OUTPUT], {INPUT: images[start : start + batch]})[0]
                for start in range(0, len(images), batch)
            ]
            return np.concatenate(parts)
        except Exception as error:  # ONNX Runtime has a dozen classes, all its own
            raise PipelineError(
                f"{self._path} cannot be run ({one_line(error)}); export it again."
            ) from error


def _check_operations(data: bytes) -> None:
    """Raises ValueError for what can run for ever, or take memory that no cap counts."""
    import onnx

    model = onnx.load_model_from_string(data)
    if model.functions or model.graph.sparse_initializer:
        raise ValueError("it has functions or sparse weights")
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type.startswith(_ODD_OPERATIONS):
            raise ValueError(f"it has the operation {node.domain} {node.op_type}")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ValueError(f"its operation {node.op_type} holds a graph")
            if node.op_type == "Cast" and attribute.i == onnx.TensorProto.STRING:
                raise ValueError("it makes texts")
            if attribute.name in ("value_string", "value_strings"):
                raise ValueError("it makes texts")
            tensors += [attribute.t] if attribute.HasField("t") else []
    if any(tensor.data_type == onnx.TensorProto.STRING for tensor in tensors):
        raise ValueError("it holds texts")


def _cap_memory(onnxruntime: Any, most: int) -> None:
    """Give the session that is opened next up to `most` bytes."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": most}))
