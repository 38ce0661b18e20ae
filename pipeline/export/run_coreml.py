"""Read a saved Core ML package back and execute it, operation by operation, with torch.

Core ML predicts on Apple's systems only. What is executed is what is on disk: coremltools reads
the program and the weight file back. An operation that it does not know is an error that names it.
Fp16 is emulated: every operation computes in fp32 and rounds its result to the type that the
program declares for it. Hardware may also accumulate in fp16, so a phone's last bits can differ.

A package of others is tried without memory first: every shape has to be the declared one, and of a
size that can be had. Its files lie in its folder, and so do the weights that its program names.
"""

import inspect
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pipeline.attributes import AttributeSet
from pipeline.errors import PipelineError, one_line
from pipeline.export.card import INPUT, OUTPUT, Images, Probabilities, read_attributes
from pipeline.export.coreml_operations import CONSTANTS, OPERATIONS, require
from pipeline.export.to_coreml import PROGRAM, WEIGHTS, check_manifest, quiet_coremltools
from pipeline.reading import LARGEST_TEXT, check_plain, read_plain

LARGEST: Final = {
    Path("Manifest.json"): LARGEST_TEXT,
    Path("Data") / PROGRAM: 64 << 20,
    Path("Data") / WEIGHTS: 400 << 20,
}
"""The files of a package, and how many bytes they may have."""

MOST_VALUES: Final = 1 << 23
"""Numbers that an operation may give for an image; at 178 px it is 250,000."""

VALUES_AT_ONCE: Final = 1 << 24
"""Numbers that an operation may give for a batch."""

_WEIGHTS_NAME: Final = "@model_path/" + WEIGHTS.relative_to(PROGRAM.parent).as_posix()


def _literal(value: Any) -> Any:
    """A constant: text, Python numbers or, for floats and packed weights, a tensor.

    Floats become fp32, which holds every fp16 number.
    """
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array) if array.dtype.itemsize == 1 and array.ndim else array.tolist()


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
    """A saved package: `operations`, `metadata`, the `attributes` it names, the `size` it takes."""

    def __init__(self, spec: Any, weights: Path, attributes: AttributeSet) -> None:
        """`spec`: the program's protobuf; `weights`: its weight file."""
        self.metadata = dict(spec.description.metadata.userDefined)
        self.attributes = attributes
        self.size = _input_size(spec.description)
        self.operations: list[Operation] = []
        self._constants: dict[str, Any] = {}
        for step in _steps(spec, weights):
            self._add(step)
        needed = {OUTPUT, *self._constants}
        for operation in reversed(self.operations):
            names = {name for value in operation.inputs.values() for name in _names(value)}
            operation.last = names - needed
            needed |= names
        self._try()

    @classmethod
    def load(cls, path: Path) -> "Program":
        """Read the package `path`.

        Raises PipelineError where a file is missing or its bytes are not those that `export`
        wrote, where the attributes are not ours, or where an operation is unknown.
        """
        _check_files(path)
        check_manifest(path)
        try:
            with quiet_coremltools():
                from coremltools.proto import Model_pb2

                program = Path("Data") / PROGRAM
                spec = Model_pb2.Model()
                spec.ParseFromString(read_plain(path / program, LARGEST[program]))
            attributes = read_attributes(spec.description.metadata.userDefined, str(path))
            return cls(spec, path / "Data" / WEIGHTS, attributes)
        except PipelineError:
            raise
        except Exception as error:  # protobuf and coremltools have no class of their own for it
            raise PipelineError(
                f"{path} is no Core ML program that can be run ({one_line(error)}); export it"
                " again."
            ) from error

    def count_operations(self) -> dict[str, int]:
        """How often each operation occurs, the most frequent first; constants left out."""
        return dict(Counter(operation.kind for operation in self.operations).most_common())

    @torch.inference_mode()
    def run(self, images: Images, half: bool = False, batch: int = 16) -> Probabilities:
        """Probabilities [N, A] of uint8 images [N, S, S, 3].

        `half` rounds what the program declares as fp16; without it all arithmetic is fp32, on
        the weights as they are in the file.
        """
        if images.shape[1:] != (self.size, self.size, 3) or images.dtype != np.uint8:
            raise PipelineError(
                f"The Core ML program takes RGB images of {self.size} x {self.size} bytes, and got"
                f" {images.dtype} {list(images.shape)}."
            )
        batch = max(1, min(batch, VALUES_AT_ONCE // self._most_values))
        parts = [
            self._run_batch(torch.from_numpy(images[start : start + batch]), half)
            for start in range(0, len(images), batch)
        ]
        return torch.cat(parts).numpy()

    @torch.inference_mode()
    def _try(self) -> None:
        """Raise PipelineError where the program cannot be run: with tensors that have no memory."""
        require(self.size in range(16, 1025), f"its image has {self.size} px")
        self._most_values = max([1, *(math.prod(each.shape) for each in self.operations)])
        require(
            self._most_values <= MOST_VALUES, f"an operation gives {self._most_values:,} values"
        )
        constants = {
            name: value.to("meta") if isinstance(value, Tensor) and value.ndim else value
            for name, value in self._constants.items()
        }
        image = torch.zeros(1, self.size, self.size, 3, dtype=torch.uint8, device="meta")
        try:
            self._run_batch(image, False, constants)
        except PipelineError:
            raise
        except Exception as error:  # torch has no class of its own for it
            require(False, one_line(error))

    def _run_batch(
        self, images: Tensor, half: bool, constants: dict[str, Any] | None = None
    ) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float().contiguous()
        values: dict[str, Any] = {**(constants or self._constants), INPUT: pixels}
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

    def _add(self, step: Any) -> None:
        from coremltools.converters.mil.mil import types

        [output], kind = step.outputs, step.op_type
        half = output.dtype is types.fp16
        if kind == "const":
            self._constants[output.name] = _literal(output.val)
        elif kind in CONSTANTS:
            known = {key: self._constants[value.name] for key, value in step.inputs.items()}
            value = CONSTANTS[kind](**known)
            self._constants[output.name] = _round(value) if half else value
        else:
            inputs = {key: _name(value) for key, value in step.inputs.items()}
            shape = list(output.shape)
            self.operations.append(Operation(kind, inputs, output.name, shape, half, last=set()))


def _steps(spec: Any, weights: Path) -> Iterator[Any]:
    """The operations of a program, constants included, as coremltools reads them."""
    function = spec.mlProgram.functions["main"]
    steps = function.block_specializations[function.opset].operations
    for step in steps:
        if step.type != "const":
            _check_known(step)
    _check_weights(spec, weights)
    with quiet_coremltools():
        from coremltools.converters.mil.frontend.milproto.load import load

        try:
            program = load(spec, spec.specificationVersion, str(weights.parent))
        except Exception as error:  # coremltools has no class of its own for this
            raise PipelineError(
                f"The Core ML program and its weights do not go together ({one_line(error)});"
                " export it again."
            ) from error
    yield from program.functions["main"].operations


def _check_files(package: Path) -> None:
    """Raise PipelineError where a file of a package is a link, a pipe or far too large."""
    for name, most in LARGEST.items():
        file = package / name
        if file.exists():  # else check_manifest says what is missing
            require(
                file.resolve() == package.resolve() / name, f"{file} is a link out of its place"
            )
            check_plain(file, most)


def _check_weights(spec: Any, weights: Path) -> None:
    """Raise PipelineError where a program names other weights, or more numbers than these hold."""
    size, values = weights.stat().st_size, 0
    for message in _messages(spec.mlProgram):
        match message.DESCRIPTOR.name:
            case "BlobFileValue":
                inside = message.fileName == _WEIGHTS_NAME and message.offset < size
                where = f"byte {message.offset:,} of {message.fileName!r}"
                require(inside, f"it and its weights do not go together, for it names {where}")
            case "Operation" if message.type == "const" or message.type in CONSTANTS:
                for output in message.outputs:
                    sides = output.type.tensorType.dimensions
                    values += math.prod(side.constant.size for side in sides)
    require(values <= 8 * size + MOST_VALUES, f"it names {values:,} weights of {size:,} bytes")


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf and all that it is made of."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        entry = field.message_type
        if entry.GetOptions().map_entry:
            inside = value.values() if entry.fields_by_name["value"].message_type else ()
        else:
            inside = value if isinstance(value, Sequence) else (value,)
        for each in inside:
            yield from _messages(each)


def _check_known(step: Any) -> None:
    """Raise PipelineError unless the executor knows the operation, a protobuf, and its inputs."""
    output, inputs = step.outputs[0].name, {*step.inputs, *step.attributes} - {"name"}
    function = {**CONSTANTS, **OPERATIONS}.get(step.type)
    if function is None:
        raise PipelineError(
            f"The Core ML program uses the operation {step.type!r} (for {output!r}), which"
            " pipeline.export.run_coreml does not know; add it there, or choose another backbone."
        )
    try:
        inspect.signature(function).bind(**dict.fromkeys(inputs))
    except TypeError as error:
        raise PipelineError(
            f"The Core ML program uses the operation {step.type!r} (for {output!r}) in a way"
            f" that pipeline.export.run_coreml does not know ({error})."
        ) from error


def _name(value: Any) -> str | list[str]:
    return value.name if hasattr(value, "name") else [each.name for each in value]


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
        """Probabilities [N, A] of uint8 images [N, S, S, 3]."""
        from PIL import Image

        rows = [self._model.predict({INPUT: Image.fromarray(image)})[OUTPUT] for image in images]
        return np.concatenate(rows).astype(np.float32)
