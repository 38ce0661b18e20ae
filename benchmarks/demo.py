"""The live demo in Chromium: frames a second of the preview and of the model, bytes of the site.

    PYTHONPATH=. python benchmarks/demo.py [--seconds 10] [quick report ...]

For each recipe named, a network of its shape, its weights random, reads a film of a synthetic head
that moves and turns (640 x 480, 30 frames a second) and stands for the camera. Chromium has no
window and, on machines without a GPU, draws with the processor too. Medians over the seconds, and
their range.
"""

import argparse
import math
import statistics
import tempfile
import threading
from pathlib import Path

from pipeline.apps import site
from pipeline.apps.server import SiteServer
from pipeline.attributes import load_set
from pipeline.export.card import About
from pipeline.export.to_onnx import export_onnx
from pipeline.files import write_json
from pipeline.network.model import FaceAttributes, architecture_of
from pipeline.params import load_params
from tests.support import film
from tests.support.browser import CHROMIUM, chromium, visit

ABOUT = About(version="0", licence="random weights", attributes=load_set("celeba"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["quick", "report"])
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on this machine: nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        faces = Path(folder, "faces.y4m")
        turns = [math.sin(i / 10) for i in range(126)]  # of about 4 s, so that it ends as it began
        places = [film.place(1.4 + 0.2 * t, 20 * t, 320 + 60 * t + 240j) for t in turns]
        film.write_film(faces, [film.frame(film.FACES[0], at) for at in places], rate=30, hold=1)
        for recipe in arguments.recipes:
            work = Path(folder, recipe)
            sizes = build(recipe, work)
            print(f"{recipe}:", ", ".join(f"{part} {size:,} bytes" for part, size in sizes.items()))
            measure(work / "site", faces, arguments.seconds)


def build(recipe: str, work: Path) -> dict[str, int]:
    """The site with a network of that recipe, its weights random; bytes by part."""
    settings = load_params(Path("recipes", f"{recipe}.yaml"))
    architecture = architecture_of(settings, settings.shards.size)
    model = FaceAttributes(architecture, ABOUT.attributes.regions)
    export_onnx(model, work / "model.onnx", ABOUT)
    write_json(work / "model.json", ABOUT.card(recipe, settings.shards.size, {}))
    return site.build(work / "model.onnx", work / "site")


def measure(folder: Path, faces: Path, seconds: int) -> None:
    camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={faces}")
    with SiteServer(folder, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            chromium(*camera) as browser,
            visit(browser, server.urls[0], 390, 844, permissions=["camera"]) as seen,
        ):
            # The first second holds the start.
            figures = seen.page.evaluate(
                """async (seconds) => {
                  const wait = () => new Promise((done) => setTimeout(done, 1000));
                  while (!faceAttributes.figures) await wait();
                  const all = [];
                  while (all.length < seconds) {
                    await wait();
                    all.push(faceAttributes.figures);
                  }
                  return all;
                }""",
                seconds,
            )
        server.shutdown()
    for key, unit in (("preview", "frames/s"), ("model", "frames/s"), ("ms", "ms a frame")):
        values = [second[key] for second in figures]
        print(
            f"  {key:8} {statistics.median(values):6.1f} {unit}"
            f" ({min(values):.1f} to {max(values):.1f})"
        )
    print(f"  on {figures[0]['backend']}")


if __name__ == "__main__":
    main()
