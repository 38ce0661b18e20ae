"""Which files a module is made of: all that it imports from this project, directly or not.

DVC's code dependencies and the fingerprint of an unfinished training run are this list, so a change
runs again what it can change and nothing else.
"""

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

UNTRACKED: Final = {
    "pipeline/__init__.py": "keeps packages from telling their makers, and decides no result",
    "pipeline/params.py": "the values of params are tracked by themselves; a new knob changes none",
    "pipeline/dataset/wanted.py": "refuses data of other params, and decides no result",
    "pipeline/errors.py": "says what went wrong, and decides no result",
    "pipeline/records.py": "reads a JSON file as it stands or refuses it, and decides no result",
    "pipeline/needs.py": "says which packages are missing, and decides no result",
    "pipeline/engines.py": "says where work runs; every engine gives the same bytes, by test",
    "pipeline/progress.py": "says how far the work has come, and decides no result",
    "stages/layout.py": "where results lie is told by the outs of dvc.yaml",
}
"""Files whose change changes no result, and why."""


def closure(module: str) -> set[str]:
    """The files that `module` (dotted) imports, itself included, as paths below the project.

    Imports inside functions count too. Left out are UNTRACKED files, and packages whose
    `__init__` holds no code.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        path = _path_of(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return {path for path in found - UNTRACKED.keys() if _holds_code(path)}


def _path_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] not in ("pipeline", "stages"):
        return None
    for candidate in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if (ROOT / candidate).is_file():
            return candidate.as_posix()
    return None


def _parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _holds_code(path: str) -> bool:
    return any(not isinstance(node, ast.Expr) for node in _parsed(path).body)
