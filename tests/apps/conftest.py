"""The live demo of a small network, and a browser to see it in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.apps.browse.server import BrowseServer
from tests.support.browser import chromium
from tests.support.browsing import browsing, dataset, write_evidence
from tests.support.demo_site import CAMERA, build, export_small, serving


@pytest.fixture(scope="module")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_small(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def url(demo_model: Path) -> Iterator[str]:
    build(demo_model, demo_model.parent / "site")
    with serving(demo_model.parent / "site") as address:
        yield address


@pytest.fixture(scope="module")
def blind() -> Iterator[Any]:
    """A Chromium without a camera."""
    with chromium(f"{CAMERA}=device-count=0") as browser:
        yield browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium as it is."""
    with chromium() as started:
        yield started


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The corrections that `pipeline browse` writes."""
    return tmp_path / "corrections/synthetic.csv"


@pytest.fixture
def server(shards: Path, tmp_path: Path, file: Path) -> Iterator[BrowseServer]:
    """The wall of the shared faces, with predictions, suspects and twins."""
    write_evidence(shards, tmp_path / "data")
    with browsing(dataset(shards, tmp_path / "data", file)) as started:
        yield started
