"""What `pipeline init` writes: an attribute set, and the params that fit a table."""

import io
from pathlib import Path
from typing import Any

from pipeline.attributes import AttributeSet
from pipeline.files import new_file
from pipeline.sources.table.guess import Guess


def write_set(attributes: AttributeSet, path: Path) -> None:
    """Write a set as a YAML file for people to edit."""
    from ruamel.yaml import YAML

    content: dict[str, Any] = attributes.model_dump()
    comments = {
        "attributes": "in the order of the dataset; a sentence may stand behind each",
        "regions": "in the order of the model, a head each",
        "groups": "lists of attributes of which a face has one at most",
        "hidden": "what predictions do not show unless they are asked to",
    }
    yaml, text = YAML(), io.StringIO()
    yaml.width = 100
    for key, value in content.items():
        part = io.StringIO()
        yaml.dump({key: value}, part)
        note = f"# {comments[key]}\n" if key in comments else ""
        text.write(note + part.getvalue())
    with new_file(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")


def _null(representer: Any, _: None) -> Any:
    """As people write it: without, a round trip leaves the place empty."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def write_params(path: Path, found: Guess, table: Path, attributes: Path) -> None:
    """Edit a params file, whose comments stay: its source is the table now."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(type(None), _null)
    values = yaml.load(path.read_text(encoding="utf-8"))

    def listed(items: list[str]) -> CommentedSeq:
        sequence = CommentedSeq(items)
        sequence.fa.set_flow_style()
        return sequence

    values["data"]["source"] = "table"
    values["data"]["attributes"] = str(attributes)
    values["data"]["where"] = None
    section = values["sources"]["table"]
    section["path"], section["images"] = str(table), found.images
    section["image"], section["split"] = found.image, found.split
    section["identity"], section["unknown"] = found.identity, found.unknown
    section["labels"], section["classes"] = listed(found.labels), listed([*found.classes])
    values["evaluate"]["slices"] = listed(found.slices)
    text = io.StringIO()
    yaml.dump(values, text)
    with new_file(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
