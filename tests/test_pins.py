"""What `make install` installs is pinned by hash, and pinned is what pyproject.toml asks for."""

import re
import tomllib
from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.project import ROOT

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {"ray", "dev"}


class Pin(NamedTuple):
    version: str
    here: bool
    """Whether this Python on this machine installs it."""


def read_pins() -> dict[str, Pin]:
    pins = {}
    for entry in re.split(r"\n(?=\S)", LOCK):
        text, *hashes = entry.split("\\\n")
        if text.startswith("#"):
            continue
        wanted = Requirement(text)
        [specifier] = wanted.specifier
        assert specifier.operator == "==", text
        assert hashes, text
        assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", line) for line in hashes), text
        pins[canonicalize_name(wanted.name)] = Pin(
            specifier.version, wanted.marker is None or wanted.marker.evaluate()
        )
    return pins


def asked() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(extras) == EXTRAS
    texts = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    return [Requirement(text) for text in [*texts, *(t for e in EXTRAS for t in extras[e])]]


def test_every_pin_has_hashes_and_no_address():
    assert len(read_pins()) > len(asked())
    assert "://" not in LOCK


def test_the_pins_are_current():
    """What pyproject.toml asks for, directly or not, is pinned and installed, and no more is."""
    pins, reached = read_pins(), set()
    waiting = [(wanted, extra) for wanted in asked() for extra in ["", *wanted.extras]]
    seen = set()
    while waiting:
        wanted, extra = waiting.pop()
        name = canonicalize_name(wanted.name)
        reached.add(name)
        assert name in pins, f"{name} is not pinned; run `make lock`"
        assert pins[name].here, f"{name} is needed here, and pinned for other machines alone"
        assert wanted.specifier.contains(pins[name].version, prereleases=True), wanted
        assert metadata.version(name) == pins[name].version, "run `make install`"
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, extra) for extra in ["", *needed.extras]]
    assert not {name for name, pin in pins.items() if pin.here} - reached, "run `make lock`"


def test_nothing_is_installed_without_its_hash():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"pip install (.*)", recipe)
    *packages, project = commands
    assert len(packages) == 2 and all("--require-hashes -r" in command for command in packages)
    assert project.endswith("--no-build-isolation --no-deps --editable .")
    assert "--no-build-isolation" in packages[-1]  # else pip fetches what builds without a hash
    build = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make install" in build and "pip install" not in build
