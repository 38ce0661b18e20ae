"""The one exception that a user can cause."""

from typing import Final

LONGEST_REASON: Final = 400
"""Characters of what a library says."""


class PipelineError(Exception):
    """Something a user can mend: one sentence saying what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 1. Anything else
    that escapes is a defect of this project and keeps its traceback.
    """

    def __str__(self) -> str:
        """One line that a terminal only shows."""
        return printable(super().__str__())


def printable(text: object) -> str:
    """What a terminal only shows: names may come from anybody, and steer it by their letters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def one_line(error: BaseException) -> str:
    """What an exception says, on a line that nobody can make long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."
