"""One package of npm: fetched as it is packed, held to its hash; nothing of it is run."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from pipeline.errors import PipelineError

_OPTIONS: Final = (
    "--ignore-scripts", "--no-update-notifier", "--loglevel=error",
    # Here and for good, whatever the user's settings for other projects are.
    "--location=project", "--no-global", "--prefix=.", "--pack-destination=.", "--no-dry-run",
)  # fmt: skip


def npm_fetch(work: Path, package: str, version: str, integrity: str) -> Path:
    """The package as npm packs it, one file in the empty folder `work`.

    `integrity` is "sha512-" and the hash in base64. Raises PipelineError where npm is not here,
    cannot fetch it, or brings something else.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise PipelineError(
            f"{package} is needed, and npm is not here to fetch it; install Node.js."
        )
    print(f"npm fetches {package}, this once ...", file=sys.stderr, flush=True)
    own = "npm_config_workspace"  # set, and of no use here, under `npm run --workspace`
    done = subprocess.run(
        [npm, "pack", f"{package}@{version}", *_OPTIONS], cwd=work, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(own)},
        capture_output=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "npm error" in line] or ["no reason"]
        raise PipelineError(
            f"npm cannot fetch {package} ({said[0].removeprefix('npm error ')}); check the"
            " network and `npm config get registry`."
        )
    packed = next(work.glob("*.tgz"), None)
    if packed is None:
        raise PipelineError(
            f"npm says that it is done, yet {package} is not there; look for the setting in"
            " `npm config list` that keeps it from writing."
        )
    digest = hashlib.sha512(packed.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
        raise PipelineError(
            f"npm brings another {package} {version} than is pinned, by its sha512; it is not"
            " used. Check `npm config get registry`."
        )
    return packed
