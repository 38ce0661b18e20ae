"""Command `demo`: the exported network at work in a browser, on a camera or on pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stages.layout import EXPORT, PARAMS, ParamsFile

if TYPE_CHECKING:
    from pipeline.apps.server import SiteServer


def demo(
    host: Annotated[str, typer.Option(help="The address to serve; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, help="0: any that is free.")] = 8000,
    https: Annotated[
        bool, typer.Option("--https", help="Serve with a certificate made on the spot.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    build: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a static site and serve nothing.")
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Show the network at work in a browser. Reads data/export; no picture leaves the browser.

    Other devices have a camera for HTTPS alone: --https --host 0.0.0.0. The first run fetches
    ONNX Runtime for browsers with npm.
    """
    import tempfile

    from pipeline.apps import site
    from pipeline.apps.server import SiteServer
    from pipeline.params import load_params

    model = EXPORT / f"{load_params(params).export.name}.onnx"
    if build is not None:
        sizes = site.build(model, build)
        print(f"{build}: {sum(sizes.values()) / 1e6:.1f} MB")
        for part, size in sizes.items():
            print(f"  {part:22} {size:>12,} bytes")
        print(f"Licence of the model: {site.read_card(model)['licence']}")
        return
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, "site")
        site.build(model, here)
        with SiteServer(here, host, port, https) as server:
            _serve(server, browser=not no_open)


def _serve(server: "SiteServer", browser: bool) -> None:
    """Until Ctrl-C, or a signal that ends the process."""
    import contextlib
    import webbrowser
    from threading import Thread

    print(f"The demo runs at {' and '.join(server.urls)} until Ctrl-C.", flush=True)
    if server.https:
        print("The browser warns of the certificate, which is our own; accept it once.", flush=True)
    if browser:  # beside the server, for it may stay in the foreground
        Thread(target=webbrowser.open, args=(server.urls[0],), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
