"""What every exported file promises: its names, its card, and agreement with PyTorch.

An exported file takes a picture (RGB, 0 to 255) as `image` and gives `probabilities` [.., 40] in
model order: scaling and sigmoid are inside, so an app has nothing to get wrong. Its metadata
says what the numbers mean; where a runtime hides metadata (browsers), NAME.json beside the files
says the same. Runners take uint8 [N, S, S, 3], so that a comparison covers all of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import MODEL_ORDER, REGIONS
from pipeline.errors import PipelineError

INPUT: Final = "image"
OUTPUT: Final = "probabilities"

Images = NDArray[np.uint8]
"""[N, S, S, 3] RGB."""

Probabilities = NDArray[np.float32]
"""[N, 40] in model order, each in [0, 1]."""


@dataclass(frozen=True)
class About:
    """The card that an exported file carries in its metadata."""

    version: str
    license: str
    author: str = "Face Data Pipeline"
    description: str = "Probabilities of the 40 CelebA attributes of one face."
    thresholds: tuple[float, ...] = (0.5,) * len(MODEL_ORDER)
    """In model order; an attribute is present where its probability reaches its threshold."""

    fixed_threshold: float = 0.5
    """The one for all attributes that the thresholds were chosen against."""

    chosen_for: str = ""
    """What the thresholds maximise on valid: accuracy, f1; empty: they are the fixed one."""

    source: str = ""
    """The dataset that the network was trained on."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What training and evaluation found; must go into JSON."""

    def __post_init__(self) -> None:
        if len(self.thresholds) != len(MODEL_ORDER):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(MODEL_ORDER)} attributes")

    def metadata(self) -> dict[str, str]:
        """What a program reads from the file, each value JSON in one line."""
        facts: dict[str, Any] = {
            "attributes": MODEL_ORDER,
            "regions": REGIONS,
            "thresholds": self.thresholds,
            "source": self.source,
            "metrics": dict(self.metrics),
        }
        return {
            key: json.dumps(value, allow_nan=False, separators=(",", ":"))
            for key, value in facts.items()
        }

    def card(self, name: str, size: int, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """NAME.json, for programs that cannot read the metadata of the file they run.

        `size` is the side of the input, px; `files` says more of each file, by its name.
        """
        return {
            "name": name,
            "version": self.version,
            "description": self.description,
            "author": self.author,
            "licence": self.license,
            "source": self.source,
            "input": {
                "name": INPUT,
                "type": "uint8",
                "shape": ["batch", size, size, 3],
                "size": size,
                "channels": "RGB",
                "range": [0, 255],
                "crop": "the centre square of an upright aligned portrait, scaled by area",
            },
            "output": {
                "name": OUTPUT,
                "type": "float32",
                "shape": ["batch", len(MODEL_ORDER)],
                "range": [0, 1],
            },
            "attributes": list(MODEL_ORDER),
            "regions": {region: list(names) for region, names in REGIONS.items()},
            "thresholds": {
                "fixed": self.fixed_threshold,
                "chosen_for": self.chosen_for or None,
                "chosen": list(self.thresholds),
            },
            "metrics": dict(self.metrics),
            "files": {file: dict(facts) for file, facts in files.items()},
        }


def check_attributes(metadata: Mapping[str, str], where: str) -> None:
    """Raise PipelineError unless the file names the 40 attributes in model order."""
    try:
        named = json.loads(metadata["attributes"])
    except (KeyError, ValueError):
        raise PipelineError(f"{where} does not name its attributes; export it again.") from None
    if named != list(MODEL_ORDER):
        raise PipelineError(
            f"{where} names other attributes, or in another order, than this version; export it"
            " again."
        )
