"""Run the six stages and every other command in this folder, which holds params.yaml.

    python everything.py IMAGE PHOTOGRAPH

PHOTOGRAPH shows a face, and lies in a folder of its own. One process for all commands, because
starting costs most of the time. Ends with the first code that is not 0.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

from pipeline.apps.site import PAGE, RUNTIME
from pipeline.files import cache_folder
from stages.__main__ import main
from tests.support.project import ROOT


def run(*arguments: str) -> None:
    sys.argv = ["pipeline", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"pipeline {' '.join(arguments)} ended with {ended.code}")


def put_runtime_into_cache() -> None:
    """Stand-ins for the files of ONNX Runtime, else npm would fetch them, which it says."""
    [(package, version)] = json.loads((PAGE / "package.json").read_text())["dependencies"].items()
    folder = cache_folder(package) / version
    folder.mkdir(parents=True)
    for name in (name for names in RUNTIME.values() for name in names):
        (folder / name).touch()


def serve_once() -> None:
    """Serve the demo until somebody on this machine has asked for the page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def visit() -> None:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).read()
                break
            except OSError:  # not yet
                continue
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=visit, daemon=True).start()
    run("demo", "--no-open", "--port", str(port))


def everything(image: str, photograph: str) -> None:
    from pipeline.export import profile

    for stage in ("download", "stats", "shard", "train", "evaluate", "export"):
        run(stage)
    run("verify")
    run("card")
    run("samples")
    run("correct")
    run("publish", "published")
    run("report")
    profile.REFERENCES.clear()  # they are large
    run("profile", "--runs", "1")
    run("photographs", "--images", "5")
    run("align", os.path.dirname(photograph), "portraits", "--engine", "threads")
    for model in ("data/export", "data/export/FaceAttributes.mlpackage", "data/model"):
        run("predict", "--aligned", image, "--model", model)
        run("predict", photograph, "--model", model)
    put_runtime_into_cache()
    run("demo", "--build", "public")
    serve_once()
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "data/evaluation"], ["commit", "-qm", "a run"]):
        subprocess.run([*git, *command], check=True)
    run("compare", "HEAD")
    by_user = {n: v for n, v in os.environ.items() if n != "DVC_NO_ANALYTICS"}  # ours sets it
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q"], check=True)
    shutil.copy(ROOT / ".dvc/config", ".dvc/config")
    subprocess.run([*dvc, "status", "-q"], check=True, env=by_user)
    run("recipe", "report")


if __name__ == "__main__":
    everything(*sys.argv[1:])
