"""A face detector of MediaPipe, from TensorFlow Lite to ONNX.

The files hold nine kinds of operations with weights of 16 bits. What surrounds them in MediaPipe's
graphs is made part of the network, so that no caller has anything to get wrong: pixels come in as
they are, and anchors, which are the cells of a grid, and the sigmoid are applied inside.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17

SAME: Final = 0
"""TensorFlow Lite's number for padding that keeps the size, more of it at the end."""


@dataclass(frozen=True)
class Grid:
    """Cells in which a detector looks for faces: `side` x `side`, each `each` times."""

    side: int
    each: int

    def centres(self) -> NDArray[np.float32]:
        """[side * side * each, 2] x and y, shares of the picture, row by row."""
        at = (np.arange(self.side, dtype=np.float32) + 0.5) / self.side
        y, x = np.meshgrid(at, at, indexing="ij")
        centres = np.stack([x, y], axis=2, dtype=np.float32)
        return centres.reshape(-1, 2).repeat(self.each, axis=0)


SHORT_RANGE: Final = (Grid(16, 2), Grid(8, 6))
"""Of faces within two metres of a phone (`ssd_anchors_calculator` of MediaPipe)."""

FULL_RANGE: Final = (Grid(48, 1),)
"""Of faces within five metres."""


def convert(data: bytes, grids: tuple[Grid, ...]) -> bytes:
    """An ONNX file from a detector of TensorFlow Lite.

    Its input `image` is uint8 RGB [N, S, S, 3]. Its outputs are `scores` [N, A], 0 to 1, and
    `faces` [N, A, 16] in shares of the side: centre x, centre y, width, height, and six points
    (x, y): the eye on the left of the picture, the other eye, nose, mouth, and the ears.
    Raises ValueError for a file with other operations than these detectors have.
    """
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    source = graph.Tensors(graph.Inputs(0))
    side = int(source.ShapeAsNumpy()[1])
    made = _Nodes(model, graph)
    made.add("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    made.add("Div", ["pixels", made.constant(np.float32(127.5))], "scaled")
    made.add("Sub", ["scaled", made.constant(np.float32(1))], "centred")
    made.add("Transpose", ["centred"], _name(source), perm=[0, 3, 1, 2])
    for i in range(graph.OperatorsLength()):
        made.operation(graph.Operators(i))
    found, scores = (_name(graph.Tensors(graph.Outputs(i))) for i in (0, 1))
    centres = np.concatenate([grid.centres() for grid in grids])
    # Box: centre and size; then six points. Sizes have no centre to be added to.
    offsets = np.tile(centres, (1, 8))
    offsets[:, 2:4] = 0
    made.add("Div", [found, made.constant(np.float32(side))], "shares")
    made.add("Add", ["shares", made.constant(offsets[None])], "faces")
    made.add("Sigmoid", [scores], "sigmoids")
    made.add("Squeeze", ["sigmoids", made.constant(np.array([2], np.int64))], "scores")
    count = len(centres)
    result = helper.make_model(
        helper.make_graph(
            made.nodes,
            "faces",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
            [
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count]),
                helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", count, 16]),
            ],
            made.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    onnx.checker.check_model(result, full_check=True)
    return result.SerializeToString()


class _Nodes:
    """The nodes and constants of the ONNX graph; tensors keep their names, channels come first."""

    def __init__(self, model: Any, graph: Any) -> None:
        self._model, self._graph = model, graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._values: dict[str, NDArray[Any]] = {}
        """Weights, as they come out of their file or of 16 bits."""

    def constant(self, value: NDArray[Any] | np.floating[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def operation(self, op: Any) -> None:
        """One operation of TensorFlow Lite."""
        code = self._model.OperatorCodes(op.OpcodeIndex())
        kind = tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        inputs = [self._graph.Tensors(i) for i in op.InputsAsNumpy()]
        names, output = [_name(tensor) for tensor in inputs], self._graph.Tensors(op.Outputs(0))
        out = _name(output)
        match kind:
            case "DEQUANTIZE":
                self._values[out] = self._value(inputs[0]).astype(np.float32)
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                self._convolution(op, kind, inputs, out)
            case "MAX_POOL_2D":
                pool = _options(op, tflite.Pool2DOptions)
                _require(pool.Padding() == SAME)
                sides = [pool.FilterHeight(), pool.FilterWidth()]
                strides = [pool.StrideH(), pool.StrideW()]
                self.add(
                    "MaxPool",
                    names,
                    out,
                    kernel_shape=sides,
                    strides=strides,
                    auto_pad="SAME_UPPER",
                )
            case "RELU":
                self.add("Relu", names, out)
            case "ADD":
                self.add("Add", names, out)
            case "PAD":
                pads = self._value(inputs[1])[[0, 3, 1, 2]].T.astype(np.int64).reshape(-1)
                self.add("Pad", [names[0], self.constant(pads)], out)
            case "RESIZE_BILINEAR":
                options = _options(op, tflite.ResizeBilinearOptions)
                _require(options.HalfPixelCenters() and not options.AlignCorners())
                height, width = output.ShapeAsNumpy()[1:3] / inputs[0].ShapeAsNumpy()[1:3]
                scales = self.constant(np.array([1, 1, height, width], np.float32))
                self.add("Resize", [names[0], "", scales], out, mode="linear")
            case "RESHAPE":
                shape = [0, *(int(n) for n in output.ShapeAsNumpy()[1:])]  # 0: as many as there are
                self.add("Transpose", names[:1], f"{out}_last", perm=[0, 2, 3, 1])
                self.add("Reshape", [f"{out}_last", self.constant(np.array(shape))], out)
            case "CONCATENATION":
                self.add(
                    "Concat", names, out, axis=_options(op, tflite.ConcatenationOptions).Axis()
                )
            case _:
                raise ValueError(f"the operation {kind} is not known")

    def _convolution(self, op: Any, kind: str, inputs: list[Any], out: str) -> None:
        deep = kind == "DEPTHWISE_CONV_2D"
        options = _options(op, tflite.DepthwiseConv2DOptions if deep else tflite.Conv2DOptions)
        _require(options.FusedActivationFunction() == 0 and options.DilationHFactor() == 1)
        weights, bias = (self._value(tensor) for tensor in inputs[1:])
        # [1, h, w, C] of a depthwise one, else [out, h, w, in].
        kernel = weights.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        self.add(
            "Conv",
            [_name(inputs[0]), self.constant(kernel), self.constant(bias)],
            out,
            group=len(kernel) if deep else 1,
            strides=[options.StrideH(), options.StrideW()],
            kernel_shape=kernel.shape[2:],
            auto_pad="SAME_UPPER" if options.Padding() == SAME else "VALID",
        )

    def _value(self, tensor: Any) -> NDArray[Any]:
        """A constant of the file, or what was made of one."""
        if (known := self._values.get(_name(tensor))) is not None:
            return known
        kinds: dict[int, type[np.generic]] = {
            tflite.TensorType.FLOAT16: np.float16,
            tflite.TensorType.FLOAT32: np.float32,
            tflite.TensorType.INT32: np.int32,
        }
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        return data.view(kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())


def _name(tensor: Any) -> str:
    return str(tensor.Name().decode())


def _options(op: Any, kind: Any) -> Any:
    options, table = kind(), op.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _require(true: bool) -> None:
    if not true:
        raise ValueError("an operation has options that these detectors do not have")
