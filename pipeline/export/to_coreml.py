"""To Core ML: an ML Program for iOS 16 and later, its smaller variants, and running it on a Mac.

The package's bytes follow from the network and the card alone. Its manifest names each file by
that file's sha256, so that a change of any byte is found (`check_manifest`).
"""

import contextlib
import hashlib
import io
import json
import logging
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
import torch

from pipeline.errors import PipelineError, one_line
from pipeline.export.card import INPUT, OUTPUT, About
from pipeline.export.deployed import Deployed
from pipeline.export.precision import Precision
from pipeline.files import new_directory
from pipeline.network.model import FaceAttributes
from pipeline.reading import parse_json, read_plain

Variant = Literal["int8", "palette6", "palette4"]
VARIANTS: Final[tuple[Variant, ...]] = ("int8", "palette6", "palette4")

PROGRAM: Final = Path("com.apple.CoreML/model.mlmodel")
WEIGHTS: Final = Path("com.apple.CoreML/weights/weight.bin")

# From this size on coremltools finds a palette with its own exact one-dimensional k-means, and
# below it with scikit-learn's approximate one; smaller weights hold a few percent of the bytes.
_SMALLEST_PALETTIZED: Final = 10_000


@contextlib.contextmanager
def quiet_coremltools() -> Iterator[ModuleType]:
    """coremltools without its progress bars and warnings.

    The loudest warning is of a torch newer than its makers tested. What is exported here is read
    back and run beside PyTorch before it stands (pipeline.export.proof), whatever the versions.
    Raises PipelineError where it is not installed, or has no room for its temporary files.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),  # tqdm offers no other switch
    ):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield _import_coremltools()
        except RuntimeError as error:
            if "MIL FileWriter" not in str(error):
                raise
            raise PipelineError(
                f"coremltools cannot write to {tempfile.gettempdir()} ({one_line(error)}); make"
                " room there, or set TMPDIR to another folder."
            ) from error
        finally:
            logger.setLevel(level)


def _import_coremltools() -> ModuleType:
    try:
        import coremltools
        import coremltools.libmilstoragepython
        import coremltools.libmodelpackage  # without the two it imports, and fails when it writes
    except ImportError as error:
        raise PipelineError(
            f"Core ML files need coremltools ({error}): `pip install coremltools`."
        ) from error
    module: ModuleType = coremltools
    return module


def export_coreml(
    model: FaceAttributes, path: Path, about: About, precision: Precision = "float16"
) -> None:
    """Write `model` as the ML Program `path` (a folder, `*.mlpackage`).

    Input `image`: RGB, the network's size. Output `probabilities`: float32 [1, A] in model
    order. `precision` is that of the weights and of the arithmetic between the two.
    """
    size = model.architecture.image_size
    with quiet_coremltools() as ct:
        example = torch.zeros(1, 3, size, size)
        traced = torch.jit.trace(Deployed(model), example, check_trace=False)
        converted = ct.convert(
            traced,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS16,
            compute_precision=ct.precision[precision.upper()],
            inputs=[
                ct.ImageType(
                    name=INPUT,
                    shape=example.shape,
                    scale=1 / 255,
                    color_layout=ct.colorlayout.RGB,
                )
            ],
            outputs=[ct.TensorType(name=OUTPUT, dtype=np.float32)],
            skip_model_load=True,
        )
        spec = converted.get_spec()
        _write_card(spec.description, about, size)
        write_package(path, spec, Path(converted.weights_dir) / WEIGHTS.name)


def compress(package: Path, path: Path, variant: Variant) -> None:
    """Write a smaller variant of an fp16 `package` as `path`; the arithmetic stays fp16.

    `int8`: linear, one scale per output channel. `palette6` and `palette4`: 64 or 16 values per
    weight, found by k-means.

    Raises PipelineError where the package is fp32 (coremltools would use a slower k-means).
    """
    with quiet_coremltools() as ct:
        import coremltools.optimize.coreml as cto

        original = ct.models.MLModel(str(package), skip_model_load=True)
        if not _is_half(original.get_spec()):
            raise PipelineError(
                f"{package} is float32, and its smaller variants are made from float16; set"
                " export.precision to float16."
            )
        if variant == "int8":
            linear = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
            smaller = cto.linear_quantize_weights(original, cto.OptimizationConfig(linear))
        else:
            palette = cto.OpPalettizerConfig(
                mode="kmeans",
                nbits=int(variant.removeprefix("palette")),
                weight_threshold=_SMALLEST_PALETTIZED,
            )
            smaller = cto.palettize_weights(original, cto.OptimizationConfig(palette))
        spec = smaller.get_spec()
        spec.description.CopyFrom(original.get_spec().description)
        write_package(path, spec, Path(smaller.weights_dir) / WEIGHTS.name)


def _is_half(spec: Any) -> bool:
    from coremltools.proto import MIL_pb2

    function = spec.mlProgram.functions["main"]
    steps = function.block_specializations[function.opset].operations
    return any(
        output.type.tensorType.dataType == MIL_pb2.FLOAT16
        for step in steps
        for output in step.outputs
    )


def _write_card(description: Any, about: About, size: int) -> None:
    """Fill in what Xcode shows: `description` is the program's ModelDescription."""
    [image], [probabilities] = description.input, description.output
    image.shortDescription = (
        f"A face as a {size} x {size} RGB picture, cropped as in training. Scaling is done inside."
    )
    probabilities.shortDescription = (
        f"The probabilities of {len(about.attributes.names)} attributes, 0 to 1,"
        " in the order of the metadata's `attributes`."
    )
    metadata = description.metadata
    metadata.shortDescription = about.description
    metadata.author = about.author
    metadata.license = about.licence
    metadata.versionString = about.version
    metadata.userDefined.update(about.metadata())
    metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)


def write_package(path: Path, spec: Any, weights: Path) -> None:
    """Write a package from a program's protobuf and its weight file, always the same bytes."""
    with new_directory(path) as partial:
        data = partial / "Data"
        (data / WEIGHTS.parent).mkdir(parents=True)
        (data / PROGRAM).write_bytes(spec.SerializeToString(deterministic=True))
        shutil.copyfile(weights, data / WEIGHTS)
        # Laid out as coremltools does: it writes the manifest anew whenever it opens a package.
        text = json.dumps(_manifest(data), indent=4, sort_keys=True) + "\n"
        (partial / "Manifest.json").write_text(text, encoding="utf-8")


def _manifest(data: Path) -> dict[str, Any]:
    """What Manifest.json says of the files in `data`; coremltools names its entries at random."""
    program, weights = _identifier(data / PROGRAM), _identifier(data / WEIGHTS)
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            program: {
                "author": "com.apple.CoreML",
                "description": "CoreML Model Specification",
                "name": PROGRAM.name,
                "path": PROGRAM.as_posix(),
            },
            weights: {
                "author": "com.apple.CoreML",
                "description": "CoreML Model Weights",
                "name": WEIGHTS.parent.name,
                "path": WEIGHTS.parent.as_posix(),
            },
        },
        "rootModelIdentifier": program,
    }


def _identifier(path: Path) -> str:
    """A file's sha256 in the form that a manifest asks for: a UUID, of version 8 (RFC 9562)."""
    with path.open("rb") as file:
        digest = bytearray(hashlib.file_digest(file, "sha256").digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def check_manifest(package: Path) -> None:
    """Raise PipelineError unless the files of `package` are those that its manifest names."""
    try:
        manifest = parse_json(read_plain(package / "Manifest.json"))
        intact = manifest == _manifest(package / "Data")
    except FileNotFoundError as error:
        raise PipelineError(f"{error.filename} is missing; export it again.") from None
    except ValueError:
        intact = False
    if not intact:
        raise PipelineError(
            f"{package} is damaged or was changed after its export: its files do not match"
            " Manifest.json; export it again."
        )
