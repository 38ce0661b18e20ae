"""`pipeline`, and `python -m stages`: the stages and the commands beside them, in one app."""

import errno
import io
import os
import re
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from pipeline.errors import PipelineError, printable
from pipeline.files import temporary_files_together
from stages.download import download
from stages.evaluate import evaluate
from stages.export import export
from stages.shard import shard
from stages.stats import stats
from stages.tools.align import align
from stages.tools.browse import browse
from stages.tools.card import card
from stages.tools.compare import compare
from stages.tools.correct import correct
from stages.tools.demo import demo
from stages.tools.diff import diff
from stages.tools.init import init
from stages.tools.photographs import photographs
from stages.tools.predict import predict
from stages.tools.profile import profile
from stages.tools.publish import publish
from stages.tools.recipe import recipe
from stages.tools.report import report
from stages.tools.samples import samples
from stages.tools.suspects import suspects
from stages.tools.verify import verify
from stages.train import train

app = typer.Typer(
    name="pipeline",
    help="Faces and labels in; crops, shards, a network, evidence and a file for a phone out.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fills paragraphs to the width of the terminal
)
for stage in (download, stats, shard, train, evaluate, export):
    app.command(rich_help_panel="Stages, in the order of `dvc repro`")(stage)
COMMANDS = (
    align, browse, card, compare, correct, demo, diff, init, photographs, predict, profile,
    publish, recipe, report, samples, suspects, verify,
)  # fmt: skip
for command in COMMANDS:
    app.command(rich_help_panel="Beside them")(command)

SPINS = "1000"
"""How often a thread of OpenMP looks whether it may go on before it sleeps: OpenMP's own number
where threads outnumber cores, else it is hundreds of thousands. Beside other work a spinning
thread holds the core that the awaited one needs (benchmarks/busy.py); sums do not depend on it."""

os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read once, when torch is loaded

WHAT_TO_DO = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EACCES: "give yourself the right to write there",
    errno.EPERM: "give yourself the right to write there",
    errno.EROFS: "work in a folder that can be written to",
}
"""What a user can do where the operating system refuses."""


def print_version(wanted: bool) -> None:
    """Print name and version and end, if that is wanted."""
    if wanted:
        from importlib import metadata

        print("face-attributes", metadata.version("face-attributes"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options that stand before a command."""


def leave(number: int, _: FrameType | None) -> None:
    """End as the signal asks, but remove what is unfinished or temporary on the way out."""
    sys.exit(128 + number)


def open_streams() -> None:
    """Let a standard stream that is closed lead nowhere, here and in workers.

    Else the next file that is opened gets its number, and what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which gets the lowest number that is free
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


_NO_MEMORY = re.compile("can't allocate memory|out of memory")
"""In what torch says then, on a CPU and on a GPU."""


def main() -> None:
    """Run the command line; what a user can put right is one sentence and exit code 1."""
    open_streams()
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show stops nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, leave)
    try:
        with temporary_files_together():
            app()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _NO_MEMORY.search(str(error))):
            raise
        print(
            "error: There is not enough memory; take a smaller backbone, heads.width or"
            " train.batch_size.",
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:
        if error.errno not in WHAT_TO_DO:
            raise
        name = error.filename2 or error.filename  # of two the one that was written
        place = f"{printable(name)}: " if name else ""
        reason = os.strerror(error.errno)  # Arrow and others add words of their own
        print(f"error: {place}{reason}; {WHAT_TO_DO[error.errno]} and run again.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
