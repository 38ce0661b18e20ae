"""What `pipeline suspects` does: fold, gather, rank, write, and one screen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np
import pyarrow as pa

from pipeline.dataset.arrow import text_column
from pipeline.dataset.view import View
from pipeline.errors import PipelineError
from pipeline.files import write_csv, write_json
from pipeline.network.train_logits import OUT_OF_FOLD
from pipeline.suspects.evidence import TOLD, By, Gathered, gather
from pipeline.suspects.file import write_suspects
from pipeline.suspects.rank import SUMMARY_COLUMNS, Ranking, rank_labels
from pipeline.tables import Row, readable
from pipeline.vocabulary import SPLITS

SUSPICIOUS: Final = 0.5
"""A label counts as a suspect where it is likelier wrong than right."""

SHOWN: Final = 12


@dataclass(frozen=True)
class Found:
    """What is told."""

    summary: list[Row]
    """A row an attribute, as in attributes.csv."""

    totals: Row
    """As in summary.json."""


def which(asked: str | None, folder: Path, folding: bool) -> By:
    """By what train is judged. Raises PipelineError where it is asked for something else."""
    known: tuple[By, ...] = get_args(By)
    if asked is not None:
        for by in known:
            if asked == by and not (folding and by != "out_of_fold"):
                return by
        if asked in known:
            raise PipelineError(f"--folds judges by out_of_fold, and not by {asked}; ask for one.")
        raise PipelineError(f"Train can be judged by {', '.join(known)}, and not by {asked!r}.")
    if folding or (folder / OUT_OF_FOLD).exists():
        return "out_of_fold"
    return "averaged"  # of the newest logits labels are already known by heart


def find_suspects(
    view: View, shards: Path, model: Path, evaluation: Path, folder: Path, by: By
) -> Found:
    """Rank the labels and write the files. Raises PipelineError as `gather` does."""
    gathered = gather(view, shards, model, evaluation, folder / OUT_OF_FOLD, by)
    ranking = rank_labels(gathered.splits, view.attributes.model_order)
    labels, decided = _undecided(ranking.labels, view)
    _count(labels, ranking.summary, list(gathered.splits))
    totals = _totals(ranking, gathered, labels, decided)
    folder.mkdir(parents=True, exist_ok=True)
    write_suspects(folder / "suspects.parquet", labels, gathered.by)
    columns = (*SUMMARY_COLUMNS, *(f"suspects_{split}" for split in SPLITS))
    write_csv(folder / "attributes.csv", ranking.summary, columns)
    write_json(folder / "summary.json", totals)
    return Found(ranking.summary, totals)


def _count(labels: pa.Table, summary: list[Row], splits: Sequence[str]) -> None:
    """Add to each row how many labels of each split are likelier wrong than right."""
    suspicion = labels["suspicion"].to_numpy()
    few = labels.slice(0, int(np.count_nonzero(suspicion > SUSPICIOUS)))  # they stand first
    found = Counter(zip(few["split"].to_pylist(), few["attribute"].to_pylist(), strict=True))
    for row in summary:
        for split in SPLITS:
            count = found[split, row["attribute"]] if split in splits else None
            row[f"suspects_{split}"] = count


def _undecided(labels: pa.Table, view: View) -> tuple[pa.Table, int]:
    """The labels that nobody has looked at, and how many somebody has."""
    import pyarrow.compute as pc

    rows = view.corrections.rows if view.corrections else ()
    if not rows:
        return labels, 0
    looked_at = pc.is_in(labels["key"], text_column(sorted({row.key for row in rows})))
    places = np.flatnonzero(looked_at.to_numpy())
    decided = {row.place for row in rows}
    few = labels.take(pa.array(places)).select(["key", "attribute"]).to_pylist()
    gone = [
        place
        for place, row in zip(places.tolist(), few, strict=True)
        if (row["key"], row["attribute"]) in decided
    ]
    kept = np.ones(len(labels), bool)
    kept[gone] = False
    return labels.filter(pa.array(kept)), len(gone)


def _totals(ranking: Ranking, gathered: Gathered, labels: pa.Table, decided: int) -> Row:
    known = [row for row in ranking.summary if row["noise"] is not None]
    weight = sum(row["labels"] for row in known)
    noise = sum(row["noise"] * row["labels"] for row in known) / weight if known else None
    return {
        "labels": len(labels),
        "noise": noise,
        "suspects": {
            split: sum(row[f"suspects_{split}"] or 0 for row in ranking.summary)
            for split in gathered.splits
        },
        "by": gathered.by,
        "silent": {split: count for split, count in gathered.silent.items() if count},
        "looked_at": decided,
        "unjudged": [split for split in SPLITS if split not in gathered.splits],
    }


def screen(found: Found) -> str:
    """The screen: how many labels seem wrong, and where."""
    rows = sorted(found.summary, key=lambda row: -(row["noise"] or 0))[:SHOWN]
    width = max(17, *(len(row["attribute"]) for row in rows))
    lines = [f"{'labels that seem wrong':{width + 6}} of train   95 % interval   lost  invented"]
    for row in rows:
        if row["noise"] is None:
            lines.append(f"  {readable(row['attribute']):{width + 4}} too few labels")
            continue
        noise, low, high, lost, invented = (
            f"{100 * row[name]:.2f}"
            for name in ("noise", "noise_low", "noise_high", "lost", "invented")
        )
        lines.append(
            f"  {readable(row['attribute']):{width + 4}} {noise:>6} % {low:>7} to {high:>5} "
            f"{lost:>6} {invented:>9}"
        )
    totals = found.totals
    if totals["noise"] is not None:
        lines += ["", f"all attributes: {totals['noise']:.2%} of the labels of train"]
    for split, by in totals["by"].items():
        silent = totals["silent"].get(split, 0)
        told = f"; nothing is known of {silent:,} images" if silent else ""
        count = totals["suspects"][split]
        lines.append(
            f"{split:6}{count:>9,} labels are likelier wrong than right, by {TOLD[by]}{told}"
        )
    if totals["unjudged"]:
        names = " and ".join(totals["unjudged"])
        lines.append(f"not judged: {names} (no images, or not in predictions.parquet)")
    if totals["looked_at"]:
        lines.append(f"{totals['looked_at']:,} labels were looked at before and are left out")
    return "\n".join(lines)
