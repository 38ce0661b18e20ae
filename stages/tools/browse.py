"""Command `browse`: the dataset in a browser, to look at and to correct."""

from typing import TYPE_CHECKING, Annotated

import typer

from stages.layout import (
    EVALUATION,
    MODEL,
    PARAMS,
    STATS,
    SUSPECTS,
    ParamsFile,
    corrections_file,
    shard_folder,
)

if TYPE_CHECKING:
    from pipeline.apps.browse.server import BrowseServer


def browse(
    port: Annotated[int, typer.Option(min=0, help="0: any that is free.")] = 8400,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Look through all crops in a browser and correct labels. Writes corrections/SOURCE.csv.

    Reads data/SOURCE/shards and, where they are there, the predictions of data/evaluation and
    data/model, the suspects of data/suspects and the twins of data/stats. Each decision is written
    at once. The page is for this machine alone, at 127.0.0.1; from another one use
    `ssh -L 8400:localhost:8400`.
    """
    from pipeline.apps.browse.dataset import open_dataset
    from pipeline.apps.browse.server import BrowseServer
    from pipeline.dataset.view import open_view
    from pipeline.params import load_params

    settings = load_params(params)
    source = settings.data.source
    dataset = open_dataset(
        shard_folder(source), open_view(settings), corrections_file(source), MODEL, EVALUATION,
        SUSPECTS, STATS, settings.stats.duplicates,
    )  # fmt: skip
    with BrowseServer(dataset, port) as server:
        _serve(server, browser=not no_open)


def _serve(server: "BrowseServer", browser: bool) -> None:
    """Until Ctrl-C, or a signal that ends the process."""
    import contextlib
    import webbrowser
    from threading import Thread

    samples = len(server.dataset.samples)
    print(f"{samples:,} samples at {server.urls[0]} until Ctrl-C.", flush=True)
    if browser:  # beside the server, for it may stay in the foreground
        Thread(target=webbrowser.open, args=(server.urls[0],), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
