"""A run on one page for people: `report.html`, from the files that the stages wrote.

The page needs no network and no other file. All that it says comes from those files; a section
whose files are missing is left out. How it looks is in the Jinja template beside this module.
"""

import csv
import hashlib
import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline.attributes import set_of_model
from pipeline.errors import PipelineError, one_line
from pipeline.evaluation.published import caveat, faces, is_published, standings, with_transfa
from pipeline.files import new_file, sha256_of
from pipeline.network.domain import Domain, domain_of
from pipeline.params import flatten, load_params
from pipeline.reading import parse_json, read_plain
from pipeline.report.plots import draw_calibration, draw_history, draw_published
from pipeline.report.radar import draw_radar
from pipeline.report.revisions import git, why_no_git
from pipeline.tables import Row, Rows, readable

TEMPLATE: Final = Path(__file__).with_name("report.html")
FRACTIONS: Final = re.compile(
    "accuracy|recall|specificity|precision|f1|auc|prevalence|_rate|agree|value"
)
"""Columns whose numbers are fractions of 1, shown in per cent."""

DIFFERENCES: Final = re.compile("gain|gap|drift$")
"""Columns that hold differences of fractions, shown in points."""


@dataclass(frozen=True)
class Run:
    """The params file of a run, and the folders that its stages wrote."""

    params: Path
    stats: Path
    model: Path
    evaluation: Path
    export: Path
    suspects: Path


def write_report(run: Run, path: Path) -> None:
    """Write the page of a run.

    Raises PipelineError where nothing was evaluated, or a file is damaged.
    """
    from jinja2 import Environment, StrictUndefined, UndefinedError

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "readable": readable, "percent": percent, "shown": shown, "counted": counted,
    }  # fmt: skip
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    try:
        text = template.render(_content(run)).lstrip()
    except (*_ODD, UndefinedError) as error:
        raise PipelineError(
            f"A table or JSON file of this run holds something else than its stage writes"
            f" ({one_line(error)}); run `dvc repro` again."
        ) from error
    with new_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


_ODD: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What comes of tables with other columns or values."""

TABLES: Final = {
    "model": ("history",),
    "evaluation": (
        "overall", "intervals", "attributes", "regions", "slices", "gaps", "contradictions",
        "calibration", "corrected", "published",
    ),
    "export": ("variants",),
}  # fmt: skip
"""Folder of a `Run` -> the CSV files that the page shows."""


def stamp(run: Run) -> str:
    """The hash of all the files that a page is drawn up from; it stands in the page."""
    tables = [
        getattr(run, folder) / f"{name}.csv" for folder, names in TABLES.items() for name in names
    ]
    files = [
        run.params, *tables, run.stats / "attributes.csv", run.stats / "stats.json",
        run.model / "model.json", run.evaluation / "metrics.json", run.evaluation / "radar.json",
        run.export / "metrics.json", run.suspects / "attributes.csv", run.suspects / "summary.json",
    ]  # fmt: skip
    sums = [sha256_of(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()


def is_stale(run: Run, page: Path) -> bool:
    """Whether there is a page, and one of other files than those of now."""
    return page.is_file() and stamp(run) not in page.read_text(encoding="utf-8", errors="replace")


def _content(run: Run) -> dict[str, Any]:
    """What the template is filled with."""
    settings = load_params(run.params)
    metrics = _json(run.evaluation / "metrics.json")
    if not metrics:
        raise PipelineError(
            f"{run.evaluation} holds no metrics.json; run `pipeline evaluate` first."
        )
    tables = {
        name: _csv(getattr(run, folder) / f"{name}.csv")
        for folder, names in TABLES.items()
        for name in names
    }
    model, stats = _json(run.model / "model.json"), _json(run.stats / "stats.json")
    source, split = model.get("source", settings.data.source), settings.evaluate.split
    images = stats.get("images", {}).get(split, 0)
    if tables["overall"]:
        split, images = tables["overall"][0]["split"], int(tables["overall"][0]["images"])
    warning = caveat(source, split, images)
    drift = _csv(run.stats / "attributes.csv")
    labels = [row["attribute"] for row in tables["attributes"] or drift]
    named = list(model.get("attributes", labels))
    has_field = not named or is_published(set_of_model({"face": named}))
    comparable = has_field and bool(tables["published"]) and not warning
    radar = _json(run.evaluation / "radar.json")
    if has_field:
        radar = with_transfa(radar, tables["published"])
    domain = domain_of(source, model.get("licence"))  # of a network of earlier versions
    if "domain" in model:
        domain = Domain.model_validate(model["domain"])
    return {
        **tables,
        "attributes": sorted(tables["attributes"], key=lambda row: -float(row["gain"] or 0)),
        "intervals": {row["metric"]: row for row in tables["intervals"]},
        "contradictions": [
            {**row, "at_most_one_of": row["at_most_one_of"].replace(" ", ", ")}
            for row in tables["contradictions"]
        ],
        "count": len(named),
        "heads": len(model.get("regions", {})) or len(tables["regions"]),
        "set_name": model.get("set", {}).get("name", ""),
        "has_field": has_field,
        "transfa": any(row.get("published") is not None for row in radar),
        "unknown": _unknown(stats),
        "left_out": stats.get("left_out", {}),
        "origins": _origins(stats.get("origins", {})),
        "changed_labels": [row for row in tables["corrected"][1:] if int(row["changed"])],
        "suspects": _json(run.suspects / "summary.json"),
        "suspicious": _suspicious(_csv(run.suspects / "attributes.csv")),
        "drifting": _drifting(drift),
        "drift_known": any(row["drift_p"] for row in drift),
        "metrics": metrics,
        "model": model,
        "stats": stats,
        "source": source,
        "faces": faces(source),
        "split": split,
        "images": images,
        "warning": warning,
        "beware": domain.warning(),
        "standings": standings(tables["published"]) if comparable else [],
        "export": flatten(_json(run.export / "metrics.json")),
        "params": run.params.read_text(encoding="utf-8"),
        "changed": _changed(model.get("recipe", {}), settings.model_dump()),
        "commit": _commit(run.params.absolute().parent),
        "no_commit": why_no_git(run.params.absolute().parent) or "git has no commit yet",
        "stamp": stamp(run),
        "pictures": _pictures(tables, radar, source, comparable),
    }


def _json(path: Path) -> Any:
    """The content of a JSON file, {} where there is none."""
    try:
        return parse_json(read_plain(path))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise PipelineError(f"{path} is damaged ({error}); run its stage again.") from error


def _csv(path: Path) -> list[Row]:
    """The rows of a CSV file, none where there is no file."""
    try:
        text = read_plain(path).decode()
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except FileNotFoundError:
        return []
    except (csv.Error, OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is damaged ({error}); run its stage again.") from error


def _unknown(stats: dict[str, Any]) -> list[str]:
    """How many labels are not known, for each split that has some: `7 of 60 train`."""
    labels = stats.get("labels", {})
    return [
        f"{count:,}{f' of {labels[split]:,}' if split in labels else ''} {split}"
        for split, count in stats.get("unknown_labels", {}).items()
        if count
    ]


def _origins(counts: dict[str, dict[str, int]]) -> list[Row]:
    """The images of each part of a union, a column a split."""
    parts = dict.fromkeys(origin for split in counts.values() for origin in split)
    return [
        {"origin": part, **{split: found.get(part, 0) for split, found in counts.items()}}
        for part in parts
    ]


def _drifting(rows: Rows) -> list[Row]:
    """The attributes whose prevalence differs between splits by more than chance, largest first."""
    known = [row for row in rows if row["drift_p"]]
    found = [row for row in known if float(row["drift_p"]) < 0.01 / len(rows)]  # Bonferroni
    return sorted(found, key=lambda row: -abs(float(row["drift"])))[:8]


def _suspicious(rows: Rows) -> list[Row]:
    """The attributes of which most labels seem wrong, noise in per cent with its interval."""
    known = [row for row in rows if row["noise"]]
    known.sort(key=lambda row: -float(row["noise"]))
    return [
        {
            **row,
            "noise": percent(row["noise"]),
            "interval": f"{percent(row['noise_low'])} to {percent(row['noise_high'])}",
            "lost": percent(row["lost"]),
            "invented": percent(row["invented"]),
        }
        for row in known
    ]


def _changed(recipe: Row, settings: Row) -> dict[str, tuple[Any, Any]]:
    """The params that are not what the network was trained with: key -> (trained with, now)."""
    trained, now = flatten(recipe), flatten(settings)
    return {key: (v, now.get(key)) for key, v in trained.items() if now.get(key) != v}


def _commit(folder: Path) -> dict[str, Any]:
    """The commit that `folder` is at, its date, and the files that have changed since."""
    head = git(folder, "show", "--no-patch", "--format=%H %cs", "HEAD")
    if not head:
        return {}
    commit, date = head.split()
    lines = (git(folder, "status", "--porcelain", "--", ".") or "").splitlines()
    return {"hash": commit, "date": date, "changed": [line[3:] for line in lines]}


def _pictures(
    tables: dict[str, list[Row]], radar: list[Row], source: str, comparable: bool
) -> dict[str, str]:
    """Name -> SVG element, for each picture whose numbers there are."""
    published, pictures = tables["published"], {}
    if tables["history"]:
        pictures["history"] = _svg("history", partial(draw_history, tables["history"]))
    if tables["calibration"]:
        pictures["calibration"] = _svg(
            "calibration", partial(draw_calibration, tables["calibration"])
        )
    if radar:
        draw = partial(draw_radar, radar, ours=f"ours, {faces(source)}")
        pictures["radar"] = _svg("radar", draw)
    if comparable:
        pictures["published"] = _svg("published", partial(draw_published, published, None))
    return pictures


def _svg(name: str, draw: Callable[[Path], None]) -> str:
    """The picture that `draw` writes, as an SVG element whose ids no other picture uses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.svg")
        draw(path)
        text = path.read_text(encoding="utf-8")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])


def percent(fraction: float | str | None, digits: int = 2) -> str:
    """0.9 -> `90.00 %`, with a space that does not break; a dash for None."""
    if fraction is None:
        return "\N{EN DASH}"
    return f"{100 * float(fraction):.{digits}f}\N{NO-BREAK SPACE}%"


def counted(counts: dict[str, int]) -> str:
    """How many there are in each split: `1,200 train, 30 valid`."""
    return ", ".join(f"{count:,} {split}" for split, count in counts.items())


def shown(value: Any, key: str = "") -> str:
    """A value of a table as people read it; fractions, known by their column, in per cent."""
    if value in (None, ""):
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return readable(str(value))
    if DIFFERENCES.search(key):
        return f"{round(100 * number, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")  # no -0.00
    if FRACTIONS.search(key) and abs(number) <= 1:
        return percent(number)
    if number.is_integer():
        return f"{int(number):,}"
    return f"{number:.4g}"
