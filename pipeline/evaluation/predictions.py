"""`predictions.parquet`: what the network said of each image, and what the labels say.

Labels are in columns named as the attributes, null where unknown, probabilities under
`NAME_probability`, both in model order. The file holds the split that is judged and valid, on which
thresholds are chosen; its metadata say whose probabilities these are, the attribute set, and how
frequent the attributes are on train. It is all that evaluation reads, so it can be done again
without the network. Probabilities are float64: float32 cannot tell 0.99999999 from 1, and the loss
can.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from pipeline.attributes import AttributeSet
from pipeline.dataset.arrow import numbers, numbers_or
from pipeline.dataset.labels import label_columns, label_matrix
from pipeline.dataset.parquet import LARGEST_PART, open_bounded, read_table
from pipeline.errors import PipelineError, one_line
from pipeline.files import new_file
from pipeline.records import Record, what_is_wrong
from pipeline.vocabulary import SPLITS

_METADATA = b"predictions"


class _About(Record):
    """What the metadata of the file say."""

    source: str
    model: str
    train_prevalence: dict[str, Annotated[float, Field(ge=0, le=1)] | None]
    attributes: AttributeSet
    corrected_prevalence: dict[str, Annotated[float, Field(ge=0, le=1)] | None] | None = None
    learnt: Annotated[int, Field(ge=0)] = 0


MOST_ROWS: Final = 20_000_000
"""Of the file; what it may unpack to is bounded by its bytes."""


OFFICIAL: Final = "official"
CORRECTED: Final = "corrected"


def predictions_schema(
    names: Sequence[str], origin: bool = False, corrected: bool = False
) -> pa.Schema:
    """One row per image; null may be `celeb_id` and labels. `names` are in model order.

    Where labels were `corrected`, the column `labels` says whose a row has.
    """
    columns = {"split": pa.string()} | ({"labels": pa.string()} if corrected else {})
    columns |= {"key": pa.string(), "celeb_id": pa.int64()}
    columns |= {"origin": pa.string()} if origin else {}
    columns |= dict.fromkeys(names, pa.bool_())
    return pa.schema({**columns, **{f"{name}_probability": pa.float64() for name in names}})


@dataclass(frozen=True)
class SplitPredictions:
    """Labels and probabilities of the N images of a split, in its order."""

    names: tuple[str, ...]
    """The A attributes in model order."""

    keys: list[str]

    celeb_id: np.ndarray
    """int64 [N]; -1 where unknown."""

    labels: np.ndarray
    """bool [N, A], model order; False where unknown."""

    known: np.ndarray | None
    """bool [N, A]; None where all are known."""

    probabilities: np.ndarray
    """float64 [N, A] in [0, 1], model order."""

    origin: np.ndarray | None = None
    """The part of a union that each is of, str [N]."""

    def known_of(self, images: np.ndarray) -> np.ndarray | None:
        """Which labels of some images (bool [N]) are known; None where all are."""
        return None if self.known is None else self.known[images]


@dataclass(frozen=True)
class Predictions:
    """What a network said of some splits."""

    source: str
    """Where the faces come from."""

    model: str
    """sha256 of model.safetensors."""

    attributes: AttributeSet

    train_prevalence: np.ndarray
    """Share of positives on train, float64 [A], model order: the baseline's knowledge.

    NaN where train has no known label.
    """

    splits: dict[str, SplitPredictions]
    """Those that have images, with the labels that the source has."""

    corrected: dict[str, SplitPredictions] = field(default_factory=dict)
    """Those that corrections touch, with the labels and images as corrected."""

    corrected_prevalence: np.ndarray | None = None
    """Like `train_prevalence`, by corrected labels; None without corrections."""

    learnt: int = 0
    """Official images of these splits that corrections moved to train: they were learnt from."""

    moved_since: bool = False
    """Whether images were moved between splits since the network learnt; not in the file."""

    def corrected_rates(self) -> np.ndarray:
        """The prevalence on train by corrected labels, where there are some."""
        known = self.corrected_prevalence
        return self.train_prevalence if known is None else known


def write(path: Path, predictions: Predictions) -> None:
    """Write the file, whole or not at all."""
    order = predictions.attributes.model_order
    about: dict[str, Any] = {
        "source": predictions.source,
        "model": predictions.model,
        "train_prevalence": _named_rates(order, predictions.train_prevalence),
        "attributes": predictions.attributes.model_dump(),
    }
    if predictions.corrected_prevalence is not None:
        about["corrected_prevalence"] = _named_rates(order, predictions.corrected_prevalence)
        about["learnt"] = predictions.learnt
    whose = {OFFICIAL: predictions.splits, CORRECTED: predictions.corrected}
    tables = [
        _table(split, rows, name if predictions.corrected else None)
        for name, splits in whose.items()
        for split, rows in splits.items()
    ]
    table = pa.concat_tables(tables).replace_schema_metadata({_METADATA: json.dumps(about)})
    with new_file(path) as partial:
        size = max(1_000, LARGEST_PART // 2 // (9 * len(table.schema)))
        pq.write_table(table, partial, size, compression="zstd", use_dictionary=["split", "labels"])


def read(path: Path) -> Predictions:
    """Read a file that `write` wrote; `path` may be its folder.

    Raises PipelineError where it is missing, another file, or holds a value that is no probability.
    """
    if path.is_dir():
        path = path / "predictions.parquet"
    try:
        with open_bounded(path, most_rows=MOST_ROWS) as file:
            there, metadata = file.schema_arrow.names, file.schema_arrow.metadata or {}
        about = _About.model_validate_json(metadata[_METADATA])
        names = about.attributes.model_order
        rates = np.array([about.train_prevalence[name] for name in names], float)
        schema = predictions_schema(names, "origin" in there, "labels" in there)
        table = read_table(path, schema, most_rows=MOST_ROWS)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `pipeline evaluate` first.") from None
    except (KeyError, ValidationError) as error:
        reason = what_is_wrong(error) if isinstance(error, ValidationError) else f"lacks {error}"
        raise PipelineError(
            f"{path} was not written by `pipeline evaluate`: its metadata {reason}."
        ) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = one_line(error).rstrip(".")
        raise PipelineError(
            f"{path} cannot be read ({reason}); run `pipeline evaluate`."
        ) from error
    nulls = [n for n in schema.names if table[n].null_count and n not in ("celeb_id", *names)]
    if nulls:
        raise PipelineError(f"{path} has nulls in {nulls[0]}; run `pipeline evaluate` again.")
    named = pc.unique(table["split"]).to_pylist()
    if odd := [split for split in named if split not in SPLITS]:
        raise PipelineError(
            f"{path} has the split {odd[0]!r}, which is none of {', '.join(SPLITS)}."
        )
    whose = table["labels"] if "labels" in there else pa.array([OFFICIAL] * len(table))
    if odd := sorted({*pc.unique(whose).to_pylist()} - {OFFICIAL, CORRECTED}):
        raise PipelineError(f"{path} has labels that are {odd[0]!r}, not official or corrected.")
    splits, corrected = (
        {s: _split(part.filter(pc.field("split") == s), names)
         for s in named if s in pc.unique(part["split"]).to_pylist()}
        for part in (table.filter(pc.equal(whose, name)) for name in (OFFICIAL, CORRECTED))
    )  # fmt: skip
    for split, rows in (*splits.items(), *corrected.items()):
        inside = (rows.probabilities >= 0) & (rows.probabilities <= 1)  # NaN is not
        if not inside.all():
            image, attribute = np.argwhere(~inside)[0]
            raise PipelineError(
                f"{path}: {names[attribute]}_probability of {rows.keys[image]} ({split}) is"
                f" {rows.probabilities[image, attribute]}, and a probability lies in [0, 1]."
            )
    again = about.corrected_prevalence
    return Predictions(
        about.source, about.model, about.attributes, rates, splits, corrected,
        None if again is None else np.array([again[name] for name in names], float), about.learnt,
    )  # fmt: skip


def _named_rates(names: Sequence[str], rates: np.ndarray) -> dict[str, float | None]:
    return {
        name: None if np.isnan(rate) else float(rate)
        for name, rate in zip(names, rates, strict=True)
    }


def _table(split: str, rows: SplitPredictions, labels: str | None) -> pa.Table:
    columns = [
        pa.array([split] * len(rows.keys)),
        *([] if labels is None else [pa.array([labels] * len(rows.keys))]),
        pa.array(rows.keys),
        pa.array(rows.celeb_id, mask=rows.celeb_id < 0),
        *([] if rows.origin is None else [pa.array(rows.origin.tolist(), pa.string())]),
        *label_columns(rows.labels, rows.known),
        *(pa.array(column) for column in rows.probabilities.T),
    ]
    schema = predictions_schema(rows.names, rows.origin is not None, labels is not None)
    return pa.table(columns, schema)


def _split(table: pa.Table, names: tuple[str, ...]) -> SplitPredictions:
    labels, known = label_matrix(table, names)
    probabilities = np.empty(labels.shape)
    for i, name in enumerate(names):
        probabilities[:, i] = numbers(table[f"{name}_probability"])
    celeb_id = numbers_or(table["celeb_id"], -1)
    there = "origin" in table.column_names
    origin = np.array(table["origin"].to_pylist(), str) if there else None
    keys = table["key"].to_pylist()
    return SplitPredictions(names, keys, celeb_id, labels, known, probabilities, origin)
