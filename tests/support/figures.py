"""Rows to draw figures from, and what stands in a drawn one."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pipeline.tables import Row
from tests.support.attributes import MODEL_ORDER, REGION_OF


def evaluation() -> list[Row]:
    """A plausible evaluation, one row per attribute; some values missing, some as text."""
    rng = np.random.default_rng(1)
    rare = rng.uniform(0.02, 0.5, len(MODEL_ORDER))
    rows: list[Row] = [
        {
            "attribute": name,
            "region": REGION_OF[name],
            "accuracy": 100 - 25 * p,
            "baseline": 100 - 100 * p,
            "published": round(100 - 22 * p),
            "prevalence": p,
            "recall": 1 - p,
            "prevalence_train": p,
            "prevalence_valid": 0.9 * p,
            "prevalence_test": f"{1.1 * p:.6g}",
        }
        for name, p in zip(MODEL_ORDER, rare.tolist(), strict=True)
    ]
    rows[3]["recall"] = ""  # an attribute without positives
    rows[5]["published"] = None
    rows[7]["accuracy"] = rows[7]["baseline"] - 2  # worse than the majority
    return rows


def texts(svg: Path) -> list[str]:
    """Every piece of text in an SVG file."""
    return [e.text or "" for e in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")]
