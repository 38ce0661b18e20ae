"""The page of a run on another attribute set: its number and names, and nothing of CelebA's."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.labels import Labels
from pipeline.dataset.statistics import attribute_rows, headline, prevalence
from pipeline.evaluation.evaluate import evaluate, write
from pipeline.evaluation.predictions import Predictions, SplitPredictions
from pipeline.files import write_csv, write_json
from pipeline.params import load_params
from pipeline.report.page import Run, write_report
from pipeline.tables import Row
from tests.support.attributes import CELEBA_ORDER, SMALL
from tests.support.browser import chromium, needs_chromium, visit
from tests.support.project import ROOT
from tests.support.sets import evaluation_of

UNKNOWN = {
    "unknown_labels": {"train": 1200, "valid": 7, "test": 0},
    "labels": {"train": 3600, "valid": 150, "test": 180},
}
LEFT_OUT = {"left_out": {"where": "not Hat & <Bald>", "images": {"train": 30, "valid": 0}}}
ORIGINS = {"origins": {"train": {"celeba": 900, "own": 300}, "test": {"own": 50}}}


@dataclass
class Made:
    """A run of made-up tables in a folder."""

    folder: Path

    def page(self) -> str:
        """The page, written anew."""
        folders = (
            self.folder / name for name in ("stats", "model", "evaluation", "export", "suspects")
        )
        write_report(Run(self.folder / "params.yaml", *folders), self.path)
        return self.path.read_text()

    @property
    def path(self) -> Path:
        return self.folder / "report.html"

    def write(self, rows: list[Row], set_name: str = "Small", **stats: object) -> None:
        """The tables of an evaluation with these rows, and of its data."""
        data, model, evaluation = (self.folder / n for n in ("stats", "model", "evaluation"))
        regions: dict[str, list[str]] = {}
        for row in rows:
            regions.setdefault(row["region"], []).append(row["attribute"])
        facts = {
            "architecture": {"backbone": "efficientformerv2_s0"},
            "attributes": [row["attribute"] for row in rows],
            "regions": regions,
            "input": {"size": 96},
            "parameters": {"total": 8_206_552},
            "source": "table",
            "recipe": {},
            "set": {"name": set_name},
        }
        write_json(model / "model.json", facts)
        splits = {"train": 1200, "valid": 50, "test": 60}
        headline = {
            "images": splits,
            "identities": splits,
            "identities_in_two_splits": 0,
            "baseline_accuracy": dict.fromkeys(
                ("train_majority_on_test", "test_majority_on_test"), 0.75
            ),
            "constant_loss_on_test": 0.5,
        }
        write_json(data / "stats.json", headline | stats)
        known = {"known_train": 900, "known_valid": 48, "known_test": 60} if stats else {}
        drift = {"drift": -0.0725, "drift_split": "test", "drift_p": 1e-9}
        write_csv(data / "attributes.csv", [{**row, **drift, **known} for row in rows])
        scores = {
            "accuracy": 0.9, "recall": 0.7, "specificity": 0.95, "baseline_accuracy": 0.75,
        }  # fmt: skip
        write_json(evaluation / "metrics.json", scores)
        counted = {"known": 57} if stats else {}
        judged = [
            {
                "attribute": row["attribute"],
                "region": row["region"],
                "accuracy": row["accuracy"] / 100,
                "baseline_accuracy": row["baseline"] / 100,
                "gain": (row["accuracy"] - row["baseline"]) / 100,
                "prevalence": row["prevalence"],
                "recall": row["recall"],
                "specificity": 0.9,
                "f1": None,
                **counted,
            }
            for row in rows
        ]
        write_csv(evaluation / "attributes.csv", judged)
        write_csv(
            evaluation / "regions.csv",
            [{"region": r, "attributes": len(n), **scores, **counted} for r, n in regions.items()],
        )
        overall = {"rule": "fixed", "split": "test", "images": 60, **scores, **counted}
        write_csv(evaluation / "overall.csv", [overall])
        slices = [{"slice": s, "images": 20, **scores, **counted} for s in ("Hat", "not Hat")]
        write_csv(evaluation / "slices.csv", slices)
        radar = ("attribute", "region", "accuracy", "baseline")
        write_json(evaluation / "radar.json", [{key: row[key] for key in radar} for row in rows])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    for name in ("stats", "model", "evaluation", "export"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "recipes/quick.yaml", tmp_path / "params.yaml")
    return Made(tmp_path)


def rows_of_small() -> list[Row]:
    rows = evaluation_of(3, 1)
    for row, name in zip(rows, SMALL.model_order, strict=True):
        row |= {"attribute": name, "region": SMALL.region_of[name]}
    return rows


def words(page: str) -> str:
    """What stands on the page, without tags, style and params."""
    text = re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>|<pre.*?</pre>", " ", page)
    return " ".join(re.sub("<[^>]*>", " ", text).split())


def test_it_speaks_of_its_own_set(made: Made) -> None:
    made.write(rows_of_small())
    page = made.page()
    said = words(page)
    for part in (
        "efficientformerv2_s0 with 2 heads for 3 attributes of the set Small, on",
        "mean over 3 attributes, 60 images of test",
        "p < 0.01 for all 3 together",
        "All 3 on 60 images of test",
        "By region, a head each",
        "not Hat",
        "the rim: ours on",
    ):
        assert part.replace("<", "&lt;") in said, part
    others = [name for name in CELEBA_ORDER if name not in SMALL.names]
    for name in others:
        assert name.replace("_", " ") not in page.partition("<pre")[0], name
    assert not re.search(r"\b40 att|seven|TransFA|[Aa]gainst the field|#field|published", said)
    assert "known labels" not in said and "not known" not in said
    assert '<div class="pair">' not in page  # three are seen at a glance


def test_what_is_not_known_is_counted(made: Made) -> None:
    made.write(rows_of_small(), **UNKNOWN, **LEFT_OUT, **ORIGINS)
    said = words(made.page())
    assert "count in nothing 1,200 of 3,600 train, 7 of 150 valid Images left out" in said
    assert "30 train, 0 valid; kept are those with not Hat &amp; &lt;Bald&gt;" in said
    assert "come from part train test celeba 900 0 own 300 50" in said
    assert said.count("known labels") == 5  # drift, rules, regions, attributes, slices
    assert "900 48 60" in said and "57" in said


@pytest.mark.parametrize("attributes", [1, 2])
def test_few_attributes_in_one_region(made: Made, attributes: int) -> None:
    made.write(evaluation_of(attributes, 1))
    said = words(made.page())
    assert "with one head for" in said and "By region, one head" in said
    assert "at the centre" not in said
    if attributes == 1:
        assert "for one attribute of the set" in said and "accuracy, of one attribute" in said
        assert "The attribute on 60 images" in said and "p &lt; 0.01)" in said


def test_of_many_the_best_and_the_worst_stand_apart(made: Made) -> None:
    made.write(evaluation_of(8, 2))
    page = made.page()
    pair = page.partition('<div class="pair">')[2].partition("Attribute on")[0]
    assert len(re.findall(r"Number \d", pair.partition("All 8")[0])) == 8


@needs_chromium
@pytest.mark.parametrize(("attributes", "regions"), [(1, 1), (3, 2), (120, 30)])
def test_it_fits_a_phone_and_a_desktop(made: Made, attributes: int, regions: int) -> None:
    made.write(evaluation_of(attributes, regions, long=True), **UNKNOWN, **LEFT_OUT, **ORIGINS)
    made.page()
    with chromium() as browser:
        for width, height in ((390, 844), (1280, 900)):
            with visit(browser, made.path.absolute().as_uri(), width, height) as seen:
                assert seen.page.evaluate("document.documentElement.scrollWidth") == width
                assert seen.page.locator("#radar-figure_1").bounding_box()["width"] > 300
                for name in seen.page.locator("tbody th").all():  # leaves room for numbers
                    assert name.bounding_box()["width"] < 0.6 * width
                assert (seen.elsewhere, seen.errors) == ([], [])


def labels_of(images: int, seed: int) -> Labels:
    """Of the small set, a third of them not known, of two parts."""
    draw = np.random.default_rng(seed)
    known = draw.random((images, 3)) < 0.67
    values = (draw.random((images, 3)) < [0.3, 0.6, 0.1]) & known
    origin = np.where(np.arange(images) % 3, "celeba", "own")
    return Labels(SMALL.names, values, known, draw.integers(0, 20, images), origin)


def test_the_tables_of_the_stages_make_a_page(made: Made) -> None:
    splits = {"train": labels_of(300, 1), "valid": labels_of(90, 2), "test": labels_of(120, 3)}
    made.write(rows_of_small())
    stats = made.folder / "stats"
    write_json(stats / "stats.json", headline(splits))
    write_csv(stats / "attributes.csv", attribute_rows(splits, SMALL))
    order = [SMALL.names.index(name) for name in SMALL.model_order]

    def judged(labels: Labels) -> SplitPredictions:
        values, known = labels.values[:, order], labels.known[:, order]
        return SplitPredictions(
            names=SMALL.model_order,
            keys=[f"{i:03d}" for i in range(len(labels))],
            celeb_id=labels.celeb_id,
            labels=values,
            known=known,
            probabilities=np.where(values, 0.8, 0.3),
            origin=labels.origin,
        )

    found = Predictions(
        source="union",
        model="0" * 64,
        attributes=SMALL,
        train_prevalence=prevalence(splits["train"].values, splits["train"].known)[order],
        splits={split: judged(splits[split]) for split in ("valid", "test")},
    )
    asked = load_params(ROOT / "recipes/quick.yaml").evaluate.model_copy(
        update={"slices": ["Hat"], "resamples": 20, "split": "test"}
    )
    write(evaluate(found, asked), made.folder / "evaluation")
    said = words(made.page())
    unknown = np.count_nonzero(~splits["train"].known)
    assert f"{unknown} of 900 train" in said
    assert "celeba 200 60 80 own 100 30 40" in said
    for part in ("not Hat", "origin own", "Bald, Hat", "All 3 on 120 images of test"):
        assert part in said, part
    known = splits["test"].counts()
    table = said.partition("All 3 on")[2]
    for name, count in zip(SMALL.names, known.tolist(), strict=True):
        assert re.search(rf" {name} [^A-Z]* {count} ", table), name


def test_corrected_and_suspicious_labels_have_a_section(made):
    made.write(rows_of_small())
    before = made.page()
    assert "Labels that were corrected" not in before
    both = [f"{m}_{by}" for m in ("accuracy", "recall") for by in ("official", "corrected")]
    rows = [
        {"attribute": name, "changed": changed, **dict.fromkeys(both, 0.75)}
        for name, changed in (("all", 12), ("Hat", 12), ("Beard", 0))
    ]
    write_csv(made.folder / "evaluation/corrected.csv", rows)
    noise = {"noise": 0.021, "noise_low": 0.018, "noise_high": 0.026}
    row = {"labels": 100, **noise, "lost": 0.02, "invented": 0.001}
    row |= {"suspects_train": 7, "suspects_valid": None, "suspects_test": 1}
    (made.folder / "suspects").mkdir()
    blank = {"attribute": "Rare", **dict.fromkeys(row, None)}
    write_csv(made.folder / "suspects/attributes.csv", [{"attribute": "<Hat>", **row}, blank])
    write_json(
        made.folder / "suspects/summary.json", {"noise": 0.021, "suspects": {"train": 7, "test": 1}}
    )
    page = made.page()
    assert stamp_of(before) != stamp_of(page)
    assert "12 labels of test were corrected" in page and "2.10\N{NO-BREAK SPACE}%" in page
    assert "&lt;Hat&gt;" in page and "Rare" not in page.partition("seem wrong")[2]


def stamp_of(page: str) -> str:
    return max(re.findall("[0-9a-f]{64}", page), default="")
