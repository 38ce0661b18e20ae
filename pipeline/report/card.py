"""The card of a dataset: README.md as the Hub reads it, and croissant.json (MLCommons Croissant).

Both are drawn up from the indexes of the shards alone, the same bytes every time, and name the
files relative to themselves: the folder can be moved, uploaded or opened as it is.
"""

import html
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.attributes import set_of_model
from pipeline.dataset.arrow import numbers
from pipeline.dataset.labels import Labels, label_matrix
from pipeline.dataset.statistics import attribute_rows, headline
from pipeline.errors import PipelineError
from pipeline.files import new_file, sole_writer, write_json
from pipeline.published import published
from pipeline.report.croissant import croissant_json
from pipeline.shards.index import Index, check_rows, check_tars, read_index, read_tables
from pipeline.shards.sample import index_schema

CELEBA = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PAPER = "Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015"
OFFICIAL = ("folder", "hub")
"""The sources that hold CelebA itself."""

LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
}
"""Licences that the Hub knows by these names, in lower case, and where they stand."""

NAMES = {"synthetic": "Synthetic faces", **dict.fromkeys(OFFICIAL, "CelebA crops")}
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
"""The Hub's words for a number of samples below each bound."""

TEMPLATE = Path(__file__).with_name("card.md")


def write_card(folder: Path) -> tuple[Path, Path]:
    """Write README.md and croissant.json into `folder`: a shard folder, or one with `shards/`.

    Returns their paths. Raises PipelineError where there are no shards or not all of them, or a
    README.md that is not a card of ours, which is known by the croissant.json beside it: that is
    put in place first.
    """
    shards = folder if (folder / "index.json").exists() else folder / "shards"
    index = read_index(shards)
    readme, croissant = folder / "README.md", folder / "croissant.json"
    if readme.exists() and not croissant.exists():
        raise PipelineError(f"{readme} is not a card of ours and is kept; move it away first.")
    with sole_writer(readme), new_file(readme) as text:
        check_tars(shards, index)
        table = _rows(shards, index)
        for split in index.shards:
            check_rows(shards, index, split, pc.sum(pc.equal(table["split"], split)).as_py() or 0)
        place = "" if shards == folder else f"{shards.name}/"
        header = _header(index, place)
        text.write_text(_readme(index, header, table, place), encoding="utf-8")
        write_json(croissant, croissant_json(index, _about(index, header), shards, place))
    return readme, croissant


def _rows(shards: Path, index: Index) -> pa.Table:
    """Split, identity and labels of every sample."""
    columns = ["split", "celeb_id", *index.attributes]
    tables = list(read_tables(shards, index, columns))
    if not tables:
        return index_schema(index.attributes).empty_table().select(columns)
    return pa.concat_tables(tables)


def _header(index: Index, place: str) -> dict[str, Any]:
    """The fields of the card's YAML header, as the Hub defines them."""
    total, licence = sum(index.counts.values()), _short_licence(index)
    terms = {"license": "other", "license_name": licence.lower()}
    if index.source in OFFICIAL:
        terms["license_link"] = CELEBA
    return {
        "pretty_name": NAMES.get(index.source, "Face crops"),
        **({"license": licence.lower()} if licence in LICENCES else terms),
        "task_categories": ["image-classification"],
        "task_ids": ["multi-label-image-classification"],
        "size_categories": [next((size for n, size in SIZES.items() if total < n), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"{place}{split}-*.tar"}
                    for split, count in index.counts.items()
                    if count
                ],
            }
        ],
    }


def _about(index: Index, header: dict[str, Any]) -> dict[str, str]:
    """What Croissant wants to know of any dataset."""
    official = index.source in OFFICIAL
    terms = LICENCES.get(_short_licence(index), CELEBA if official else _licence(index))
    return {
        "name": header["pretty_name"],
        "description": f"{_description(index)} Licence: {_licence(index)}.",
        "license": terms,
        **({"url": CELEBA, "cite_as": PAPER} if official else {}),
    }


def _short_licence(index: Index) -> str:
    """The licence up to where its words begin: `CC0-1.0: no person is shown` -> `CC0-1.0`."""
    return " ".join(_licence(index).partition(":")[0].split())


def _description(index: Index) -> str:
    return f"{str(index.provenance.get('description', index.source)).rstrip('.')}."


def _facts(index: Index) -> dict[str, str | int]:
    """What the source says of itself in a word or a number, and likewise its parts, if any."""
    said: dict[str, Any] = {
        name: value for name, value in index.provenance.items() if name != "description"
    }
    parts = said.get("parts")
    for part, facts in parts.items() if isinstance(parts, dict) else ():
        if isinstance(facts, dict):
            said |= {f"{part}, {name}": value for name, value in facts.items()}
    return {name: value for name, value in said.items() if isinstance(value, str | int)}


def _holds_celeba(index: Index) -> bool:
    """Whether images are CelebA's, or those of a part are."""
    parts = index.provenance.get("parts")
    facts = parts.values() if isinstance(parts, dict) else ()
    sources = [index.source, *(said.get("source") for said in facts if isinstance(said, dict))]
    return any(source in OFFICIAL for source in sources)


def _licence(index: Index) -> str:
    return str(index.licence).rstrip(".")


def _percent(share: float | None) -> str:
    """As people read it; a dash where a split without images cannot tell."""
    return "–" if share is None else f"{share:.2%}"


def _plain(text: object) -> str:
    """What others wrote, as Markdown shows it and does no more: on one line, without a tag."""
    line = re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", " ".join(str(text).split()))
    return html.escape(line, quote=False)


def _readme(index: Index, header: dict[str, Any], table: pa.Table, place: str) -> str:
    from huggingface_hub import DatasetCardData
    from jinja2 import Environment, StrictUndefined

    labels, names = {}, tuple(index.attributes)
    for split in index.counts:
        rows = table.filter(pc.equal(table["split"], split))
        celeb_id = numbers(rows["celeb_id"].fill_null(-1))
        labels[split] = Labels(names, *label_matrix(rows, names), celeb_id)
    attributes = set_of_model({"face": names}, index.source)
    facts, rows = headline(labels), attribute_rows(labels, attributes)
    known = list(zip(*(found.counts().tolist() for found in labels.values()), strict=True))
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"thousands": "{:,}".format, "percent": _percent, "plain": _plain}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        header=DatasetCardData(**header).to_yaml(),
        name=header["pretty_name"],
        description=_description(index),
        total=len(table),
        splits=list(labels),
        images=list(index.counts.values()),
        identities=list(facts["identities"].values()),
        shards=[len(listed) for listed in index.shards.values()],
        shared=facts["identities_in_two_splits"],
        baseline=facts["baseline_accuracy"]["train_majority_on_test"],
        rows=[{**row, "known": list(counts)} for row, counts in zip(rows, known, strict=True)],
        unknown=len(table) * len(names) - sum(sum(counts) for counts in known),
        quarantine=len(index.quarantine),
        provenance=_facts(index),
        place=place,
        view=published(index.provenance),
        celeba=_holds_celeba(index),
        licence=_licence(index),
        size=index.size,
        format=index.format,
        quality=index.quality,
        codec=index.codec,
    )
