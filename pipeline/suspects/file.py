"""`suspects.parquet`: every label that is known, the likeliest to be wrong first.

One row a label: its sample's split and key, the attribute, the label as the data have it, the
probability that the attribute is there by all that speaks of it, and `suspicion`, the probability
that the label is wrong (`pipeline.suspects.rank`). The metadata of the file say how each split was
judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.parquet import read_tables
from pipeline.errors import PipelineError, one_line
from pipeline.files import new_file

SCHEMA: Final = pa.schema(
    {
        "split": pa.string(),
        "key": pa.string(),
        "attribute": pa.string(),
        "label": pa.bool_(),
        "probability": pa.float32(),
        "suspicion": pa.float32(),
    }
)

MOST_ROWS: Final = 600_000_000
"""Labels; CelebA has 8.1 million."""

ROWS_PER_GROUP: Final = 500_000


@dataclass(frozen=True)
class Suspect:
    """A label and how suspicious it is."""

    split: str
    key: str
    attribute: str
    label: bool
    probability: float
    suspicion: float


def write_suspects(path: Path, table: pa.Table, methods: dict[str, str]) -> None:
    """Write rows under SCHEMA; `methods`: how each split was judged, as the metadata keep it."""
    table = table.replace_schema_metadata({f"method.{s}": told for s, told in methods.items()})
    with new_file(path) as partial:
        pq.write_table(
            table, partial, ROWS_PER_GROUP, compression="zstd",
            use_dictionary=["split", "key", "attribute"],
        )  # fmt: skip


def read_top(
    path: Path, count: int, splits: Sequence[str] = (), attributes: Sequence[str] = ()
) -> list[Suspect]:
    """The `count` most suspicious labels, of some splits or attributes alone where they are named.

    Raises PipelineError where the file is missing or another.
    """
    found: list[Suspect] = []
    for table in _tables(path):
        table = _only(table, splits, attributes)
        found += [Suspect(**row) for row in table.slice(0, count - len(found)).to_pylist()]
        if len(found) >= count:
            break
    return found


def count_suspects(path: Path, splits: Sequence[str] = (), attributes: Sequence[str] = ()) -> int:
    """How many labels the file has, of those that `read_top` chooses from. Raises as it does."""
    columns = ["split", "attribute"]
    return sum(len(_only(table, splits, attributes)) for table in _tables(path, columns))


def _only(table: pa.Table, splits: Sequence[str], attributes: Sequence[str]) -> pa.Table:
    """The rows of some splits and attributes; of all where none is named."""
    import pyarrow.compute as pc

    for column, wanted in (("split", splits), ("attribute", attributes)):
        if wanted:
            table = table.filter(pc.is_in(table[column], pa.array(list(wanted))))
    return table


def read_suspicion(path: Path, split: str, keys: pa.Array, names: Sequence[str]) -> np.ndarray:
    """The suspicion of the labels `names` of some samples of a split, float32 [N, A].

    NaN where the file says nothing of a label. Raises as `read_top` does.
    """
    return read_suspicions(path, {split: keys}, names)[split]


def read_suspicions(
    path: Path, keys: Mapping[str, pa.Array], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Likewise of some samples of several splits, whose keys are given; the file is read once."""
    import pyarrow.compute as pc

    matrices = {s: np.full((len(k), len(names)), np.nan, np.float32) for s, k in keys.items()}
    order = pa.array(list(names), pa.string())
    sets = {split: column.cast(pa.string()) for split, column in keys.items()}
    for whole in _tables(path):
        for split, matrix in matrices.items():
            table = whole.filter(pc.field("split") == split)
            columns = pc.index_in(table["attribute"], order)
            rows = pc.index_in(table["key"], sets[split])
            both = pc.and_(columns.is_valid(), rows.is_valid()).to_numpy()
            columns, rows = columns.fill_null(0).to_numpy(), rows.fill_null(0).to_numpy()
            matrix[rows[both], columns[both]] = table["suspicion"].to_numpy()[both]
    return matrices


def _tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    try:
        yield from read_tables(path, SCHEMA, columns, MOST_ROWS)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `pipeline suspects` first.") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = one_line(error).rstrip(".")
        raise PipelineError(
            f"{path} cannot be read ({reason}); run `pipeline suspects` again."
        ) from error
