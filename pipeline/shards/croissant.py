"""A shard folder in the words of MLCommons' Croissant 1.0: its files, and what records hold."""

from pathlib import Path
from typing import Any

from pipeline.attributes import CELEBA_ORDER
from pipeline.files import sha256_of

_WORDS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes"
    " isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace"
    " samplingRate separator source subField transform"
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    **{word: f"cr:{word}" for word in _WORDS.split()},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_KINDS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_ROWS = "index.parquet"


def describe(
    index: dict[str, Any], about: dict[str, str], shards: Path, place: str
) -> dict[str, Any]:
    """The content of croissant.json for the folder `shards` with this `index`.

    `about` holds what schema.org knows of any dataset (name, description, license, url); `place`
    stands before the names of the files. Two sets of records: the rows of index.parquet, and the
    crops by their key.
    """
    tars = [shard for listed in index["shards"].values() for shard in listed]
    rows, kind = shards / "index.parquet", index["format"]
    types = {"key": "Text", "split": "Text", "shard": "Text", "celeb_id": "Integer"}
    types |= dict.fromkeys(CELEBA_ORDER, "Boolean")
    table, crops = {"fileObject": {"@id": rows.name}}, {"fileSet": {"@id": "crops"}}
    samples = [
        _field(f"samples/{name}", kind_of, {**table, "extract": {"column": name}})
        for name, kind_of in types.items()
    ]
    stem = {"extract": {"fileProperty": "filename"}, "transform": {"regex": "([^.]+)"}}
    key = _field("images/key", "Text", {**crops, **stem})
    key["references"] = {"field": {"@id": "samples/key"}}
    content = {"extract": {"fileProperty": "content"}}
    images = [key, _field("images/image", "ImageObject", {**crops, **content})]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **about,
        "distribution": [
            _file(place, rows.name, "x-parquet", rows.stat().st_size, sha256_of(rows)),
            *(_file(place, tar["name"], "x-tar", tar["bytes"], tar["sha256"]) for tar in tars),
            {
                "@type": "cr:FileSet",
                "@id": "crops",
                "name": "crops",
                "containedIn": [{"@id": tar["name"]} for tar in tars],
                "encodingFormat": _KINDS[kind],
                "includes": f"*.{kind}",
            },
        ],
        "recordSet": [_records("samples", samples), _records("images", images)],
    }


def _file(place: str, name: str, kind: str, size: int, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": f"{place}{name}",
        "contentSize": f"{size} B",
        "encodingFormat": f"application/{kind}",
        "sha256": sha256,
    }


def _records(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/key"},
        "field": fields,
    }


def _field(name: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name.partition("/")[2],
        "dataType": f"sc:{kind}",
        "source": source,
    }
