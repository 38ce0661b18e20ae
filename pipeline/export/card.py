"""What every exported file says of itself: the names of its input and output, and its card.

An exported file takes a picture (RGB, 0 to 255) as `image` and gives `probabilities` [.., A] in
model order: scaling and sigmoid are inside, so an app has nothing to get wrong. Its metadata
says what the numbers mean; where a runtime hides metadata (browsers), NAME.json beside the files
says the same. Runners take uint8 [N, S, S, 3], so that a comparison covers the scaling too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.attributes import AttributeSet, set_of_model
from pipeline.errors import PipelineError, one_line
from pipeline.export.rates import LARGEST_METADATA, Rates, missed, read_rates
from pipeline.files import sha256_of
from pipeline.network.domain import UNKNOWN, Domain
from pipeline.reading import parse_json, read_plain
from pipeline.vocabulary import MOST_ATTRIBUTES

if TYPE_CHECKING:
    from pipeline.network.saved import ModelDescription

INPUT: Final = "image"
OUTPUT: Final = "probabilities"

Images = NDArray[np.uint8]
"""[N, S, S, 3] RGB."""

FloatArray = NDArray[np.float64]

Probabilities = NDArray[np.float32]
"""[N, A] in model order, each in [0, 1]."""


@dataclass(frozen=True)
class About:
    """The card that an exported file carries in its metadata."""

    version: str
    licence: str
    attributes: AttributeSet
    author: str = "Face Data Pipeline"
    thresholds: tuple[float, ...] = ()
    """In model order; an attribute is present where its probability reaches its threshold. None
    given: the fixed one for all."""

    fixed_threshold: float = 0.5
    """The single threshold for all attributes that the chosen ones are compared with."""

    chosen_for: str = ""
    """What the thresholds maximise on valid, accuracy or f1; empty where they are the fixed one."""

    domain: Domain = UNKNOWN
    """The pictures that the network was trained on."""

    accuracy: Rates = ()
    """At the thresholds, as measured on the judged split; none given: not known."""

    recall: Rates = ()

    min_recall: float = 0.0
    """Attributes with less are marked as missed; apps hide them."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What training and evaluation found; everything in it can be written as JSON."""

    def __post_init__(self) -> None:
        count = len(self.attributes.names)
        if not self.thresholds:
            object.__setattr__(self, "thresholds", (self.fixed_threshold,) * count)
        if len(self.thresholds) != count:
            raise ValueError(f"{len(self.thresholds)} thresholds for {count} attributes")

    @property
    def missed(self) -> list[str]:
        """The attributes that are hardly ever found where they hold."""
        return missed(self.attributes.model_order, self.recall, self.min_recall)

    @property
    def description(self) -> str:
        """What the file gives, in a sentence."""
        count = len(self.attributes.names)
        many = f"the {count} {self.attributes.name} attributes"
        only = f"the {self.attributes.name} attribute {self.attributes.names[0]}"
        return f"Probabilities of {many if count > 1 else only} of one face."

    def metadata(self) -> dict[str, str]:
        """What a program reads from the file, each value as one line of JSON."""
        facts: dict[str, Any] = {
            "attributes": self.attributes.model_order,
            "regions": self.attributes.regions,
            "thresholds": self.thresholds,
            "domain": self.domain.model_dump(),
            "accuracy": self.accuracy,
            "recall": self.recall,
            "missed": self.missed,
            "metrics": dict(self.metrics),
            **({"hidden": self.attributes.hidden} if self.attributes.hidden else {}),
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
            "licence": self.licence,
            "domain": {**self.domain.model_dump(), "warning": self.domain.warning()},
            "input": {
                "name": INPUT,
                "type": "uint8",
                "shape": ["batch", size, size, 3],
                "size": size,
                "channels": "RGB",
                "range": [0, 255],
                "crop": "the centre square of an upright portrait of 178 x 218 px, aligned like"
                " CelebA's, scaled by area",
            },
            "output": {
                "name": OUTPUT,
                "type": "float32",
                "shape": ["batch", len(self.attributes.names)],
                "range": [0, 1],
            },
            "attributes": list(self.attributes.model_order),
            "regions": self.attributes.regions,
            "thresholds": {
                "fixed": self.fixed_threshold,
                "chosen_for": self.chosen_for or None,
                "chosen": list(self.thresholds),
            },
            "at_thresholds": {"accuracy": list(self.accuracy), "recall": list(self.recall)},
            "missed": self.missed,
            "metrics": dict(self.metrics),
            "files": {file: dict(facts) for file, facts in files.items()},
            "set": self.attributes.name,
            "hidden": self.attributes.hidden,
            "sentences": {name: text for name, text in self.attributes.attributes.items() if text},
        }


def about_run(
    description: "ModelDescription",
    model: Path,
    evaluation: Path,
    min_recall: float = 0.0,
) -> About:
    """The card of the network in the folder `model`, whose model.json is the `description`.

    Metrics and thresholds come from the folder `evaluation`; raises PipelineError without them.
    """
    attributes = description.attribute_set()
    metrics, thresholds = (
        _read_json(evaluation / name) for name in ("metrics.json", "thresholds.json")
    )
    try:
        chosen = thresholds["attributes"]  # null where valid had no images to choose them on
        chosen = tuple(
            float(thresholds["fixed"] if chosen[name] is None else chosen[name])
            for name in attributes.model_order
        )
        fixed, chosen_for = float(thresholds["fixed"]), str(thresholds["chosen_for"] or "")
    except (LookupError, TypeError, ValueError) as error:
        path, reason = evaluation / "thresholds.json", one_line(error)
        raise PipelineError(f"{path} is damaged ({reason}); run `pipeline evaluate`.") from error
    accuracy, recall = read_rates(evaluation, attributes.model_order)
    return About(
        version=f"1+{sha256_of(model / 'model.safetensors')[:12]}",
        licence=description.licence or "unknown",
        attributes=attributes,
        domain=description.trained_on(),
        thresholds=chosen,
        fixed_threshold=fixed,
        chosen_for=chosen_for,
        metrics=metrics,
        accuracy=accuracy,
        recall=recall,
        min_recall=min_recall,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json(read_plain(path))
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline evaluate` first.") from None
    except (ValueError, OSError) as error:
        raise PipelineError(
            f"{path} is damaged ({one_line(error)}); run `pipeline evaluate`."
        ) from error
    return content


def _parse(text: str) -> Any:
    """JSON in the metadata of a file. Raises ValueError, for a longer text than any set has too."""
    if len(text) > LARGEST_METADATA:
        raise ValueError(f"{len(text):,} characters")
    return parse_json(text)


def read_attributes(metadata: Mapping[str, str], where: str) -> AttributeSet:
    """The attribute set that an exported file names, as its network knows it.

    Raises PipelineError where it names none.
    """
    try:
        regions, hidden = _parse(metadata["regions"]), _parse(metadata.get("hidden", "[]"))
        if sum(map(len, regions.values())) > MOST_ATTRIBUTES:
            raise ValueError
        found = set_of_model(regions, hidden=hidden)
        if _parse(metadata["attributes"]) == list(found.model_order):
            return found
    except (KeyError, ValueError, TypeError, AttributeError):
        pass
    raise PipelineError(f"{where} does not name its attributes by regions; export it again.")


def read_thresholds(metadata: Mapping[str, str], attributes: int, where: Path) -> FloatArray:
    """The thresholds that a file names, [A] in model order.

    Raises PipelineError where they are missing or are none.
    """
    try:
        thresholds = np.array(_parse(metadata["thresholds"]), np.float64)
        if thresholds.shape == (attributes,) and ((thresholds >= 0) & (thresholds <= 1)).all():
            return thresholds
    except (KeyError, ValueError, TypeError, OverflowError):
        pass
    raise PipelineError(
        f"{where} does not name {attributes} thresholds in [0, 1]; export it again."
    )
