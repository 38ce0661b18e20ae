"""The command `demo`, the site that it builds and the server; the page has its own tests."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.apps import site
from pipeline.apps.server import SiteServer
from pipeline.errors import PipelineError
from tests.support.demo_site import build, serving
from tests.support.project import ROOT

Pipeline = Callable[..., tuple[int, str, str]]
MODEL = Path("data/export/FaceAttributes.onnx")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own cache, where npm left ONNX Runtime; skips where it cannot."""
    folder = tmp_path_factory.mktemp("cache")
    build(export(folder), folder / "site")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@pytest.fixture
def work(pipeline: Pipeline) -> Path:
    """The working folder, with params and an export, of which the command copies the bytes."""
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")
    export(Path())
    return Path.cwd()


def export(folder: Path) -> Path:
    model = folder / MODEL
    model.parent.mkdir(parents=True)
    model.write_bytes(b"a network")
    model.with_suffix(".json").write_text(json.dumps({"licence": "Research only."}))
    return model


def test_without_an_export_it_says_what_to_run(pipeline: Pipeline, work: Path) -> None:
    MODEL.with_suffix(".json").write_text("{")
    code, _, err = pipeline("demo", "--no-open")
    assert code == 1 and "FaceAttributes.json is damaged" in err
    for path in (MODEL, MODEL.with_suffix(".json")):
        path.unlink()
        code, out, err = pipeline("demo", "--no-open")
        assert (code, out) == (1, "")
        assert "is missing; run `pipeline export` first." in err


def test_only_an_earlier_site_is_replaced(pipeline: Pipeline, work: Path) -> None:
    code, _, err = pipeline("demo", "--build", ".")
    assert code == 1 and "choose another folder" in err
    assert MODEL.is_file()
    Path("file").write_text("mine")
    code, _, err = pipeline("demo", "--build", "file")
    assert code == 1 and Path("file").read_text() == "mine"


def test_npm_that_is_missing_or_cut_off_is_one_sentence(
    pipeline: Pipeline, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("npm"):
        monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        code, _, err = pipeline("demo", "--build", "out")
        assert code == 1
        assert err.splitlines()[-1].startswith("error: npm cannot fetch onnxruntime-web (")
    monkeypatch.setenv("PATH", "")
    code, _, err = pipeline("demo", "--build", "out")
    assert (code, err) == (
        1,
        "error: The demo needs onnxruntime-web, and npm is not here to fetch it; install"
        " Node.js.\n",
    )
    assert not Path("out").exists()


def test_the_static_site(
    cache: Path, pipeline: Pipeline, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for _ in range(2):  # the second time in place of the first
        code, out, err = pipeline("demo", "--build", "public/demo")
        assert (code, err) == (0, "")
    assert out.endswith("Licence of the model: Research only.\n")
    built = Path("public/demo")
    assert [path.name for path in built.parent.iterdir()] == ["demo"]
    assert (built / "model/model.onnx").read_bytes() == MODEL.read_bytes()
    assert sorted(path.name for path in (built / "ort").iterdir()) == sorted(
        name for names in site.RUNTIME.values() for name in names
    )
    assert not (built / "package.json").exists()
    assert "Cross-Origin-Embedder-Policy: require-corp" in (built / "_headers").read_text()


def test_the_command_serves_until_it_is_interrupted(cache: Path, work: Path) -> None:
    command = [sys.executable, "-m", "stages", "demo", "--no-open", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        url = running.stdout.readline().removeprefix("The demo runs at ").split()[0]
        with urllib.request.urlopen(url + "model/model.onnx") as answer:
            assert answer.read() == MODEL.read_bytes()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) == 0
        assert running.stdout.read() == ""


def test_the_server_isolates_the_page_and_names_types(tmp_path: Path) -> None:
    types = {
        "index.html": "text/html; charset=utf-8",
        "code.mjs": "text/javascript; charset=utf-8",
        "code.wasm": "application/wasm",
        "model.onnx": "application/octet-stream",
    }
    for name in types:
        (tmp_path / name).write_text(name)
    with serving(tmp_path) as url:
        for name, kind in types.items():
            with urllib.request.urlopen(url + name) as answer:
                assert answer.read() == name.encode()
                assert answer.headers["Content-Type"] == kind
                for header, value in site.HEADERS.items():
                    assert answer.headers[header] == value


def test_https_with_a_certificate_for_the_names_it_is_reached_by(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("safe")
    with serving(tmp_path, https=True) as url:
        address = urlsplit(url)
        assert address.scheme == "https" and address.port
        certificate = ssl.get_server_certificate(("127.0.0.1", address.port))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        with socket.create_connection(("127.0.0.1", address.port)):  # says nothing, holds up nobody
            for name in ("127.0.0.1", "localhost"):
                there = f"https://{name}:{address.port}/"
                with urllib.request.urlopen(there, context=context, timeout=20) as answer:
                    assert answer.read() == b"safe"


def test_an_address_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with serving(tmp_path) as url, pytest.raises(PipelineError, match=r"taken.*--port"):
        SiteServer(tmp_path, "127.0.0.1", urlsplit(url).port or 0)
    with pytest.raises(PipelineError, match="below 65536"):
        SiteServer(tmp_path, "127.0.0.1", 99999)
    with pytest.raises(PipelineError, match="no address of this machine"):
        SiteServer(tmp_path, "203.0.113.1", 0)
