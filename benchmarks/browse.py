"""`pipeline browse` at the size of CelebA: how long one waits for a wall, and what memory it takes.

    PYTHONPATH=. python benchmarks/browse.py [--samples 202599] [--jumps 50]

Makes a shard folder in a temporary place: crops of 300 drawn faces, 96 px, under as many keys as
wanted, in CelebA's shares of the splits, with made-up predictions and suspects. Then a Chromium
without a window (1280 x 800) looks at it. A wall is there when every thumbnail in view has its
picture and its text. Jumps go anywhere in the list, steps to the next screen. Memory of the server
is its own (anonymous) and that of mapped files; of the page the heap of JavaScript, and all of its
process.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attributes import load_set
from pipeline.dataset.codec import CODEC, CropSettings
from pipeline.dataset.crops import crop_portrait
from pipeline.dataset.raw import raw_files
from pipeline.dataset.raw_writer import write_raw
from pipeline.files import write_json
from pipeline.shards.index import Index
from pipeline.shards.sample import Sample, index_rows, index_schema, pack_labels, sample_json
from pipeline.shards.tar import Shard, TarWriter
from pipeline.sources.synthetic.source import SyntheticSource
from tests.support.browser import CHROMIUM, Seen, chromium, visit
from tests.support.browsing import write_evidence
from tests.support.project import ROOT

SHARES = {"train": 162_770, "valid": 19_867, "test": 19_962}
CROP = CropSettings(size=96, quality=85)
FACES = 300
PER_SHARD = 10_000

THERE = """
  const view = document.getElementById("wall").getBoundingClientRect();
  const there = () => {
    const seen = [...document.querySelectorAll(".tile")].filter((tile) => {
      const { top, bottom } = tile.getBoundingClientRect();
      return bottom > view.top && top < view.bottom;
    });
    const lowest = Math.max(...seen.map((tile) => tile.getBoundingClientRect().bottom));
    const wall = document.getElementById("wall");
    const ends = wall.scrollTop + wall.clientHeight > wall.scrollHeight - 40;
    return seen.length > 10 && (ends || lowest > view.bottom - 40) &&
      seen.every(({ children: [face, text] }) => face.style.backgroundImage && text.firstChild);
  };
  const frame = () => new Promise((done) => requestAnimationFrame(done));
"""


def make(work: Path, samples: int) -> None:
    """Shards, params and evidence of a project folder."""
    raw = work / "raw"
    write_raw(SyntheticSource(FACES, 1, 1, seed=1), raw)
    table = pq.read_table(raw_files(raw)["train"][0])
    crops = [crop_portrait(row["bytes"], CROP, row["path"]) for row in table["image"].to_pylist()]
    names = load_set("celeba").names
    labels = np.stack([np.asarray(table[name]) for name in names], axis=1)
    bits, schema = pack_labels(labels), index_schema(names)
    folder = work / "data/synthetic/shards"
    folder.mkdir(parents=True)
    shards: dict[str, list[Shard]] = {split: [] for split in SHARES}
    tables, number = [], 0
    for split, share in SHARES.items():
        left = max(1, round(share * samples / sum(SHARES.values())))
        while left:
            count, written = min(left, PER_SHARD), []
            name = f"{split}-{len(shards[split]):06d}.tar"
            with TarWriter(folder / name) as tar:
                for place in range(count):
                    number += 1
                    key, crop = f"{number:06d}", crops[number % FACES]
                    offset = tar.add(f"{key}.jpg", crop)
                    sample = Sample(
                        place, key, f"{key}.jpg", b"", number // 20, bits[number % FACES],
                        offset=offset, length=len(crop), crc32=zlib.crc32(crop),
                    )  # fmt: skip
                    tar.add(f"{key}.json", sample_json(sample, len(names)))
                    written.append(sample)
            tables.append(index_rows(split, name, written, schema))
            shards[split].append(Shard(name, count, tar.size, tar.sha256))
            left -= count
    pq.write_table(pa.concat_tables(tables), folder / "index.parquet", row_group_size=PER_SHARD)
    index = Index(
        source="synthetic", licence="CC0-1.0", provenance={}, raw_sha256={}, attributes=list(names),
        crop="centre square", size=CROP.size, quality=CROP.quality, format="jpg", codec=CODEC,
        shuffle=None, counts={s: sum(x.samples for x in listed) for s, listed in shards.items()},
        quarantine=[], shards=shards,
    )  # fmt: skip
    write_json(folder / "index.json", json.loads(index.model_dump_json()))
    write_evidence(folder, work / "data")
    params = (ROOT / "recipes/quick.yaml").read_text(encoding="utf-8")
    place = "attributes: pipeline/sets/celeba.yaml"
    (work / "params.yaml").write_text(params.replace(place, "attributes: celeba"))


@contextmanager
def serving(work: Path, cache: Path) -> Iterator[tuple[str, int, float]]:
    """Address and number of the server's process, and the seconds until it told them."""
    start = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "stages", "browse", "--port", "0", "--no-open"],
        cwd=work, env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        told = server.stdout.readline()
        found = re.search(r"http://\S+", told)
        assert found, told
        yield found[0], server.pid, time.perf_counter() - start
    finally:
        server.terminate()
        server.wait()


def memory(process: int) -> str:
    """What a process holds, MB."""
    told = dict(
        line.split(":")
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("Rss")
    )
    own, mapped = (int(told[name].split()[0]) / 1e3 for name in ("RssAnon", "RssFile"))
    return f"{own:,.0f} MB of its own and {mapped:,.0f} MB of mapped files"


def wait(seen: Seen, action: str) -> float:
    """Milliseconds from an action, JavaScript, until the wall that it asks for is there."""
    script = f"""async (top) => {{ {THERE}
      const start = performance.now();
      {action};
      do await frame(); while (document.body.classList.contains("busy") || !there());
      return performance.now() - start;
    }}"""
    return float(seen.page.evaluate(script))


def told(what: str, values: list[float], unit: str = "ms") -> None:
    print(
        f"  {what:34} median {statistics.median(values):7.0f} {unit}, worst {max(values):7.0f}",
        flush=True,
    )


def measure(url: str, process: int, jumps: int) -> None:
    with chromium() as browser, visit(browser, url, 1280, 800) as seen:
        page = seen.page
        first = wait(seen, "")
        start = page.evaluate("performance.now()")
        print(f"  first wall: {start:,.0f} ms after the address was asked for ({first:.0f} waited)")
        rng = np.random.default_rng(0)
        wall = 'document.getElementById("wall")'
        height = page.evaluate(f"{wall}.scrollHeight")
        places = rng.integers(0, height, jumps).tolist()
        told("jump", [wait(seen, f"{wall}.scrollTop = {top}") for top in places])
        wait(seen, f"{wall}.scrollTop = 0")
        step = f"{wall}.scrollTop += {wall}.clientHeight"
        told("next screen", [wait(seen, step) for _ in range(jumps)])
        frames = page.evaluate(
            f"""async () => {{ {THERE}
              const frames = [];
              let before = performance.now();
              for (let i = 0; i < 300; i++) {{
                {wall}.scrollTop += 60;
                await frame();
                frames.push(performance.now() - before);
                before = performance.now();
              }}
              return frames;
            }}"""
        )
        told("a frame while it scrolls", frames)
        for what, query in (
            ("filter (Male, not Young)", "has=Male&not=Young"),
            ("filter by an expression", "where=Smiling and split != 'train'"),
            ("sort by loss of all", "sort=loss"),
            ("sort by prediction", "sort=prediction&a=Eyeglasses"),
            ("sort by suspicion, the first time", "sort=suspicion"),
            ("sort by suspicion, then", "sort=suspicion&a=Male"),
        ):
            action = f"""history.pushState(null, "", "?{query}");
              dispatchEvent(new Event("popstate"));
              document.body.classList.add("busy")"""
            print(f"  {what:34} {wait(seen, action):14.0f} ms", flush=True)
        print(f"  page: {heap(page):,.1f} MB of JavaScript, {resident(browser):,.0f} MB in all")
        print(f"  server: {memory(process)}")
        assert not seen.errors, seen.errors


def heap(page: Any) -> float:
    """What JavaScript of the page holds, MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def resident(browser: Any) -> float:
    """What the process of the page holds, MB; most of it is Chromium's own code and pictures."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pages = [each["id"] for each in told if each["type"] == "renderer"]
    return max(float(psutil.Process(page).memory_info().rss) for page in pages) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=sum(SHARES.values()))
    parser.add_argument("--jumps", type=int, default=50)
    arguments = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on this machine: nothing measured")
        return
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        make(work, arguments.samples)
        size = sum(path.stat().st_size for path in (work / "data/synthetic/shards").iterdir())
        print(f"{arguments.samples:,} samples, {size / 1e9:.2f} GB of shards")
        for what in ("first start", "next start"):
            with serving(work, work / "fresh") as (url, process, seconds):
                print(f"{what}: {seconds:.1f} s; server: {memory(process)}")
                if what == "next start":
                    measure(url, process, arguments.jumps)


if __name__ == "__main__":
    main()
