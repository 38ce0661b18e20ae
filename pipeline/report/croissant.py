"""A shard folder in the words of MLCommons' Croissant 1.0: its files, and what records hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.dataset.parquet import open_bounded
from pipeline.files import sha256_of
from pipeline.shards.index import Index

if TYPE_CHECKING:
    import mlcroissant

_KINDS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def croissant_json(index: Index, about: dict[str, str], shards: Path, place: str) -> dict[str, Any]:
    """The content of croissant.json for the folder `shards` with this `index`.

    `about` holds what mlcroissant.Metadata wants to know of any dataset (name, description,
    license, url); `place` stands before the names of the files. Two sets of records: the rows of
    index.parquet, and the crops by their key.
    """
    import mlcroissant as ml

    rows, crops = shards / "index.parquet", index.crop_settings()
    table = _file(place, rows.name, "x-parquet", rows.stat().st_size, sha256_of(rows))
    tars = [_file(place, t.name, "x-tar", t.bytes, t.sha256 or "") for t in index.tars()]
    images = ml.FileSet(
        id="crops",
        name="crops",
        contained_in=[tar.id for tar in tars],
        encoding_formats=[_KINDS[crops.format]],
        includes=[f"*.{crops.format}"],
    )
    columns = dict.fromkeys(("key", "split", "shard"), ml.DataType.TEXT)
    columns |= {"celeb_id": ml.DataType.INTEGER}
    extra = {"origin": ml.DataType.TEXT, "size": ml.DataType.INTEGER}
    with open_bounded(rows, most_rows=sum(map(index.samples, index.shards))) as opened:
        columns |= {name: extra[name] for name in opened.schema_arrow.names if name in extra}
    columns |= dict.fromkeys(index.attributes, ml.DataType.BOOL)
    samples = [
        _field(f"samples/{name}", kind, file_object=table.id, extract=ml.Extract(column=name))
        for name, kind in columns.items()
    ]
    stem = ml.Extract(file_property=ml.FileProperty.filename)
    up_to_a_dot = [ml.Transform(regex="([^.]+)")]
    content = ml.Extract(file_property=ml.FileProperty.content)
    key = _field(
        "images/key", ml.DataType.TEXT, file_set=images.id, extract=stem, transforms=up_to_a_dot
    )
    key.references = ml.Source(field="samples/key")
    image = _field("images/image", ml.DataType.IMAGE_OBJECT, file_set=images.id, extract=content)
    return ml.Metadata(
        **about,
        distribution=[table, *tars, images],
        record_sets=[
            ml.RecordSet(id="samples", name="samples", key="samples/key", fields=samples),
            ml.RecordSet(id="images", name="images", key="images/key", fields=[key, image]),
        ],
    ).to_json()


def _file(place: str, name: str, kind: str, size: int, sha256: str) -> "mlcroissant.FileObject":
    import mlcroissant as ml

    return ml.FileObject(
        id=name,
        name=name,
        content_url=f"{place}{name}",
        content_size=f"{size} B",
        encoding_formats=[f"application/{kind}"],
        sha256=sha256,
    )


def _field(name: str, kind: str, **source: Any) -> "mlcroissant.Field":
    import mlcroissant as ml

    short = name.partition("/")[2]
    return ml.Field(id=name, name=short, data_types=kind, source=ml.Source(**source))
