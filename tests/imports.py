"""The import closure of a module, read from its source: what a stage's code depends on."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def closure(module: str) -> set[str]:
    """Paths of all project files that `module` imports, directly or not, function-local too."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        path = _path_of(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    # A package's docstring decides nothing.
    return {path for path in found if len(_code_of(path)) > 0}


def _path_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] not in ("pipeline", "stages"):
        return None
    for candidate in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if (ROOT / candidate).is_file():
            return str(candidate)
    return None


def _code_of(path: str) -> list[ast.stmt]:
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return [node for node in body if not isinstance(node, ast.Expr)]
