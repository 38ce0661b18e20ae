"""The one exception that a user can cause."""


class PipelineError(Exception):
    """Something a user can mend: one sentence saying what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 1. Anything else
    that escapes is a defect of this project and keeps its traceback.
    """


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
