"""The command `demo` and the site that it builds; page and server have tests of their own."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.apps import site
from pipeline.errors import PipelineError
from pipeline.npm import npm_fetch
from tests.support.demo_site import build
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
        "error: onnxruntime-web is needed, and npm is not here to fetch it; install Node.js.\n",
    )
    assert not Path("out").exists()


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
@pytest.mark.parametrize(
    "setting",
    ["global=true", "location=global", "dry_run=true", "package_lock_only=true", "prefix=/none",
     "workspaces=true", "workspace=other", "loglevel=silent", "install_strategy=nested"],
)  # fmt: skip
def test_npm_fetches_whatever_its_settings_for_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    name, _, value = setting.partition("=")
    monkeypatch.setenv(f"npm_config_{name}", value)
    version, integrity = packed(tmp_path)
    (work := tmp_path / "work").mkdir()
    with tarfile.open(npm_fetch(work, "onnxruntime-web", version, integrity)) as tar:
        assert tar.getnames() == ["package", "package/package.json"]


def test_an_npm_that_writes_nothing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match=r"npm says that it is done, yet onnxruntime-web"):
        npm_fetch(tmp_path, "onnxruntime-web", "1.0.0", "sha512-")


def packed(folder: Path, more: str = "") -> tuple[str, str]:
    """A package here and not in the network: where it is, in place of a version, and its hash."""
    (folder / "package").mkdir(exist_ok=True)
    content = {"name": "onnxruntime-web", "version": "1.0.0", "description": more}
    (folder / "package/package.json").write_text(json.dumps(content))
    with tarfile.open(folder / "package.tgz", "w:gz") as tar:
        tar.add(folder / "package", "package")
    digest = base64.b64encode(hashlib.sha512((folder / "package.tgz").read_bytes()).digest())
    return f"file:{folder / 'package.tgz'}", f"sha512-{digest.decode()}"


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    version, integrity = packed(tmp_path)
    packed(tmp_path, more="evil()")
    (work := tmp_path / "work").mkdir()
    with pytest.raises(PipelineError, match=r"npm brings another onnxruntime-web .* is pinned"):
        npm_fetch(work, "onnxruntime-web", version, integrity)


def test_the_one_package_of_npm_is_pinned_by_hash_and_by_no_address() -> None:
    text = (site.PAGE / "package.json").read_text(encoding="utf-8")
    page = json.loads(text)
    assert list(page["dependencies"]) == ["onnxruntime-web"] and "://" not in text
    assert len(base64.b64decode(page["integrity"].removeprefix("sha512-"), validate=True)) == 64


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


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_command_serves_until_it_is_told_to_end_and_leaves_nothing(
    cache: Path, work: Path, number: int, code: int
) -> None:
    (temporary := work / "tmp").mkdir()
    # In the foreground, as a terminal's browser: it ends when its standard input does.
    browser = work / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {work}/opened\nexec cat > {work}/closed\n')
    browser.chmod(0o755)
    own = {"PYTHONPATH": ROOT, "XDG_CACHE_HOME": cache, "TMPDIR": temporary, "BROWSER": browser}
    with subprocess.Popen(
        [sys.executable, "-m", "stages", "demo", "--port", "0"],
        env={**os.environ, **{name: str(value) for name, value in own.items()}},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout and running.stdin
        try:
            url = running.stdout.readline().removeprefix("The demo runs at ").split()[0]
            with urllib.request.urlopen(url + "model/model.onnx", timeout=20) as answer:
                assert answer.read() == MODEL.read_bytes()
            while not (work / "closed").exists():  # the browser is on, and the server too
                urllib.request.urlopen(url, timeout=20).close()
            assert (work / "opened").read_text() == url + "\n"
            assert any(temporary.iterdir())
            running.send_signal(number)
            assert running.wait(timeout=20) == code
            running.stdin.close()
            assert running.stdout.read() == ""
        finally:
            running.kill()
    assert not any(temporary.iterdir())


def test_a_rebuilt_site_loses_its_own_old_files_and_no_other(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in (name for row in site.RUNTIME.values() for name in row):
        (runtime / name).write_text("x")
    monkeypatch.setattr(site, "_runtime", lambda: runtime)
    out = tmp_path / "public"
    site.build(MODEL, out)
    first = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert "index.html" in first and "model/model.onnx" in first
    (out / ".git").mkdir()
    (out / ".git/HEAD").write_text("ref")
    (out / "CNAME").write_text("example.org")
    old = out / "old.js"
    old.write_text("of an earlier version")
    marker = out / site.MARKER
    marker.write_text(json.dumps([*json.loads(marker.read_text()), "old.js"]))
    marker_names = json.loads(marker.read_text())
    marker.write_text(json.dumps([name for name in marker_names if name != "style.css"]))
    with pytest.raises(PipelineError, match=r"style\.css is not of an earlier site"):
        site.build(MODEL, out)
    assert old.exists()  # nothing was touched
    marker.write_text(json.dumps(marker_names))
    (out / "index.html").write_text("changed by hand")
    site.build(MODEL, out)
    assert not old.exists()
    assert (out / "CNAME").read_text() == "example.org" and (out / ".git/HEAD").exists()
    assert (out / "index.html").read_bytes() == (site.PAGE / "index.html").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".public")] == []


@pytest.mark.parametrize(
    "names", [None, '["../mine.txt"]', '["/etc/hosts"]', '{"a": ', "[3]", '"model"']
)
def test_a_folder_of_another_kind_is_left_alone(
    work: Path, tmp_path: Path, names: str | None
) -> None:
    out = tmp_path / "other"
    (out / "model").mkdir(parents=True)
    (out / "model/model.onnx").write_text("mine")
    (tmp_path / "mine.txt").write_text("mine")
    if names:
        (out / site.MARKER).write_text(names)
    with pytest.raises(PipelineError, match="choose another folder"):
        site.build(MODEL, out)
    assert (out / "model/model.onnx").read_text() == (tmp_path / "mine.txt").read_text() == "mine"


def test_a_site_whose_links_lead_elsewhere_is_left_alone(
    pipeline: Pipeline, work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As somebody else may have made it: what the marker names lies in a home folder."""
    home, foreign = tmp_path / "home", tmp_path / "site"
    home.mkdir()
    (home / "secret.txt").write_text("kept")
    foreign.mkdir()
    (foreign / "a").symlink_to(home)
    (foreign / site.MARKER).write_text(json.dumps(["a/secret.txt"]))
    with pytest.raises(PipelineError, match=r"holds no site that"):
        site._files_of(foreign)
    (foreign / site.MARKER).write_text(json.dumps(["index.html", "."]))
    with pytest.raises(PipelineError, match=r"holds no site that"):
        site._files_of(foreign)
    assert (home / "secret.txt").read_text() == "kept"
