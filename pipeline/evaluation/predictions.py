"""`predictions.parquet`: what the network said of each image, and what the labels say.

Labels are in columns named as the attributes, probabilities under `NAME_probability`, both in model
order. The file holds the split that is judged and valid, on which thresholds are chosen; its
metadata say whose probabilities these are, and how frequent the attributes are on train. It is all
that evaluation reads, so it can be done again without the network. Probabilities are float64:
float32 cannot tell 0.99999999 from 1, and the loss can.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from pipeline.attributes import MODEL_ORDER, SPLITS
from pipeline.dataset.arrow import numbers
from pipeline.dataset.parquet import read_table
from pipeline.errors import PipelineError, one_line
from pipeline.files import new_file
from pipeline.records import Record, what_is_wrong

_METADATA = b"predictions"


class _About(Record):
    """What the metadata of the file say."""

    source: str
    model: str
    train_prevalence: dict[str, Annotated[float, Field(ge=0, le=1)] | None]


PREDICTIONS_SCHEMA = pa.schema(
    [
        pa.field("split", pa.string()),
        pa.field("key", pa.string()),
        pa.field("celeb_id", pa.int64()),
        *(pa.field(name, pa.bool_()) for name in MODEL_ORDER),
        *(pa.field(f"{name}_probability", pa.float64()) for name in MODEL_ORDER),
    ]
)
"""One row per image; only `celeb_id` may be null."""


@dataclass(frozen=True)
class SplitPredictions:
    """Labels and probabilities of the N images of a split, in its order."""

    keys: list[str]

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""

    labels: np.ndarray
    """bool [N, 40], model order."""

    probabilities: np.ndarray
    """float64 [N, 40] in [0, 1], model order."""


@dataclass(frozen=True)
class Predictions:
    """What a network said of some splits."""

    source: str
    """Where the faces come from."""

    model: str
    """sha256 of model.safetensors."""

    train_prevalence: np.ndarray
    """Share of positives on train, float64 [40], model order: the baseline's knowledge.

    NaN where train has no images.
    """

    splits: dict[str, SplitPredictions]
    """Those that have images."""


def write(path: Path, predictions: Predictions) -> None:
    """Write the file, whole or not at all."""
    about = {
        "source": predictions.source,
        "model": predictions.model,
        "train_prevalence": {
            name: None if np.isnan(rate) else float(rate)
            for name, rate in zip(MODEL_ORDER, predictions.train_prevalence, strict=True)
        },
    }
    tables = [_table(split, rows) for split, rows in predictions.splits.items()]
    table = pa.concat_tables(tables).replace_schema_metadata({_METADATA: json.dumps(about)})
    with new_file(path) as partial:
        pq.write_table(table, partial, compression="zstd", use_dictionary=["split"])


def read(path: Path) -> Predictions:
    """Read a file that `write` wrote; `path` may be its folder.

    Raises PipelineError where it is missing, another file, or holds a value that is no probability.
    """
    if path.is_dir():
        path = path / "predictions.parquet"
    try:
        table = read_table(path, PREDICTIONS_SCHEMA)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `pipeline evaluate` first.") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = one_line(error).rstrip(".")
        raise PipelineError(
            f"{path} cannot be read ({reason}); run `pipeline evaluate`."
        ) from error
    nulls = [n for n in PREDICTIONS_SCHEMA.names if table[n].null_count and n != "celeb_id"]
    if nulls:
        raise PipelineError(f"{path} has nulls in {nulls[0]}; run `pipeline evaluate` again.")
    try:
        about = _About.model_validate_json((table.schema.metadata or {})[_METADATA])
        rates = np.array([about.train_prevalence[name] for name in MODEL_ORDER], float)
    except (KeyError, ValidationError) as error:
        reason = what_is_wrong(error) if isinstance(error, ValidationError) else f"lacks {error}"
        raise PipelineError(
            f"{path} was not written by `pipeline evaluate`: its metadata {reason}."
        ) from error
    named = pc.unique(table["split"]).to_pylist()
    if odd := [split for split in named if split not in SPLITS]:
        raise PipelineError(
            f"{path} has the split {odd[0]!r}, which is none of {', '.join(SPLITS)}."
        )
    splits = {split: _split(table.filter(pc.field("split") == split)) for split in named}
    for split, rows in splits.items():
        inside = (rows.probabilities >= 0) & (rows.probabilities <= 1)  # NaN is not
        if not inside.all():
            image, attribute = np.argwhere(~inside)[0]
            raise PipelineError(
                f"{path}: {MODEL_ORDER[attribute]}_probability of {rows.keys[image]} ({split}) is"
                f" {rows.probabilities[image, attribute]}, and a probability lies in [0, 1]."
            )
    return Predictions(about.source, about.model, rates, splits)


def _table(split: str, rows: SplitPredictions) -> pa.Table:
    columns = [
        pa.array([split] * len(rows.keys)),
        pa.array(rows.keys),
        pa.array(rows.celeb_id, mask=rows.celeb_id < 0),
        *(pa.array(column) for column in rows.labels.T),
        *(pa.array(column) for column in rows.probabilities.T),
    ]
    return pa.table(columns, PREDICTIONS_SCHEMA)


def _split(table: pa.Table) -> SplitPredictions:
    labels = np.empty((len(table), len(MODEL_ORDER)), bool)
    probabilities = np.empty(labels.shape)
    for i, name in enumerate(MODEL_ORDER):
        labels[:, i] = numbers(table[name].cast(pa.uint8()))
        probabilities[:, i] = numbers(table[f"{name}_probability"])
    celeb_id = numbers(table["celeb_id"].fill_null(-1))
    return SplitPredictions(table["key"].to_pylist(), celeb_id, labels, probabilities)
