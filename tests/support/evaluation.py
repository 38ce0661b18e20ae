"""What `pipeline evaluate` leaves for the export, without an evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROW = "{name},0.9,0.8,0.95,"
"""Accuracy and recall at 0.5, and at the chosen threshold, where recall is not known."""


def write_evaluation(folder: Path, names: Sequence[str], thresholds: dict[str, Any]) -> None:
    """Metrics, thresholds and the table of attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thresholds.json").write_text(json.dumps(thresholds))
    (folder / "metrics.json").write_text('{"accuracy": 0.9}')
    columns = "attribute,accuracy,recall,accuracy_chosen,recall_chosen"
    rows = [ROW.format(name=name) for name in names]
    (folder / "attributes.csv").write_text("\n".join([columns, *rows]) + "\n")
