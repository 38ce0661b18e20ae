"""The page of a run: whole, alone, honest about what it compares, and readable on a phone."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.labels import Labels
from pipeline.dataset.statistics import attribute_rows, headline
from pipeline.evaluation.evaluate import evaluate, write
from pipeline.files import write_csv, write_json
from pipeline.network.domain import domain_of
from pipeline.params import load_params
from pipeline.report.page import percent, shown
from tests.support.attributes import CELEBA, CELEBA_ORDER
from tests.support.browser import chromium, needs_chromium, visit
from tests.support.predicted import found, random_labels, settings
from tests.support.project import ROOT

PHONE, DESKTOP, PAPER = (390, 844), (1280, 900), (718, 1047)  # A4 less its margins
STATS, MODEL, EVALUATION, EXPORT = (
    Path("data", name) for name in ("stats", "model", "evaluation", "export")
)
PAGE = EVALUATION / "report.html"


@pytest.fixture
def run(pipeline):
    """The command line, in a folder with what the stages leave behind; 800 images of test."""
    for folder in (STATS, MODEL, EVALUATION, EXPORT):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "recipes/quick.yaml", "params.yaml")
    write(evaluate(found(), settings()), EVALUATION)
    labels = random_labels()
    write_json(STATS / "stats.json", headline(labels))
    write_csv(STATS / "attributes.csv", attribute_rows(labels, CELEBA))
    params = load_params(Path("params.yaml"))
    write_json(
        MODEL / "model.json",
        {
            "architecture": {"backbone": "efficientformerv2_s0"},
            "input": {"size": 96},
            "parameters": {"total": 8_206_552},
            "source": "synthetic",
            "licence": "CC0 <no person>",
            "recipe": params.model_dump(include={"backbone", "heads", "augment", "train"}),
        },
    )
    columns = (
        "epoch",
        "step",
        "lr",
        "train_loss",
        "valid_loss",
        "train_accuracy",
        "valid_accuracy",
    )
    epochs = [(1, 63, 1e-3, 0.41, 0.33, 0.81, 0.86), (2, 126, 3e-7, 0.25, 0.23, 0.88, 0.9)]
    write_csv(MODEL / "history.csv", [dict(zip(columns, e, strict=True)) for e in epochs])
    write_json(EXPORT / "metrics.json", {"parameters": 8_206_552, "coreml_bytes": 16_494_296})
    checked = {"file": "a.onnx", "run_by": "ONNX Runtime", "bytes": 9, "agreement": 0.9987}
    write_csv(EXPORT / "variants.csv", [checked])
    return pipeline


class Outline(HTMLParser):
    """What is on a page: ids, what it refers to, and tags that are open and should not be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [v for k, v in values.items() if re.search("href|src|data$|action", k)]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at line {self.getpos()[0]}"


def sections(page: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)">', page)


def test_the_page_shows_the_run_and_stands_alone(run):
    code, out, _ = run("report")
    assert code == 0 and out.startswith("data/evaluation/report.html: ")
    page = PAGE.read_text()
    assert PAGE.stat().st_size < 500_000
    assert sections(page) == [
        "data", "training", "metrics", "attributes", "slices", "field", "export", "params",
    ]  # fmt: skip
    metrics = json.loads((EVALUATION / "metrics.json").read_text())
    assert f'<strong id="accuracy">{percent(metrics["accuracy"])}</strong>' in page
    with (EVALUATION / "intervals.csv").open(newline="") as file:
        interval = next(row for row in csv.DictReader(file) if row["metric"] == "accuracy")
    assert f"95 % interval {percent(interval['low'])} to {percent(interval['high'])}" in page
    for said in (
        "800 images of test", "900 train, 200 valid, 300 test", "CC0 &lt;no person&gt;",
        "chosen on valid", "not Young", "No Beard, Goatee", "99.87", "16.5 MB as a Core ML",
        "backbone:\n  name: efficientformerv2_s0", "not a git repository",
    ):  # fmt: skip
        assert said in page, said
    outline = Outline(page)
    assert not outline.open
    assert len(outline.ids) == len(set(outline.ids))
    assert all(r.startswith("#") or r == "data:," for r in outline.references)
    anchors = {r[1:] for r in outline.references if r.startswith("#")}
    assert anchors <= set(outline.ids)
    assert not re.search(r"url\((?!#)|@import|<script", page)


def test_the_same_run_gives_the_same_page(run):
    pages = []
    for _ in range(2):
        run("report")
        pages.append(PAGE.read_bytes())
    assert pages[0] == pages[1]


@needs_chromium
def test_the_page_in_a_browser_of_a_phone_and_of_a_desktop(run):
    run("report")
    with chromium() as browser:
        for width, height in (PHONE, DESKTOP):
            with visit(browser, PAGE.absolute().as_uri(), width, height) as seen:
                page = seen.page
                assert page.evaluate("document.documentElement.scrollWidth") == width
                box = page.locator("#accuracy").bounding_box()
                assert page.locator("#accuracy").is_visible() and box["y"] < height / 2
                for picture in page.locator("figure svg").all():
                    assert picture.bounding_box()["width"] > 300
                # What is wider than the screen scrolls in a box of its own.
                hidden = "e => e.scrollWidth - e.clientWidth"
                radar = page.locator(".scroll", has=page.locator("#radar-figure_1"))
                assert (radar.evaluate(hidden) > 0) == (width < 600)
                assert (seen.elsewhere, seen.errors) == ([], [])
        with visit(browser, PAGE.absolute().as_uri(), *PAPER) as seen:
            seen.page.emulate_media(media="print")
            assert seen.page.evaluate("document.documentElement.scrollWidth") == PAPER[0]


def test_the_metrics_alone_make_a_page(run):
    for path in Path("data").rglob("*.*"):
        if path.name != "metrics.json" or path.parent.name != "evaluation":
            path.unlink()
    assert run("report")[0] == 0
    page = PAGE.read_text()
    assert sections(page) == ["data", "metrics", "field", "params"]
    assert 'id="accuracy"' in page and "svg" not in page.partition("</style>")[2]


def test_what_an_empty_split_cannot_tell_is_a_dash(run):
    both = found()
    blind = replace(
        both, train_prevalence=np.full(40, np.nan), splits={"test": both.splits["test"]}
    )
    write(evaluate(blind, settings()), EVALUATION)
    labels = random_labels()
    none = Labels(CELEBA_ORDER, np.zeros((0, 40), bool), None, np.zeros(0, np.int64))
    labels |= {"train": none, "valid": none}
    write_json(STATS / "stats.json", headline(labels))
    write_csv(STATS / "attributes.csv", attribute_rows(labels, CELEBA))
    code, _, err = run("report")
    assert (code, err) == (0, "")
    page = PAGE.read_text()
    assert "No images in train and valid: what needs them is left empty." in page
    assert "<strong>–</strong> points over the majority baseline" in page
    assert "<dt>Loss on test of the rates of train</dt><dd>–</dd>" in page
    assert "attribute drifts" not in page and '<b style="left' not in page
    assert not re.search(r"\b(nan|None)\b", page.partition("</style>")[2].partition("<pre")[0])


def test_published_results_stand_beside_ours_where_they_compare(run):
    run("report")
    page = PAGE.read_text()
    assert "not comparable" in page and "SwinFace" not in page and "published-figure" not in page
    assert "Beware: this network was trained on drawings alone" in page
    model = json.loads((MODEL / "model.json").read_text())
    write_json(MODEL / "model.json", model | {"source": "folder"})
    overall = (EVALUATION / "overall.csv").read_text()
    (EVALUATION / "overall.csv").write_text(overall.replace(",800,", ",19962,"))
    run("report")
    page = PAGE.read_text()
    assert "19,962 images of test" in page and "not comparable" not in page
    assert "Beware" not in page
    drawn = domain_of("union", "CC0", {"parts": {"a": {"source": "synthetic"}}})
    write_json(MODEL / "model.json", model | {"source": "union", "domain": drawn.model_dump()})
    run("report")
    assert "Beware" in PAGE.read_text(), "of a union of drawings, whose name does not tell"
    write_json(MODEL / "model.json", model | {"source": "folder"})
    run("report")
    page = PAGE.read_text()
    assert "SwinFace 2023" in page and "published-figure" in page
    assert not Outline(page).open


def test_a_page_of_other_files_is_stale(run):
    assert "report.html" not in run("compare", "workspace")[2], "there is none"
    run("report")
    fresh = PAGE.read_text()
    assert "report.html" not in run("compare", "workspace")[2]
    for path in ("params.yaml", "data/evaluation/metrics.json", "data/model/history.csv"):
        before = Path(path).read_text()
        Path(path).write_text(before.replace("0.4", "0.5", 1) + "\n")
        said = "data/evaluation/report.html shows another run than the workspace; run `pipeline"
        assert said in run("compare", "workspace")[2], path
        Path(path).write_text(before)
    run("report")
    assert PAGE.read_text() == fresh


def test_a_clone_of_another_owner_is_said(run, monkeypatch):
    subprocess.run(["git", "init", "--quiet"], check=True)
    run("report")
    assert "No commit to name: git has no commit yet." in PAGE.read_text()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert run("report")[0] == 0
    assert "git config --global --add safe.directory" in PAGE.read_text()


def test_what_changed_since_the_run_is_said(run):
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "run"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    run("report")
    assert f"<code>{commit}</code>" in PAGE.read_text()
    assert "were changed after the training" not in PAGE.read_text()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("width: 1024", "width: 2048"))
    run("report")
    page = PAGE.read_text()
    assert "heads.width was 1024, is 2048" in page
    assert re.search(r"and \d changed files?: .*params\.yaml", page)


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("data/evaluation/metrics.json", None,
         "data/evaluation holds no metrics.json; run `pipeline evaluate` first."),
        ("data/model/model.json", b'{"source": ', "data/model/model.json is damaged ("),
        ("data/evaluation/gaps.csv", b"\xff\xfe", "data/evaluation/gaps.csv is damaged ("),
        ("params.yaml", None, "params.yaml does not exist; run from the project's folder."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence_and_the_old_page_stays(run, path, content, sentence):
    PAGE.write_text("old")
    Path(path).unlink()
    if content is not None:
        Path(path).write_bytes(content)
    code, out, err = run("report")
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert err.startswith(f"error: {sentence}")
    assert PAGE.read_text() == "old"


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        ("0.90919", "accuracy", "90.92\N{NO-BREAK SPACE}%"),
        ("-0.000001", "gain", "+0.00"),
        ("-0.5821", "gap", "\N{MINUS SIGN}58.21"),
        ("1e-07", "lr", "1e-07"),
        ("16494296", "bytes", "16,494,296"),
        ("", "precision", "\N{EN DASH}"),
        (None, "f1", "\N{EN DASH}"),
        (True, "", "yes"),
        ("lips_and_chin", "region", "lips and chin"),
        ("0.2183", "loss", "0.2183"),
    ],
)
def test_values_as_people_read_them(value, key, text):
    assert shown(value, key) == text
