"""Judging 20,000 images x 40 attributes from a file of predictions, beside scikit-learn.

    python benchmarks/evaluation.py [--images 20000] [--runs 3]

Both are whole processes, imports included, taking turns. Ours makes all tables of `pipeline
evaluate` but no picture: thresholds chosen on as many images of valid, 1,000 resamples of 1,000
persons, slices and gaps. scikit-learn's makes the metrics of each attribute and no more.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from annotations import run

from pipeline.attributes import load_set
from pipeline.evaluation import predictions
from pipeline.evaluation.metrics import sigmoid
from pipeline.evaluation.predictions import Predictions, SplitPredictions

OURS = """
from pathlib import Path
import sys
from pipeline.evaluation import evaluate, predictions
from pipeline.params import Evaluate

settings = Evaluate(
    split="test", batch_size=64, threshold=0.5, choose="accuracy", resamples=1000,
    slices=["Male", "Young"],
)
file = Path(sys.argv[1])
result = evaluate.evaluate(predictions.read(file), settings)
evaluate.write(result, file.parent)
"""

THEIRS = """
import sys
import pyarrow.parquet as pq
from sklearn import metrics
from sklearn.calibration import calibration_curve

table = pq.read_table(sys.argv[1], filters=[("split", "==", "test")])
for column in table.column_names:
    name = column.removesuffix("_probability")
    if name == column:
        continue
    truth, said = table[name].to_numpy(), table[column].to_numpy()
    answer = said >= 0.5
    metrics.accuracy_score(truth, answer)
    metrics.recall_score(truth, answer)
    metrics.recall_score(~truth, ~answer)
    metrics.precision_score(truth, answer)
    metrics.f1_score(truth, answer)
    metrics.balanced_accuracy_score(truth, answer)
    metrics.log_loss(truth, said)
    metrics.average_precision_score(truth, said)
    metrics.roc_auc_score(truth, said)
    calibration_curve(truth, said, n_bins=15)
"""


def invent(images: int) -> Predictions:
    """Predictions of a network that is right nine times in ten."""
    rng, attributes = np.random.default_rng(1), load_set("celeba")
    rates = np.linspace(0.02, 0.6, 40)
    splits = {}
    for split in ("test", "valid"):
        labels = rng.random((images, 40)) < rates
        logits = rng.normal(np.where(labels, 2, -3), 2).astype(np.float32)
        keys = [f"{i:06d}" for i in range(images)]
        splits[split] = SplitPredictions(
            attributes.model_order, keys, rng.integers(0, 1000, images), labels, None,
            sigmoid(logits),
        )  # fmt: skip
    return Predictions("synthetic", "0" * 64, attributes, rates, splits)


def main() -> None:
    """Take turns and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    programs = {"all our tables": OURS, "scikit-learn": THEIRS}
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions.parquet"
        predictions.write(file, invent(options.images))
        for _ in range(options.runs):
            for name, code in programs.items():
                results[name].append(run(["-c", code, str(file)]))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in results.items()
    }
    for name, (wall, cpu, peak) in medians.items():
        print(f"{name:15} {wall:6.2f} s, {cpu:6.2f} s of CPU, {peak:4.0f} MB")
    ours, theirs = medians.values()
    wall, cpu, peak = (a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"ratio           {wall:6.2f} of the time, {cpu:.2f} of the CPU, {peak:.2f} of the memory"
    )


if __name__ == "__main__":
    main()
