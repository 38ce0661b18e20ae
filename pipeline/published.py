"""What a published dataset says of the view of the data that was baked into it."""

from pydantic import JsonValue, ValidationError

from pipeline.records import Count, Record

VIEW = "view"
"""Where it stands in the provenance of index.json."""

CORRECTIONS = "corrections.csv"
"""The corrections that were applied, beside the shards."""


class Changes(Record):
    """How many labels of an attribute were changed, by what they became."""

    attribute: str
    to_1: Count
    to_0: Count
    to_unknown: Count


class Published(Record):
    """The view, and what its corrections changed."""

    attributes: str
    """The name of the attribute set."""

    where: str | None
    """The expression that chose the images."""

    left_out: Count
    """Images that it did not choose, or that were dropped."""

    dropped: Count
    moved: Count
    """Images that count to another split."""

    sound: Count
    """Labels that somebody looked at and left."""

    changes: list[Changes]


def is_published(provenance: dict[str, JsonValue]) -> bool:
    """Whether shards hold a view of others, and not the images of the raw files beside them."""
    return VIEW in provenance


def published(provenance: dict[str, JsonValue]) -> Published | None:
    """What was baked in; None where nothing was, or it is not said as it should be."""
    try:
        return Published.model_validate(provenance[VIEW])
    except (KeyError, ValidationError):
        return None
