"""The project's folder, the real data where it is at hand, and params at the size of tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CELEBA_SAMPLE = Path(os.environ.get("CELEBA_SAMPLE", ROOT.parent / "shared/celeba-sample"))

CELEBA_ANNOTATIONS = Path(
    os.environ.get("CELEBA_ANNOTATIONS", ROOT.parent / "shared/celeba-annotations")
)

real_sample = pytest.mark.skipif(
    not CELEBA_SAMPLE.is_dir(), reason="no real CelebA sample; CELEBA_SAMPLE names its folder"
)

real_annotations = pytest.mark.skipif(
    not CELEBA_ANNOTATIONS.is_dir(),
    reason="no official CelebA annotations; CELEBA_ANNOTATIONS names their folder",
)

COUNTS = {"train": 48, "valid": 16, "test": 20}


TINY = {
    "attributes: pipeline/sets/celeba.yaml": "attributes: celeba",  # which is everywhere
    "train: 4000": f"train: {COUNTS['train']}",
    "valid: 500": f"valid: {COUNTS['valid']}",
    "test: 1000": f"test: {COUNTS['test']}",
    "seed: 1": "seed: 3",
    "size: 96": "size: 64",
    "samples: 1000": "samples: 40",
    "width: 1024": "width: 32",
    "epochs: 2": "epochs: 1",
    "min_agreement: 0.999": "min_agreement: 0.5",  # hardly trained, it answers 0.5 to everything
}
"""The quick recipe at a size for tests: of the faces that the tests share."""


def write_params(path: Path, **changes: str) -> None:
    """Write the tiny params, with further replacements old=new given as text."""
    text = (ROOT / "recipes/quick.yaml").read_text()
    for old, new in {**TINY, **changes}.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)


def environment(cache: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache), **more}
