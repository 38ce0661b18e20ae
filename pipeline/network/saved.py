"""A network on disk: `model.safetensors` (weights) and `model.json` (a `ModelDescription`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import torch
from pydantic import Field, JsonValue, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from pipeline.attributes import AttributeName, AttributeSet, RegionName, set_of_model
from pipeline.errors import PipelineError, one_line
from pipeline.files import new_file, write_json
from pipeline.network.domain import Domain, domain_of
from pipeline.network.model import Architecture, FaceAttributes
from pipeline.reading import check_plain
from pipeline.records import Count, Record, read_record
from pipeline.vocabulary import MOST_ATTRIBUTES


class InputDescription(Record):
    """The images that the network takes."""

    size: int
    """Side of the square, px."""

    channels: str
    range: list[float]


class InitialWeights(Record):
    """Where the backbone's first weights came from."""

    source: str
    """A repository of the Hub, or the name of a file."""

    sha256: str
    licence: str | None


class TrainingData(Record):
    """The shards that the network was trained on."""

    index_sha256: str
    counts: dict[str, Count]
    """Samples of each split."""

    moves: str | None = None
    """sha256 of the images that corrections moved between splits; None: none, or not known."""


class ModelDescription(Record):
    """What `model.json` holds, in this order: all that is needed to rebuild and feed the network.

    The fields with a default are facts about its training; a network from elsewhere may lack them.
    """

    architecture: Architecture
    attributes: Annotated[list[AttributeName], Field(max_length=MOST_ATTRIBUTES)]
    """In the order of the logits."""

    regions: Annotated[
        dict[RegionName, Annotated[list[AttributeName], Field(min_length=1)]], Field(min_length=1)
    ]
    input: InputDescription
    parameters: dict[str, int]
    """`total`, `backbone` and `heads`."""

    source: str | None = None
    licence: str | None = None
    """Of the dataset."""

    domain: Domain | None = None
    """What is to be said of its pictures; None in files of earlier versions."""

    weights: InitialWeights | None = None
    """None: they were random."""

    data: TrainingData | None = None
    recipe: dict[str, JsonValue] | None = None
    """The params that training depends on."""

    versions: dict[str, str] | None = None
    """Of the libraries that trained it."""

    set: AttributeSet | None = None
    """The attribute set; None in files of earlier versions."""

    @model_validator(mode="after")
    def _one_order(self) -> "ModelDescription":
        known = self.attribute_set()
        ours, theirs = (list(regions.items()) for regions in (known.regions, self.regions))
        if list(known.model_order) != self.attributes or ours != theirs:
            raise ValueError("attributes, regions and set do not name the same, in one order")
        return self

    def attribute_set(self) -> AttributeSet:
        """The attribute set that the network was trained with."""
        return self.set or set_of_model(self.regions)

    def trained_on(self) -> Domain:
        """The pictures that the network was trained on."""
        return self.domain or domain_of(self.source, self.licence)

    def require_set(self, attributes: AttributeSet, folder: Path) -> None:
        """Raise PipelineError where the network, of that folder, was trained with another set."""
        trained = self.attribute_set()
        ours, theirs = (list(s.regions.items()) for s in (attributes, trained))
        if ours != theirs:  # in their order, which is that of the logits
            other = set(attributes.names) ^ set(trained.names)
            told = f"{min(other)} is in one alone" if other else "their regions differ"
            raise PipelineError(
                f"The network of {folder} was trained with another attribute set than"
                f" {attributes.name} ({told}); run `pipeline train` again."
            )


def save_model(
    model: FaceAttributes, folder: Path, attributes: AttributeSet, about: Mapping[str, object]
) -> None:
    """Write `model.safetensors` and `model.json` into `folder`.

    `about` holds the facts about its training: fields of `ModelDescription` that have a default.
    """
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    with new_file(folder / "model.safetensors") as partial:
        partial.write_bytes(save(weights))  # whose errors are the system's, unlike save_file's
    description = ModelDescription(
        architecture=model.architecture,
        attributes=list(attributes.model_order),
        regions=attributes.regions,
        input=InputDescription(
            size=model.architecture.image_size, channels="RGB", range=[0.0, 1.0]
        ),
        parameters=model.count_parameters(),
        **about,  # type: ignore[arg-type]
        set=attributes,
    )
    write_json(folder / "model.json", description.model_dump(exclude_unset=True))


def load_model(folder: Path) -> tuple[FaceAttributes, ModelDescription]:
    """Rebuild a saved network, in eval mode on the CPU, with its description.

    Raises PipelineError where a file is missing, damaged or belongs to another network.
    """
    description = read_record(ModelDescription, folder / "model.json", "train")
    path = folder / "model.safetensors"
    with torch.device("meta"):  # takes no memory, whatever size a file of others asks for
        outline = FaceAttributes(description.architecture, description.regions).state_dict()
    try:
        _check_shapes(path, {name: tuple(tensor.shape) for name, tensor in outline.items()})
        model = FaceAttributes(description.architecture, description.regions)
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing; run `pipeline train` again.") from None
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise PipelineError(f"{path} does not fit its model.json ({one_line(error)}).") from error
    # EfficientFormerV2 caches its attention biases when eval() is entered.
    model.train()
    model.eval()
    return model, description


LARGEST_HEADER: Final = 4 << 20
"""Bytes of the names and shapes in a safetensors file; the report's network has 90 kB."""


def check_header(path: Path) -> None:
    """Raises ValueError for a safetensors file with a vast header, PipelineError for a pipe."""
    check_plain(path)
    with path.open("rb") as start:
        header = int.from_bytes(start.read(8), "little")
    if header > LARGEST_HEADER:
        raise ValueError(f"its header has {header:,} bytes")


def _check_shapes(path: Path, wanted: dict[str, tuple[int, ...]]) -> None:
    """Raises ValueError where the weights in `path` are not those of the network, by its header."""
    check_header(path)
    with safe_open(path, "pt") as file:
        held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name in sorted(held.keys() | wanted.keys()):
        if name not in held:
            raise ValueError(f"{name} is missing")
        if name not in wanted:
            raise ValueError(f"{name} is unknown")
        if held[name] != wanted[name]:
            raise ValueError(f"{name} has the shape {held[name]}, not {wanted[name]}")
