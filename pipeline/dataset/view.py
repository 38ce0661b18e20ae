"""How a run looks at the data: which labels, of which images. It changes no file.

The attribute set selects and orders the labels, `data.where` the images, as both are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.attributes import AttributeSet, load_set
from pipeline.dataset.where import Columns, Where
from pipeline.errors import PipelineError
from pipeline.params import Params


@dataclass(frozen=True)
class View:
    """What of the data is looked at."""

    attributes: AttributeSet
    where: Where | None = None

    def require(self, labels: Sequence[str], place: Path) -> None:
        """Raise PipelineError where the data in `place`, which has these labels, lack one."""
        if missing := [name for name in self.attributes.names if name not in labels]:
            more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
            raise PipelineError(
                f"The attribute set {self.attributes.name} has {missing[0]}{more}, and {place} has"
                f" no such label but {', '.join(labels[:5])}{', ...' if labels[5:] else ''}; name"
                " another set in data.attributes."
            )

    def rows(self, split: str, count: int, columns: Columns) -> np.ndarray | None:
        """The rows of a split that count, int64; None where all of its `count` rows do."""
        if self.where is None:
            return None

        def column(name: str) -> pa.Array:
            return pa.repeat(pa.scalar(split), count) if name == "split" else columns(name)

        return np.flatnonzero(self.where.holds(column, count).to_numpy(zero_copy_only=False))


def open_view(settings: Params) -> View:
    """The view that the params ask for. Raises PipelineError where set or expression are none."""
    where = settings.data.where
    return View(load_set(settings.data.attributes), Where(where) if where else None)
