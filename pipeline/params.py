"""Every knob of params.yaml: its name, type and range. Each section is a class.

A wrong key, type or range is refused with one sentence naming the key, before anything is read
or written. What a knob is for stands beside it in params.yaml.
"""

import os
import reprlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pipeline.attributes import AttributeName
from pipeline.errors import PipelineError
from pipeline.reading import LARGEST_YAML, parse_yaml, read_plain

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Width = Annotated[int, Field(ge=1, le=16384)]

SHAPING: Final = frozenset((
    "act_layer", "attn_drop_rate", "base_width", "bottle_ratio", "cardinality", "channels",
    "class_token", "conv_bias", "conv_mlp", "depth", "depth_mult", "depths", "dims",
    "drop_block_rate", "drop_rate", "embed_dim", "embed_dims", "expand_ratio", "fused_conv",
    "global_pool", "growth_rate", "head_dim", "head_hidden_size", "init_values",
    "layer_scale_init_value", "layers", "ls_init_value", "mlp_ratio", "mlp_ratios", "norm_layer",
    "num_heads", "num_reg_tokens", "num_vit", "output_stride", "patch_drop_rate", "patch_size",
    "pool_size", "pos_drop_rate", "pos_embed", "pre_norm", "proj_drop_rate", "qk_norm", "qkv_bias",
    "reg_tokens", "scale", "stem_size", "stem_type", "stem_width", "use_layer_scale",
    "use_pos_embed", "width", "width_factor", "width_mult", "window_size", "zero_init_last",
))  # fmt: skip
"""Arguments of timm's networks that shape them. `timm.create_model` takes others, which fetch, load
or write files; a recipe or a model.json may come from anybody, so these alone are let through."""


MOST_BLOCKS: Final = 128
"""Of a stage of a network; thousands take minutes to build."""

SMALLEST_PATCH: Final = 4
"""Pixels; the time that attention takes goes with the fourth power of their number on a side."""


def _shaping(options: Any) -> Any:
    for name, value in options.items() if isinstance(options, dict) else ():
        if name not in SHAPING:
            raise ValueError(f"{name} is none of the options that shape a network")
        counts = value if isinstance(value, list) else [value]
        deep = any(isinstance(count, int) and count > MOST_BLOCKS for count in counts)
        if deep and name in ("depth", "depths", "layers"):
            raise ValueError(f"{name} is {value}, and a stage has up to {MOST_BLOCKS} blocks")
        if name == "patch_size" and isinstance(value, int) and value < SMALLEST_PATCH:
            raise ValueError(f"{name} is {value}; with less than {SMALLEST_PATCH} it takes hours")
    return options


BackboneName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")]
"""Of timm, with a tag or without; timm would also take names that fetch or read a file."""

_Number = Annotated[int, Field(ge=-1, le=4096)] | Annotated[float, Field(ge=0, le=64)]
_BackboneOption = (
    bool
    | _Number
    | Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,32}$")]
    | Annotated[list[_Number], Field(max_length=16)]
)
BackboneOptions = Annotated[dict[str, _BackboneOption], BeforeValidator(_shaping)]


class Section(BaseModel):
    """A part of params.yaml: every key known, every value of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Section):
    source: Literal["synthetic", "folder", "hub", "table", "union"]
    attributes: str
    where: Annotated[str, StringConstraints(max_length=2000)] | None


class Synthetic(Section):
    train: Positive
    valid: Positive
    test: Positive
    seed: Seed
    attributes: list[AttributeName] | None
    unknown: Share


class Folder(Section):
    path: str | None
    images: bool

    def root(self) -> Path:
        """The folder that holds CelebA: `path`, or else the environment's CELEBA_ROOT."""
        place = self.path or os.environ.get("CELEBA_ROOT")
        if not place:
            raise PipelineError(
                "The source `folder` needs the place of CelebA; set the environment variable"
                " CELEBA_ROOT to the folder that holds it."
            )
        try:
            return Path(place).expanduser()
        except RuntimeError as error:  # ~somebody, or a user without a home
            raise PipelineError(f"{place} leads nowhere ({error}); name the whole path.") from error


class Hub(Section):
    repo: str
    revision: str


class Splits(Section):
    """Shares of the splits that a table without splits is cut into; they add up to 1."""

    train: Share
    valid: Share
    test: Share

    @model_validator(mode="after")
    def _whole(self) -> "Splits":
        if abs((total := self.train + self.valid + self.test) - 1) > 1e-6:
            raise ValueError(f"the shares add up to {total:g}, not to 1")
        return self


class Table(Section):
    path: str | None
    images: str | None
    image: str
    split: str | None
    identity: str | None
    labels: list[str]
    classes: list[str]
    unknown: Literal[-1, 0] | None
    splits: Splits
    seed: Seed
    licence: str | None


class Part(Section):
    """A part of a union: the whole section of one source."""

    synthetic: Synthetic | None = None
    folder: Folder | None = None
    hub: Hub | None = None
    table: Table | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Part":
        if sum(section is not None for section in vars(self).values()) != 1:
            raise ValueError("a part names one source: synthetic, folder, hub or table")
        return self


class Union(Section):
    parts: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,15}$")], Part]
    leaks: Literal["fail", "warn", "ignore"]


class Sources(Section):
    synthetic: Synthetic
    folder: Folder
    hub: Hub
    table: Table
    union: Union


class Stats(Section):
    duplicates: bool


class Shards(Section):
    size: Annotated[int, Field(ge=16, le=1024)]
    format: Literal["jpg", "png", "webp"]
    quality: Annotated[int, Field(ge=1, le=100)]
    samples: Positive
    shuffle: Count | None
    on_error: Literal["fail", "quarantine"]
    most_bad: Share
    engine: Literal["processes", "threads", "ray"]


class Backbone(Section):
    name: BackboneName
    weights: str | None
    drop_path: BelowOne
    options: BackboneOptions


class Heads(Section):
    width: Width
    depth: Count
    dropout: BelowOne

    @model_validator(mode="after")
    def _narrowest(self) -> "Heads":
        if self.depth and self.width >> (self.depth - 1) < 1:
            raise ValueError(f"width {self.width} cannot be halved {self.depth - 1} times")
        return self


class Augment(Section):
    brightness: BelowOne
    contrast: BelowOne
    saturation: BelowOne
    hue: Annotated[float, Field(ge=0, le=0.5)]
    flip: Share
    scale: BelowOne
    rotate: Annotated[float, Field(ge=0, le=180)]
    shift: BelowOne
    blur: Annotated[float, Field(ge=0, le=10)]


class Train(Section):
    epochs: Positive
    batch_size: Positive
    lr: AboveZero
    weight_decay: NotNegative
    warmup: Share
    schedule: Literal["constant", "cosine"]
    accumulate: Positive
    clip: NotNegative
    label_smoothing: BelowOne
    positive_weights: bool
    ema: BelowOne
    frozen_epochs: Count
    keep: Literal["last", "best"]
    seed: Seed
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal[32, "bf16-mixed", "16-mixed"]
    channels_last: bool
    compile: bool
    checkpoint: Positive


class Evaluate(Section):
    split: Literal["train", "valid", "test"]
    batch_size: Positive
    threshold: Annotated[float, Field(gt=0, lt=1)]
    choose: Literal["accuracy", "f1"]
    resamples: Count
    slices: list[AttributeName]


class Export(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    precision: Literal["float16", "float32"]
    variants: list[Literal["int8", "palette6", "palette4"]]
    images: Positive
    min_agreement: Share
    max_difference: Share
    min_recall: Share

    @model_validator(mode="after")
    def _variants_are_of_half(self) -> "Export":
        if self.variants and self.precision != "float16":
            raise ValueError(
                f"variants are made from float16, and precision is {self.precision}; set it to"
                " float16, or variants to []"
            )
        return self


class Params(Section):
    data: Data
    sources: Sources
    stats: Stats
    shards: Shards
    backbone: Backbone
    heads: Heads
    augment: Augment
    train: Train
    evaluate: Evaluate
    export: Export

    @model_validator(mode="after")
    def _size_fits_backbone(self) -> "Params":
        side = -(-self.shards.size // 16)
        if self.backbone.name.startswith("efficientformerv2") and side % 2:
            raise ValueError(
                f"shards.size is {self.shards.size}, and EfficientFormerV2 needs a side whose"
                " sixteenth, rounded up, is even: 96, 128, 160, 178, 192 or 224"
            )
        return self


def load_params(path: Path) -> Params:
    """Read and check a params file. Raises PipelineError naming the file and every bad key."""
    try:
        values = parse_yaml(read_plain(path, LARGEST_YAML))
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run from the project's folder.") from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise PipelineError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(values, dict):
        raise PipelineError(
            f"{path} holds no params; start from a recipe: `pipeline recipe quick`."
        )
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        complaints = "; ".join(_complaint(dict(detail)) for detail in error.errors())
        raise PipelineError(f"{path}: {complaints}.") from error


def _complaint(detail: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    match detail["type"]:
        case "missing":
            return f"the key {key} is missing"
        case "extra_forbidden":
            return f"there is no key {key}"
        case "value_error":
            return f"{key}: {detail['ctx']['error']}" if key else str(detail["ctx"]["error"])
        case _:
            what = f"the name {key}" if "[key]" in detail["loc"] else key
            told = f"{what} is {reprlib.repr(detail['input'])}"
            _, should, reason = detail["msg"].partition(" should ")  # of the input, the string ...
            return f"{told} and should {reason}" if should else f"{told}: {detail['msg']}"


def changes(old: Path, new: Path) -> dict[str, tuple[Any, Any]]:
    """The dotted keys whose values differ between two params files, as (old, new).

    A missing or unreadable `old` counts as empty; an absent key reads as None.
    """
    values = []
    for path in (old, new):
        try:
            values.append(flatten(parse_yaml(read_plain(path, LARGEST_YAML))))
        except (OSError, ValueError, PipelineError):
            values.append({})
    keys = [*values[1], *(key for key in values[0] if key not in values[1])]
    pairs = {key: (values[0].get(key), values[1].get(key)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys. Raises ValueError for a key of more than 200 characters."""
    if len(prefix) > 200:
        raise ValueError(f"a key of {len(prefix):,} characters, {prefix[:20]!r} ...")
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
