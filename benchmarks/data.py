"""Packing crops into shards: ours, its peers, and the codec alone, on the same cores.

    python benchmarks/data.py [--images 20000] [--runs 3] [--workers 2] [--raw FOLDER]

Every writer reads the same raw parquet of synthetic faces, cuts the centre 178 x 178 and stores
it as JPEG (quality 95, 4:2:0) with its labels, in shards of 1,000. Every writer runs in as many
processes as there are workers, each with its part of the shards; imports are not counted. The
limit decodes, crops and encodes what lies in memory and writes nothing: no writer with that codec
can be faster. The last row is what a user sees: one call of `write_shards`, with the start of its
workers, their imports and the index. Quoted are medians over the runs, in which the writers take
turns; the peak is that of a worker.

Peers that are not installed are left out (pip install webdataset litdata datasets). MosaicML's
package pins other versions: run this once more with the Python of an environment that holds
mosaicml-streaming and what ours needs to pack; the limit makes the two tables comparable.
The statistics are measured by `annotations.py`, drawing faces by `portraits.py`.
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

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.crops import crop_portrait
from pipeline.packing.pack import pack_shard, read_samples
from pipeline.packing.plan import ShardSettings, ShardTask, plan_shards
from pipeline.packing.write import write_shards
from pipeline.shards.sample import unpack_labels

CROP = CropSettings(178)
SETTINGS = ShardSettings(CROP, samples=1000)
Tasks = list[ShardTask]
Measured = tuple[float, float, float]
"""Images a second, CPU microseconds an image, peak MB of a worker."""

LIMIT, PILLOW, WHOLE = "codec alone (limit)", "webdataset + Pillow", "ours, whole call"


def rows(tasks: Tasks) -> Iterator[tuple[str, bytes, list[int]]]:
    """Key, image bytes and labels of all rows of the tasks."""
    for task in tasks:
        for sample in read_samples(task):
            [labels] = unpack_labels([sample.labels], len(task.labels))
            yield sample.key, bytes(sample.image), labels.astype(int).tolist()


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
    def work() -> None:
        for task in tasks:
            pack_shard(task)

    return work


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
    LIMIT: codec_alone,
    "ours": ours,
    PILLOW: webdataset_writer(pillow_crop),
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
    answers.put((time.process_time() - start, peak_memory()))


def peak_memory() -> float:
    """Of this process, MB. On Linux getrusage counts what its parent had before it began, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, raw: Path, workers: int, place: Path) -> Measured | str:
    """What a writer takes, or why there is none."""
    folder = place / "out"
    folder.mkdir()
    tasks = plan_shards(raw, folder, SETTINGS)
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(workers + 1), spawn.Queue()
    processes = [
        spawn.Process(
            target=worker, args=(name, tasks[i::workers], folder / str(i), barrier, answers)
        )
        for i in range(workers)
    ]
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


def whole_call(raw: Path, workers: int, folder: Path, answers: Any) -> None:
    """`write_shards` in a process of its own, so that its workers alone are its children."""
    start = time.perf_counter()
    index = write_shards(raw, folder, SETTINGS, workers=workers)
    images, seconds = sum(index.counts.values()), time.perf_counter() - start
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, children))
    answers.put((images / seconds, cpu / images * 1e6, children.ru_maxrss / 1024))


def measure_whole(raw: Path, workers: int, place: Path) -> Measured:
    """What a user sees, from the call to the index."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=whole_call, args=(raw, workers, place / "whole", answers))
    process.start()
    got: Measured = answers.get()
    process.join()
    shutil.rmtree(place / "whole")
    return got


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
    from pipeline.dataset.raw_writer import write_raw
    from pipeline.sources.synthetic.source import SyntheticSource

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        raw = options.raw or place / "raw"
        if not options.raw:
            write_raw(SyntheticSource(options.images, 1, 1, seed=0), raw)
        results: dict[str, list[Measured]] = {name: [] for name in (*WRITERS, WHOLE)}
        missing: dict[str, str] = {}
        for _ in range(options.runs):
            for writer in [name for name in WRITERS if name not in missing]:
                got = measure(writer, raw, options.workers, place)
                if isinstance(got, str):
                    missing[writer] = got
                else:
                    results[writer].append(got)
            results[WHOLE].append(measure_whole(raw, options.workers, place))
    medians = {
        writer: [statistics.median(column) for column in zip(*runs, strict=True)]
        for writer, runs in results.items()
        if runs
    }
    limit, pillow = medians[LIMIT], medians.get(PILLOW, [float("nan")] * 3)
    print(f"{'':30}          by the clock            by CPU time")
    print(f"{'writer':30} images/s  limit  Pillow  us/image  limit  Pillow  peak MB")
    for writer, (rate, cpu, peak) in medians.items():
        print(
            f"{writer:30} {rate:8,.0f}  {rate / limit[0]:5.2f}  {rate / pillow[0]:6.2f}"
            f"  {cpu:8,.0f}  {limit[1] / cpu:5.2f}  {pillow[1] / cpu:6.2f}  {peak:7,.0f}"
        )
    for writer, reason in missing.items():
        print(f"{writer:30} left out: {reason}")
    print(f"(shares of the limit, multiples of {PILLOW})")


if __name__ == "__main__":
    main()
