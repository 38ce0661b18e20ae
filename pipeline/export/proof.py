"""Every exported file, run on real crops and compared with PyTorch: one row per way to run it.

What is run is what was saved. A Core ML package is read back and executed operation by operation,
in fp32 and in emulated fp16 (on a Mac by Core ML as well); an ONNX file runs in ONNX Runtime.
Decisions are compared over a margin: where the network's probability is closer to its threshold
than rounding alone may move it (`pipeline.export.precision`), either answer is right.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.export.card import Images, Probabilities
from pipeline.export.run_coreml import Package, Program
from pipeline.export.run_onnx import Network
from pipeline.files import sha256_of
from pipeline.shards.read import ShardReader
from pipeline.tables import Row, Rows


def sample_images(shards: Path, split: str, view: View, count: int, size: int) -> Images:
    """`count` crops spread evenly over what the view keeps of a split, or all where it has fewer.

    Raises PipelineError where they are not of the network's size, px.
    """
    with ShardReader(shards, split, view) as reader:
        if reader.size != size:
            raise PipelineError(
                f"The crops of {shards} have {reader.size} px and the network takes {size};"
                " run `pipeline train` again."
            )
        rows = np.linspace(0, len(reader) - 1, min(count, len(reader))).round().astype(np.int64)
        [batch] = reader.batches([rows])
    return batch.images


def prove_coreml(
    package: Path,
    images: Images,
    reference: Probabilities,
    thresholds: Sequence[float],
    parameters: int,
    margin: float,
    exact: bool = True,
) -> list[Row]:
    """Rows for fp32 (if `exact`), emulated fp16 and, on a Mac, Core ML itself.

    `margin` is that of `measure_agreement`.
    """
    program = Program.load(package)
    found = {"float32": program.run(images)} if exact else {}
    found["emulated float16"] = program.run(images, half=True)
    if sys.platform == "darwin":
        found["Core ML"] = Package(package).run(images)
    operations = sum(program.count_operations().values())
    return [
        _row(
            package,
            run_by,
            operations,
            parameters,
            measure_agreement(reference, answers, thresholds, margin),
        )
        for run_by, answers in found.items()
    ]


def prove_onnx(
    file: Path,
    images: Images,
    reference: Probabilities,
    thresholds: Sequence[float],
    parameters: int,
    margin: float,
) -> Row:
    """The row of an ONNX file; `margin` is that of `measure_agreement`."""
    import onnx

    operations = len(onnx.load(file).graph.node)
    answers = Network(file).run(images)
    comparison = measure_agreement(reference, answers, thresholds, margin)
    return _row(file, "ONNX Runtime", operations, parameters, comparison)


def _row(
    path: Path, run_by: str, operations: int, parameters: int, comparison: Mapping[str, float]
) -> Row:
    size = sum(facts["bytes"] for facts in describe_files(path).values())
    return {
        "file": path.name,
        "run_by": run_by,
        "bytes": size,
        "bytes_per_parameter": round(size / parameters, 4),
        "operations": operations,
        **comparison,
    }


def export_metrics(rows: Rows, parameters: int) -> dict[str, Any]:
    """The numbers to compare exports by, of the main files in the arithmetic they are made for."""
    by_runner = {row["run_by"]: row for row in reversed(rows)}  # the main files come first
    coreml, onnx = by_runner["emulated float16"], by_runner["ONNX Runtime"]
    return {
        "parameters": parameters,
        "images": coreml["images"],
        "coreml_bytes": coreml["bytes"],
        "coreml_bytes_per_parameter": coreml["bytes_per_parameter"],
        "coreml_operations": coreml["operations"],
        "coreml_agreement": coreml["agreement"],
        "coreml_within_margin": coreml["within_margin"],
        "coreml_largest_difference": _short(coreml["largest"]),
        "coreml_mean_difference": _short(coreml["mean"]),
        "onnx_bytes": onnx["bytes"],
        "onnx_agreement": onnx["agreement"],
        "onnx_largest_difference": _short(onnx["largest"]),
    }


def _short(value: float) -> float:
    """To three digits: the rest depends on how many threads add up."""
    return float(f"{value:.3g}")


def describe_files(*paths: Path) -> dict[str, dict[str, Any]]:
    """`bytes` and `sha256` of each file, and of each inside a package, by its name beside it."""
    described = {}
    for path in paths:
        for file in sorted(p for p in (path, *path.rglob("*")) if p.is_file()):
            name = file.relative_to(path.parent).as_posix()
            described[name] = {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
    return described


def measure_agreement(
    reference: Probabilities,
    other: Probabilities,
    thresholds: Sequence[float],
    margin: float = 0.0,
) -> dict[str, float]:
    """Two runners on the same images, [N, A] each; `thresholds` [A].

    Returns `images`, `decisions` (N x A), `largest` and `mean` absolute difference, `agreement`,
    the share of the decisions (probability >= threshold) that are equal, and the `margin`. A
    decision also counts as equal where the reference is no further from its threshold than the
    margin; how many differ there is `within_margin`. NaN agrees with nothing.

    Raises PipelineError where the shapes differ, or where `other` leaves [0, 1], as logits do.
    """
    if reference.shape != other.shape or reference.shape[1:] != (len(thresholds),):
        raise PipelineError(
            f"The exported file gives {list(other.shape)} probabilities where PyTorch gives"
            f" {list(reference.shape)}; export it again."
        )
    if other.min() < 0 or other.max() > 1:
        raise PipelineError(
            f"The exported file gives numbers from {other.min():.3g} to {other.max():.3g}, which"
            " are no probabilities; export it again."
        )
    difference = np.abs(reference.astype(np.float64) - other.astype(np.float64))
    difference[np.isnan(difference)] = 1.0
    limits = np.asarray(thresholds)
    equal = ((reference >= limits) == (other >= limits)) & ~np.isnan(other)
    excused = ~equal & ~np.isnan(other) & (np.abs(reference - limits) <= margin)
    return {
        "images": len(reference),
        "decisions": equal.size,
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "agreement": float((equal | excused).mean()),
        "within_margin": int(excused.sum()),
        "margin": margin,
    }


def require_agreement(
    comparison: Mapping[str, float], minimum: float, what: str, largest: float = 1.0
) -> None:
    """Raise PipelineError where fewer than `minimum` (0 to 1) of the decisions agree.

    `largest` also bounds the largest difference: equal decisions alone would not show that two
    attributes, both far from their thresholds, were swapped.
    """
    if comparison["agreement"] >= minimum and comparison["largest"] <= largest:
        return
    raise PipelineError(
        f"{what} agrees with PyTorch on {comparison['agreement']:.2%} of"
        f" {comparison['decisions']:,} decisions with a largest difference of"
        f" {comparison['largest']:.3g}, where {minimum:.2%} and {largest:.3g} are required; do not"
        " ship it."
    )
