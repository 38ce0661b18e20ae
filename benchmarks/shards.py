"""Packing crops into shards: ours, its peers, and the codec alone, on the same cores.

    python benchmarks/shards.py [--images 20000] [--runs 3] [--workers 2]

Every writer reads the same raw parquet of synthetic faces, cuts the centre 178 x 178 and stores
it as JPEG (quality 95, 4:2:0) with its labels, in shards of 1,000. Every writer runs in as many
processes as there are workers, each with its part of the shards; imports are not counted. The
limit decodes, crops and encodes what lies in memory and writes nothing. Peers that are not
installed are left out (pip install webdataset litdata mosaicml-streaming datasets). Quoted are
medians over the runs, in which the writers take turns.
"""

import argparse
import io
import json
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codec import CropSettings
from pipeline.crops import crop_portrait
from pipeline.packing import ShardTask, _read_rows, pack_shard
from pipeline.raw import write_raw
from pipeline.shards import plan_shards
from pipeline.sources.synthetic import SyntheticSource

CROP = CropSettings(178)
Tasks = list[ShardTask]


def rows(tasks: Tasks) -> Iterator[tuple[str, bytes, list[int]]]:
    """Key, image bytes and labels of all rows of the tasks."""
    for task in tasks:
        for _, name, data, _, labels in _read_rows(task):
            yield name.removesuffix(".jpg"), data, labels.astype(int).tolist()


def pillow_crop(data: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    image = Image.open(io.BytesIO(data)).convert("RGB").crop((0, 20, 178, 198))
    image.save(out, "JPEG", quality=95, subsampling=2)
    return out.getvalue()


def codec_alone(tasks: Tasks, folder: Path) -> Callable[[], None]:
    images = [data for _, data, _ in rows(tasks)]

    def work() -> None:
        for data in images:
            crop_portrait(data, CROP)

    return work


def ours(tasks: Tasks, folder: Path) -> Callable[[], None]:
    return lambda: [pack_shard(task) for task in tasks] and None


def webdataset_writer(crop: Callable[[bytes], bytes]) -> Callable[[Tasks, Path], Any]:
    def prepare(tasks: Tasks, folder: Path) -> Callable[[], None]:
        import webdataset

        def work() -> None:
            pattern = str(folder / "shard-%06d.tar")
            with webdataset.ShardWriter(pattern, maxcount=1000, verbose=0) as sink:
                for key, data, labels in rows(tasks):
                    sink.write({"__key__": key, "jpg": crop(data), "json": {"attributes": labels}})

        return work

    return prepare


def mds(tasks: Tasks, folder: Path) -> Callable[[], None]:
    from streaming import MDSWriter

    def work() -> None:
        columns = {"key": "str", "jpg": "bytes", "json": "bytes"}
        with MDSWriter(out=str(folder / "mds"), columns=columns, size_limit=1 << 24) as sink:
            for key, data, labels in rows(tasks):
                text = json.dumps({"attributes": labels}).encode()
                sink.write({"key": key, "jpg": crop_portrait(data, CROP), "json": text})

    return work


def litdata(tasks: Tasks, folder: Path) -> Callable[[], None]:
    from litdata.streaming.cache import Cache

    def work() -> None:
        cache = Cache(str(folder / "lit"), chunk_size=1000)
        for i, (key, data, labels) in enumerate(rows(tasks)):
            cache[i] = {"key": key, "jpg": crop_portrait(data, CROP), "labels": labels}
        cache.done()

    return work


def hub_parquet(tasks: Tasks, folder: Path) -> Callable[[], None]:
    import datasets

    datasets.disable_progress_bars()

    def work() -> None:
        features = datasets.Features(
            {
                "key": datasets.Value("string"),
                "image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
                "labels": datasets.Sequence(datasets.Value("int8")),
            }
        )
        writer = datasets.arrow_writer.ParquetWriter(
            path=str(folder / "a.parquet"), features=features
        )
        for key, data, labels in rows(tasks):
            image = {"bytes": crop_portrait(data, CROP), "path": f"{key}.jpg"}
            writer.write({"key": key, "image": image, "labels": labels})
        writer.finalize()

    return work


WRITERS: dict[str, Callable[[Tasks, Path], Callable[[], None]]] = {
    "codec alone (limit)": codec_alone,
    "ours": ours,
    "webdataset + Pillow": webdataset_writer(pillow_crop),
    "webdataset + simplejpeg": webdataset_writer(lambda data: crop_portrait(data, CROP)),
    "MosaicML MDS + simplejpeg": mds,
    "litdata + simplejpeg": litdata,
    "datasets parquet + simplejpeg": hub_parquet,
}


def worker(name: str, tasks: Tasks, folder: Path, barrier: Any, answers: Any) -> None:
    """Prepare, wait for the others, work; answer (seconds of CPU, peak MB) or the reason not to."""
    folder.mkdir(parents=True)
    try:
        work = WRITERS[name](tasks, folder)
    except Exception as error:
        answers.put(str(error))
        barrier.wait()
        return
    barrier.wait()
    start = time.process_time()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put((time.process_time() - start, peak))


def measure(name: str, raw: Path, workers: int, place: Path) -> tuple[float, float, float] | str:
    """(images a second, CPU microseconds an image, peak MB of a worker), or why not."""
    folder = place / "out"
    tasks = plan_shards(raw, folder, CROP, 1000)
    parts = np.array_split(np.arange(len(tasks)), workers)
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(workers + 1), spawn.Queue()
    processes = []
    for i, part in enumerate(parts):
        own = folder if name == "ours" else folder / str(i)
        mine = [tasks[j] for j in part]
        processes.append(
            spawn.Process(target=worker, args=(name, mine, folder / str(i), barrier, answers))
        )
        own.mkdir(parents=True, exist_ok=True) if name == "ours" else None
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    got = [answers.get() for _ in processes]
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    shutil.rmtree(folder)
    if isinstance(got[0], str):
        return got[0]
    images = sum(task.last - task.first for task in tasks)
    return images / seconds, sum(g[0] for g in got) / images * 1e6, max(g[1] for g in got)


def main() -> None:
    """Draw the faces, let the writers take turns, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--raw", type=Path, help="raw parquet to use instead of drawing faces")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        raw = options.raw or place / "raw"
        if not options.raw:
            write_raw(SyntheticSource(options.images, 1, 1, seed=0), raw)
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WRITERS}
        missing: dict[str, str] = {}
        for _ in range(options.runs):
            for writer in WRITERS:
                if writer not in missing:
                    got = measure(writer, raw, options.workers, place)
                    if isinstance(got, str):
                        missing[writer] = got
                    else:
                        results[writer].append(got)
    limit = statistics.median(r[0] for r in results["codec alone (limit)"])
    pillow = results["webdataset + Pillow"]
    base = statistics.median(r[0] for r in pillow) if pillow else float("nan")
    print(f"{'writer':30} images/s  of limit  x webdataset+Pillow  CPU us/image  peak MB")
    for writer, runs in results.items():
        if runs:
            rate, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
            print(
                f"{writer:30} {rate:8,.0f}  {rate / limit:8.2f}  {rate / base:19.2f}"
                f"  {cpu:12,.0f}  {peak:7,.0f}"
            )
        else:
            print(f"{writer:30} left out: {missing[writer]}")


if __name__ == "__main__":
    main()
