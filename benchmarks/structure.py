"""How the code is built: modules, floors, lines, and types that say nothing.

    python benchmarks/structure.py [FOLDER]

Counts what stands in a checkout (this one by default), so two commits can be compared.
"""

import argparse
import ast
import re
from functools import cache
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent.parent)
ROOT = parser.parse_args().folder


def module_of(path: Path) -> str:
    """pipeline/shards/tar.py -> pipeline.shards.tar; a package is its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_of(path): path
    for folder in ("pipeline", "stages")
    for path in sorted(ROOT.glob(f"{folder}/**/*.py"))
    if path.read_text(encoding="utf-8").strip()
}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the project that a module imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (members & FILES.keys()) or {node.module}
    return frozenset((found & FILES.keys()) - {module})


@cache
def chain(module: str) -> tuple[str, ...]:
    """The longest way down from a module, itself first. There are no circles (a test)."""
    return (module, *max((chain(used) for used in imports(module)), key=len, default=()))


def room(module: str) -> str:
    """pipeline.shards.tar -> pipeline.shards; a module outside a room stands for itself."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or parts[0] == "stages" else module


def main() -> None:
    """Print one line per figure."""
    texts = {module: path.read_text(encoding="utf-8") for module, path in FILES.items()}
    longest = max(map(chain, FILES), key=len)
    dvc = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    figures = {
        "modules directly in pipeline/": len([*ROOT.glob("pipeline/[a-z]*.py")]),
        "modules in all": len(FILES),
        "imports between modules": sum(len(imports(module)) for module in FILES),
        "arrows between rooms": len(
            {(room(m), room(used)) for m in FILES for used in imports(m) if room(m) != room(used)}
        ),
        "longest import chain": len(longest),
        "lines of dvc.yaml": dvc.count("\n"),
        "code dependencies in it": len(re.findall(r"^ +- (?:pipeline|stages)/", dvc, re.M)),
        "dict[str, Any]": sum(text.count("dict[str, Any]") for text in texts.values()),
        "lines of pipeline/ and stages/": sum(text.count("\n") for text in texts.values()),
        "lines of tests/": sum(
            path.read_text(encoding="utf-8").count("\n") for path in ROOT.glob("tests/**/*.py")
        ),
    }
    for name, value in figures.items():
        print(f"{name:32} {value:>7,}")
    print(" > ".join(longest))


if __name__ == "__main__":
    main()
