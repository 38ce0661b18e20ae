"""The command line: one file, one Typer command, one DVC stage.

A stage reads its params, calls the library in `pipeline/`, writes its outputs under `data/`
and says what it did.
"""
