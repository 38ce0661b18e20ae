"""Read a saved Core ML package back and execute it, operation by operation, with torch.

Core ML predicts on Apple's systems only. This reader takes what is on disk (the program, the
weight file, the manifest), nothing from memory, and an operation that it does not know is an
error that names it. Fp16 is emulated: every operation computes in fp32 and rounds its result to
the type that the program declares for it. Hardware may also accumulate in fp16, so a phone's
last bits can differ.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.export.card import INPUT, OUTPUT, Images, Probabilities, check_attributes
from pipeline.export.coreml_operations import CONSTANTS, OPERATIONS, require
from pipeline.export.to_coreml import PROGRAM, WEIGHTS, check_manifest, quiet_coremltools

_TYPES: Final = {
    "BOOL": np.bool_,
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "INT32": np.int32,
    "UINT8": np.uint8,
    "UINT32": np.uint32,
}


def _literal(value: Any, weights: NDArray[np.uint8]) -> Any:
    """A value of the program: text, Python numbers, or (floats, and what the file holds) a tensor.

    Floats become fp32, whose numbers include all of fp16.
    """
    kind = value.type.tensorType
    name = _type_name(kind)
    shape = _shape(kind)
    if value.WhichOneof("value") == "blobFileValue":
        array = _blob(weights, value.blobFileValue, np.dtype(_TYPES[name]), shape)
        return torch.from_numpy(array.astype(np.float32) if "FLOAT" in name else array)
    tensor = value.immediateValue.tensor
    content = getattr(tensor, tensor.WhichOneof("value")).values
    if name == "STRING":
        return content[0]
    if isinstance(content, bytes):
        array = np.frombuffer(content, _TYPES[name])
    else:
        array = np.array(content, _TYPES[name])
    array = array.reshape(shape)
    return torch.from_numpy(array.astype(np.float32)) if "FLOAT" in name else array.tolist()


def _blob(
    weights: NDArray[np.uint8], place: Any, dtype: np.dtype[Any], shape: list[int]
) -> NDArray[Any]:
    """One array of the weight file: at its offset 64 bytes that say where and how long it is."""
    header = weights[place.offset : place.offset + 64]
    size = int(np.prod(shape)) * dtype.itemsize
    if len(header) == 64 and header[:4].view("<u4")[0] == 0xDEADBEEF:
        length, start = (int(number) for number in header[8:24].view("<u8"))
        if length == size and start + size <= len(weights):
            return weights[start : start + size].view(dtype).reshape(shape).copy()
    raise PipelineError(
        f"The Core ML weight file holds no array of {size} bytes at {place.offset}; export it"
        " again."
    )


def _type_name(kind: Any) -> str:
    name: str = (
        kind.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number[kind.dataType].name
    )
    require(name == "STRING" or name in _TYPES, f"it has values of the type {name}")
    return name


def _shape(kind: Any) -> list[int]:
    return [dimension.constant.size for dimension in kind.dimensions]


@dataclass
class Operation:
    """A step of the program. Inputs are names of values, one or (concat) several."""

    kind: str
    inputs: dict[str, str | list[str]]
    output: str
    shape: list[int]
    """Of the output, for a batch of one."""

    half: bool
    """The output is declared fp16."""

    last: set[str]
    """The values that no later operation reads."""


class Program:
    """A saved package: its `operations`, its `metadata` and the image `size` it takes."""

    def __init__(self, spec: Any, weights: NDArray[np.uint8]) -> None:
        """`spec`: the program's protobuf; `weights`: the bytes of its weight file."""
        self.metadata = dict(spec.description.metadata.userDefined)
        self.size = _input_size(spec.description)
        self.operations: list[Operation] = []
        self._constants: dict[str, Any] = {}
        function = spec.mlProgram.functions["main"]
        for step in function.block_specializations[function.opset].operations:
            self._add(step, weights)
        needed = {OUTPUT, *self._constants}
        for operation in reversed(self.operations):
            names = {name for value in operation.inputs.values() for name in _names(value)}
            operation.last = names - needed
            needed |= names

    @classmethod
    def load(cls, path: Path) -> "Program":
        """Read the package `path`.

        Raises PipelineError where a file is missing or its bytes are not those that `export`
        wrote, where the attributes are not ours, or where an operation is unknown.
        """
        check_manifest(path)
        with quiet_coremltools():
            from coremltools.proto import Model_pb2

            spec = Model_pb2.Model()
            spec.ParseFromString((path / "Data" / PROGRAM).read_bytes())
        check_attributes(spec.description.metadata.userDefined, str(path))
        return cls(spec, np.fromfile(path / "Data" / WEIGHTS, np.uint8))

    def count_operations(self) -> dict[str, int]:
        """How often each operation occurs, the most frequent first; constants left out."""
        return dict(Counter(operation.kind for operation in self.operations).most_common())

    @torch.inference_mode()
    def run(self, images: Images, half: bool = False, batch: int = 16) -> Probabilities:
        """Probabilities [N, 40] of uint8 images [N, S, S, 3].

        `half` rounds what the program declares as fp16; without it all arithmetic is fp32, on
        the weights as they are in the file.
        """
        if images.shape[1:] != (self.size, self.size, 3) or images.dtype != np.uint8:
            raise PipelineError(
                f"The Core ML program takes RGB images of {self.size} x {self.size} bytes, and got"
                f" {images.dtype} {list(images.shape)}."
            )
        parts = [
            self._run_batch(torch.from_numpy(images[start : start + batch]), half)
            for start in range(0, len(images), batch)
        ]
        return torch.cat(parts).numpy()

    def _run_batch(self, images: Tensor, half: bool) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float().contiguous()
        values: dict[str, Any] = {**self._constants, INPUT: pixels}
        for operation in self.operations:
            inputs = {
                key: values[name] if isinstance(name, str) else [values[n] for n in name]
                for key, name in operation.inputs.items()
            }
            value = OPERATIONS[operation.kind](**inputs)
            # The program is written for one image; every operation must have kept them apart.
            require(
                list(value.shape) == [len(images), *operation.shape[1:]],
                f"{operation.kind} gives {list(value.shape)} and declares {operation.shape}",
            )
            values[operation.output] = _round(value) if half and operation.half else value
            for name in operation.last:
                del values[name]
        result: Tensor = values[OUTPUT]
        return result

    def _add(self, step: Any, weights: NDArray[np.uint8]) -> None:
        output = step.outputs[0]
        half = _type_name(output.type.tensorType) == "FLOAT16"
        table = CONSTANTS if step.type in CONSTANTS else OPERATIONS
        if step.type not in table:
            raise PipelineError(
                f"The Core ML program uses the operation {step.type!r} (for {output.name!r}), which"
                " pipeline.export.run_coreml does not know; teach it, or choose another backbone."
            )
        inputs: dict[str, Any] = {}
        for key, argument in step.inputs.items():
            names = [self._name(binding, weights) for binding in argument.arguments]
            inputs[key] = names if key == "values" else names[0]
        if table is CONSTANTS:
            inputs = {key: self._constants[name] for key, name in inputs.items()}
            for key, value in step.attributes.items():
                if key != "name":
                    inputs[key] = _literal(value, weights)
        try:
            inspect.signature(table[step.type]).bind(**inputs)
        except TypeError as error:
            raise PipelineError(
                f"The Core ML program uses the operation {step.type!r} (for {output.name!r}) in a"
                f" way that pipeline.export.run_coreml does not know ({error})."
            ) from error
        if table is CONSTANTS:
            value = table[step.type](**inputs)
            self._constants[output.name] = _round(value) if half else value
        else:
            shape = _shape(output.type.tensorType)
            self.operations.append(
                Operation(step.type, inputs, output.name, shape, half, last=set())
            )

    def _name(self, binding: Any, weights: NDArray[np.uint8]) -> str:
        """The name of an argument's value; one that is written in place gets a name here."""
        if binding.WhichOneof("binding") == "name":
            return str(binding.name)
        name = f"#{len(self._constants)}"
        self._constants[name] = _literal(binding.value, weights)
        return name


def _names(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _round(value: Tensor) -> Tensor:
    return value.half().float()


def _input_size(description: Any) -> int:
    """The side of the image input; raises PipelineError where input or output are not ours."""
    inputs = {feature.name: feature.type.imageType for feature in description.input}
    outputs = [feature.name for feature in description.output]
    image = inputs.get(INPUT)
    if image is None or len(inputs) != 1 or outputs != [OUTPUT] or image.width != image.height:
        raise PipelineError(
            f"The Core ML program maps {list(inputs)} to {outputs}, not {INPUT!r} to {OUTPUT!r};"
            " export it again."
        )
    order = image.DESCRIPTOR.enum_types_by_name["ColorSpace"].values_by_number[image.colorSpace]
    require(order.name == "RGB", f"its image is {order.name}, not RGB")
    return int(image.width)


class Package:
    """A package run by Core ML itself. Raises PipelineError anywhere but on a Mac."""

    def __init__(self, path: Path) -> None:
        if sys.platform != "darwin":
            raise PipelineError(
                "Core ML runs on a Mac only; elsewhere use pipeline.export.run_coreml."
            )
        with quiet_coremltools() as ct:
            self._model: Any = ct.models.MLModel(str(path))

    def run(self, images: Images) -> Probabilities:
        """Probabilities [N, 40] of uint8 images [N, S, S, 3]."""
        from PIL import Image

        rows = [self._model.predict({INPUT: Image.fromarray(image)})[OUTPUT] for image in images]
        return np.concatenate(rows).astype(np.float32)
