"""The live demo as a static site: the page, ONNX Runtime for browsers from npm, and a model.

The page asks for nothing that is not in the site, and the headers say so to the browser.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from pipeline.errors import PipelineError
from pipeline.files import cache_folder, new_directory

PAGE: Final = Path(__file__).with_name("page")

HEADERS: Final = {
    # Together these two isolate the page, the condition for threads in WebAssembly.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"
    " img-src 'self' blob:; worker-src 'self' blob:; object-src 'none'",
}
"""What a host should send with every file."""

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

    An earlier site is replaced. Returns the bytes of each part. Raises PipelineError where the
    model or its card is missing, `site` holds something else, or npm does not deliver.
    """
    read_card(model)
    site = site.resolve()
    if site.exists() and not _replaceable(site):
        raise PipelineError(f"{site} holds something other than a site; choose another folder.")
    runtime = _runtime()
    with new_directory(site) as partial:
        from_npm = shutil.ignore_patterns("package*.json", "node_modules")
        shutil.copytree(PAGE, partial, ignore=from_npm, dirs_exist_ok=True)
        shutil.copytree(runtime, partial / "ort")
        (partial / "model").mkdir()
        shutil.copyfile(model, partial / "model/model.onnx")
        shutil.copyfile(model.with_suffix(".json"), partial / "model/model.json")
        # Hosts such as Netlify and Cloudflare Pages read it.
        lines = ["/*", *(f"  {name}: {value}" for name, value in HEADERS.items())]
        (partial / "_headers").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return _bytes_by_part(partial)


def read_card(model: Path) -> dict[str, Any]:
    """What the JSON file beside an exported ONNX file says of it.

    Raises PipelineError where one of the two is missing, or the JSON damaged.
    """
    path = model.with_suffix(".json")
    for needed in (model, path):
        if not needed.is_file():
            raise PipelineError(f"{needed} is missing; run `pipeline export` first.")
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(f"{path} is damaged ({error}); run `pipeline export` again.") from None
    return card


def _replaceable(folder: Path) -> bool:
    """Whether a folder is empty, or holds what `build` wrote."""
    return folder.is_dir() and (
        not any(folder.iterdir()) or (folder / "model/model.onnx").is_file()
    )


def _bytes_by_part(site: Path) -> dict[str, int]:
    parts = {"model": sum(path.stat().st_size for path in (site / "model").iterdir())}
    for backend, names in RUNTIME.items():
        parts[f"ONNX Runtime, {backend}"] = sum((site / "ort" / n).stat().st_size for n in names)
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    return {"page": total - sum(parts.values()), **parts}


def _runtime() -> Path:
    """The folder of ONNX Runtime's files in the user's cache; npm fetches them the first time."""
    version = json.loads((PAGE / "package.json").read_text())["dependencies"][_PACKAGE]
    folder = cache_folder(_PACKAGE) / version
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as work, new_directory(folder) as partial:
            _npm_install(Path(work))
            for name in (name for row in RUNTIME.values() for name in row):
                shutil.copyfile(Path(work, "node_modules", _PACKAGE, "dist", name), partial / name)
    return folder


def _npm_install(work: Path) -> None:
    """Install what page/package.json names into `work`/node_modules, running no scripts of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise PipelineError(
            f"The demo needs {_PACKAGE}, and npm is not here to fetch it; install Node.js."
        )
    print(f"npm fetches {_PACKAGE}, this once ...", file=sys.stderr, flush=True)
    shutil.copyfile(PAGE / "package.json", work / "package.json")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(
        [npm, "install", *options], cwd=work, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "npm error" in line] or ["no reason"]
        raise PipelineError(
            f"npm cannot fetch {_PACKAGE} ({said[0].removeprefix('npm error ')}); check the"
            " network and `npm config get registry`."
        )
