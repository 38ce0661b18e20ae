"""The live demo as a static site: the page, ONNX Runtime from npm, face detector, and a model.

The page asks for nothing that is not in the site, and the headers say so to the browser.
"""

import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from pipeline.errors import PipelineError, one_line
from pipeline.faces.detector import FAMILIES, read_network
from pipeline.faces.frame import NUMBERS_FILE
from pipeline.files import (
    cache_folder,
    new_directory,
    sole_writer,
    unfinished_directory,
    write_json,
)
from pipeline.npm import npm_fetch
from pipeline.reading import parse_json, read_plain

PAGE: Final = Path(__file__).with_name("page")

HEADERS: Final = {
    # Together these two isolate the page, the condition for threads in WebAssembly.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"
    " img-src 'self' blob:; worker-src 'self' blob:; object-src 'none'",
}
"""What a host should send with every file."""

MARKER: Final = "face-attributes-site.json"
"""In a built site: the names of the files that `build` wrote."""

START: Final = "index.html"

_PACKAGE: Final = "onnxruntime-web"

RUNTIME: Final = {
    "WASM": (
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ),
    "WebGPU": (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}
"""The files of the package that the worker loads; a browser uses those of one backend."""


def build(model: Path, site: Path) -> dict[str, int]:
    """Write the demo of an exported ONNX file, whose card lies beside it, as the folder `site`.

    Of an earlier site the files that `build` wrote are replaced, and no other; one that was killed
    meanwhile has no start page, so never a model with the card of another. Returns the bytes of
    each part. Raises PipelineError where the model or its card is missing, `site` is a folder of
    something else, npm does not deliver, or the face detector cannot be had.
    """
    read_card(model)
    site = site.resolve()
    with sole_writer(site), unfinished_directory(site) as partial:
        earlier = _files_of(site)
        runtime = _runtime()
        page = [p for p in PAGE.iterdir() if p.is_file() and not p.match("package*.json")]
        sources = {
            **{path.name: path for path in page},
            **{f"ort/{path.name}": path for path in runtime.iterdir()},
            "faces/numbers.json": NUMBERS_FILE,
            "model/model.onnx": model,
            "model/model.json": model.with_suffix(".json"),
        }
        for name, source in sources.items():
            (partial / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, partial / name)
        for family in FAMILIES:
            (partial / "faces" / f"{family}.onnx").write_bytes(read_network(family))
        # Hosts such as Netlify and Cloudflare Pages read it.
        lines = ["/*", *(f"  {name}: {value}" for name, value in HEADERS.items())]
        (partial / "_headers").write_text("\n".join(lines) + "\n", encoding="utf-8")
        names = sorted(p.relative_to(partial).as_posix() for p in partial.rglob("*") if p.is_file())
        write_json(partial / MARKER, names)
        sizes = _bytes_by_part(partial)
        if foreign := [n for n in names if n not in earlier and (site / n).exists()]:
            raise PipelineError(
                f"{site / foreign[0]} is not of an earlier site; move it away first."
            )
        if led := next((name for name in names if not _lies_in(site, name)), None):
            raise PipelineError(f"{site / led} would lie elsewhere, by a link; remove that first.")
        for name in (START, *(earlier - set(names))):
            (site / name).unlink(missing_ok=True)
        names.sort(key=START.__eq__)
        for name in (MARKER, *names):  # the marker first: what it names is ours, whole or not
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).replace(site / name)
    return sizes


def read_card(model: Path) -> dict[str, Any]:
    """What the JSON file beside an exported ONNX file says of it.

    Raises PipelineError where one of the two is missing, or the JSON damaged.
    """
    path = model.with_suffix(".json")
    for needed in (model, path):
        if not needed.is_file():
            raise PipelineError(f"{needed} is missing; run `pipeline export` first.")
    try:
        card = parse_json(read_plain(path))
        if not isinstance(card, dict) or not isinstance(card.get("licence"), str):
            raise ValueError("it names no licence")
    except (ValueError, OSError) as error:
        reason = one_line(error)
        raise PipelineError(f"{path} is damaged ({reason}); run `pipeline export` again.") from None
    return card


def _files_of(site: Path) -> set[str]:
    """What an earlier `build` wrote there, by its marker; nothing where the folder is empty.

    Raises PipelineError for any other folder, for a file, and for a marker that leads elsewhere.
    """
    if not site.exists() or (site.is_dir() and not any(site.iterdir())):
        return set()
    try:
        names = parse_json(read_plain(site / MARKER))
        if isinstance(names, list) and all(_lies_in(site, name) for name in names):
            return set(names)
    except (PipelineError, OSError, ValueError, TypeError):
        pass
    raise PipelineError(
        f"{site} is not empty and holds no site that {MARKER} describes; choose another folder."
    )


def _lies_in(site: Path, name: str) -> bool:
    """Whether a name of a file leads to it in that folder, by no link and no way round."""
    path = site / name
    plain = name == path.relative_to(site).as_posix() and ".." not in path.parts and path != site
    return plain and path.parent.resolve() == path.parent


def _bytes_by_part(site: Path) -> dict[str, int]:
    named = {"model": "model", "face detector": "faces"}
    parts = {
        part: sum(path.stat().st_size for path in (site / folder).iterdir())
        for part, folder in named.items()
    }
    for backend, names in RUNTIME.items():
        parts[f"ONNX Runtime, {backend}"] = sum((site / "ort" / n).stat().st_size for n in names)
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    return {"page": total - sum(parts.values()), **parts}


def _runtime() -> Path:
    """The folder of ONNX Runtime's files in the user's cache; npm fetches them the first time."""
    page = json.loads((PAGE / "package.json").read_text(encoding="utf-8"))
    version = page["dependencies"][_PACKAGE]
    folder = cache_folder(_PACKAGE) / version
    if not folder.is_dir():
        with new_directory(folder) as partial, tempfile.TemporaryDirectory() as work:
            package = npm_fetch(Path(work), _PACKAGE, version, page["integrity"])
            with tarfile.open(package) as tar:
                for name in (name for row in RUNTIME.values() for name in row):
                    file = tar.extractfile(f"package/dist/{name}")
                    assert file is not None
                    (partial / name).write_bytes(file.read())
    return folder
