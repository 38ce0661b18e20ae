"""Command `report`: the run on one page for people."""

from stages.layout import EVALUATION, EXPORT, MODEL, PARAMS, STATS, SUSPECTS, ParamsFile


def report(params: ParamsFile = PARAMS) -> None:
    """Write data/evaluation/report.html, one file without network, from what the stages wrote.

    Reads data/stats, data/model, data/evaluation, data/export and data/suspects. No stage of DVC:
    the page names the commit, so it is written after the run, and again when the run has changed.
    """
    from pipeline.report.page import Run, write_report

    path = EVALUATION / "report.html"
    write_report(Run(params, STATS, MODEL, EVALUATION, EXPORT, SUSPECTS), path)
    print(f"{path}: {path.stat().st_size / 1e3:,.0f} kB, open it in a browser")
