"""What unknown labels cost: the quick recipe with half of the training labels unknown.

    python benchmarks/unknown.py [--epochs 2] [--share 0.5]

Four trainings on the same synthetic faces, judged on the same test images, whose labels are all
known: every label known; a share of the training labels unknown at random (which the loss leaves
out); as many images fewer, all of their labels known; and what people do by accident, unknown taken
for "no". Printed are accuracy, the gain over the majority, and loss.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import load_set
from pipeline.dataset.codec import CropSettings
from pipeline.dataset.labels import label_names
from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_index import read_source
from pipeline.dataset.raw_writer import write_raw
from pipeline.dataset.view import View
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predict import predict_splits
from pipeline.files import sha256_of, write_json
from pipeline.network.model import architecture_of
from pipeline.network.saved import save_model
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.params import Params, load_params
from pipeline.sources import open_source
from pipeline.training.loop import train

ROOT = Path(__file__).parents[1]


def change(raw: Path, share: float, way: str) -> None:
    """Change the train labels of the raw files in place; `way`: unknown, fewer or negative."""
    generator = np.random.default_rng(0)
    index = read_source(raw)
    files, counts = dict(index.files), dict(index.counts)
    for path in raw_files(raw)["train"]:
        table = pq.read_table(path)
        if way == "fewer":
            table = table.take(pa.array(np.flatnonzero(generator.random(len(table)) >= share)))
        else:
            for name in label_names(table.schema):
                hidden = generator.random(len(table)) < share
                values = np.array(table[name].to_pylist(), bool)
                column = (
                    pa.array(values & ~hidden)
                    if way == "negative"
                    else pa.array(values, mask=hidden)
                )
                table = table.set_column(table.column_names.index(name), name, column)
        pq.write_table(table, path, row_group_size=1000)
        files[path.name] = files[path.name].model_copy(
            update={"rows": len(table), "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        )
    counts["train"] = sum(f.rows for name, f in files.items() if name.startswith("train-"))
    changed = index.model_copy(update={"files": files, "counts": counts})
    write_json(raw / "source.json", changed.content())


def judge(settings: Params, folder: Path) -> dict[str, float]:
    """Pack, train and evaluate; `folder` holds raw."""
    crop = CropSettings(settings.shards.size, settings.shards.quality)
    write_shards(folder / "raw", folder / "shards", ShardSettings(crop, settings.shards.samples))
    view = View(load_set("celeba"))
    architecture = architecture_of(settings, settings.shards.size)
    trained = train(architecture, view, folder / "shards", settings.train, settings.augment)
    assert trained is not None
    (folder / "model").mkdir()
    save_model(trained.model, folder / "model", view.attributes, {})
    trained.checkpoints.remove()
    drawn = settings.sources.synthetic.model_copy(
        update={"train": read_source(folder / "raw").counts["train"]}
    )
    sources = settings.sources.model_copy(update={"synthetic": drawn})
    same = settings.model_copy(update={"sources": sources})
    predictions = predict_splits(same, view, folder / "model", folder / "shards")
    return evaluate(predictions, settings.evaluate.model_copy(update={"resamples": 0})).metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.5)
    arguments = parser.parse_args()
    settings = load_params(ROOT / "recipes/quick.yaml")
    chosen = settings.train.model_copy(update={"epochs": arguments.epochs})
    settings = settings.model_copy(update={"train": chosen})
    for way in ("known", "unknown", "fewer", "negative"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_raw(open_source(settings), folder / "raw")
            if way != "known":
                change(folder / "raw", arguments.share, way)
            found = judge(settings, folder)
            gain = found["accuracy"] - found["baseline_accuracy"]
            print(
                f"{way:8} accuracy {found['accuracy']:.4f}, over the majority {gain:+.4f},"
                f" recall {found['recall']:.4f}, loss {found['loss']:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
