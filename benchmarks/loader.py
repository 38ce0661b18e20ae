"""The loader alone: ours, its peers, and the codec by itself, on the same cores.

    python benchmarks/loader.py [--images 20000] [--runs 3] [--shards FOLDER]

Every reader gives the same synthetic faces (178 px, JPEG of quality 95, 4:2:0) as shuffled
batches of 64, uint8 [64, 178, 178, 3], with their labels; nothing is done with them. The limit
decodes the same bytes from memory, in as many threads as there are cores. A time is that of a
whole epoch, the start of worker processes included, imports not; CPU time is that of all
processes. Each peer is tried without workers, with one a core and with two a core; its best
setting is kept. Peers are measured with Pillow, which is what their users get, and with our
codec. Those not installed are left out. Quoted are medians over the runs, in which the readers
take turns. The last lines are the peak memory of our process by the number of samples.
"""

import argparse
import io
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from pipeline.dataset.codec import CropSettings
from pipeline.dataset.raw_writer import write_raw
from pipeline.engines import available_cpus
from pipeline.files import write_json
from pipeline.packing.plan import ShardSettings
from pipeline.packing.write import write_shards
from pipeline.shards.index import read_index
from pipeline.shards.order import cut, epoch_order
from pipeline.shards.read import ShardReader
from pipeline.sources.synthetic.source import SyntheticSource

SIZE = 178
BATCH = 64
CORES = available_cpus()

Decode = Callable[[bytes], np.ndarray]
Epoch = Callable[[], int]
"""Reads every sample once; returns how many."""


def with_pillow(data: bytes) -> np.ndarray:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def with_our_codec(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data)


def samples(shards: Path) -> Iterator[tuple[str, bytes, list[int]]]:
    """Key, image bytes and labels of the split train."""
    with ShardReader(shards, "train") as reader:
        labels = reader.labels().values.astype(int)
        for row, key in enumerate(reader.read_keys()):
            yield key, reader.encoded(row), labels[row].tolist()


def count(batches: Iterable[Any]) -> int:
    """How many images the batches hold."""
    total = 0
    for batch in batches:
        images = batch[0] if isinstance(batch, list | tuple) else batch["image"]
        assert images.shape[1:] == (SIZE, SIZE, 3)
        total += len(images)
    return total


def codec_alone(shards: Path, copy: Path, workers: int) -> Epoch:
    images = [data for _, data, _ in samples(shards)]

    def work(part: list[bytes]) -> None:
        buffer = np.empty((SIZE, SIZE, 3), np.uint8)
        for data in part:
            simplejpeg.decode_jpeg(data, "RGB", buffer=buffer)

    def epoch() -> int:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, [images[i::workers] for i in range(workers)]))
        return len(images)

    return epoch


def ours(shards: Path, copy: Path, workers: int) -> Epoch:
    reader = ShardReader(shards, "train", threads=workers)

    def epoch() -> int:
        parts = cut(epoch_order(len(reader), 0, 0), BATCH)
        return sum(len(batch.images) for batch in reader.batches(parts))

    return epoch


def folder(decode: Decode) -> Callable[[Path, Path, int], Epoch]:
    def prepare(shards: Path, copy: Path, workers: int) -> Epoch:
        import torch

        class Folder(torch.utils.data.Dataset):
            def __init__(self) -> None:
                self.labels = json.loads((copy / "labels.json").read_text())
                self.names = list(self.labels)

            def __len__(self) -> int:
                return len(self.names)

            def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
                data = (copy / self.names[i]).read_bytes()
                labels = torch.tensor(self.labels[self.names[i]], dtype=torch.bool)
                return torch.from_numpy(decode(data)), labels

        loader = torch.utils.data.DataLoader(Folder(), BATCH, shuffle=True, num_workers=workers)
        return lambda: count(loader)

    return prepare


def copy_folder(shards: Path, copy: Path) -> None:
    labels = {}
    for key, data, ones in samples(shards):
        (copy / f"{key}.jpg").write_bytes(data)
        labels[f"{key}.jpg"] = ones
    (copy / "labels.json").write_text(json.dumps(labels))


def webdataset(decode: Decode) -> Callable[[Path, Path, int], Epoch]:
    def prepare(shards: Path, copy: Path, workers: int) -> Epoch:
        import torch
        import webdataset

        def both(sample: dict[str, bytes]) -> tuple[torch.Tensor, torch.Tensor]:
            labels = torch.tensor(json.loads(sample["json"])["attributes"], dtype=torch.bool)
            return torch.from_numpy(decode(sample["jpg"])), labels

        tars = [str(path) for path in sorted(shards.glob("train-*.tar"))]
        dataset = webdataset.WebDataset(tars, shardshuffle=len(tars)).shuffle(1000).map(both)
        loader = webdataset.WebLoader(
            dataset.batched(BATCH), batch_size=None, num_workers=min(workers, len(tars))
        )
        return lambda: count(loader)

    return prepare


def litdata(shards: Path, copy: Path, workers: int) -> Epoch:
    import torch
    from litdata import StreamingDataLoader, StreamingDataset

    class Faces(StreamingDataset):
        def __getitem__(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
            sample = super().__getitem__(index)
            labels = torch.tensor(sample["labels"], dtype=torch.bool)
            return torch.from_numpy(with_our_codec(sample["jpg"])), labels

    loader = StreamingDataLoader(
        Faces(str(copy), shuffle=True), batch_size=BATCH, num_workers=workers, shuffle=True
    )
    return lambda: count(loader)


def copy_litdata(shards: Path, copy: Path) -> None:
    from litdata.streaming.cache import Cache

    cache = Cache(str(copy), chunk_bytes="16MB")
    for i, (_, data, labels) in enumerate(samples(shards)):
        cache[i] = {"jpg": data, "labels": labels}
    cache.done()
    cache.merge()


def mds(shards: Path, copy: Path, workers: int) -> Epoch:
    import torch
    from streaming import StreamingDataset

    class Faces(StreamingDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            sample = super().__getitem__(index)
            labels = torch.tensor(json.loads(sample["json"]), dtype=torch.bool)
            return torch.from_numpy(with_our_codec(sample["jpg"])), labels

    dataset = Faces(local=str(copy), shuffle=True, batch_size=BATCH)
    loader = torch.utils.data.DataLoader(dataset, BATCH, num_workers=workers)
    return lambda: count(loader)


def copy_mds(shards: Path, copy: Path) -> None:
    from streaming import MDSWriter

    columns = {"jpg": "bytes", "json": "bytes"}
    with MDSWriter(out=str(copy), columns=columns, size_limit=1 << 24) as sink:
        for _, data, labels in samples(shards):
            sink.write({"jpg": data, "json": json.dumps(labels).encode()})


class Reader(NamedTuple):
    """A way to read; `prepare` runs in the measured process, `copy` once before."""

    prepare: Callable[[Path, Path, int], Epoch]
    workers: tuple[int, ...] = (0, CORES, 2 * CORES)
    copy: Callable[[Path, Path], None] | None = None
    hint: str = ""


LIMIT, OURS = "codec alone (limit)", "ours"
READERS = {
    LIMIT: Reader(codec_alone, (CORES,)),
    OURS: Reader(ours, (CORES,)),
    "folder + Pillow": Reader(folder(with_pillow), copy=copy_folder),
    "folder + simplejpeg": Reader(folder(with_our_codec), copy=copy_folder),
    "webdataset + Pillow": Reader(webdataset(with_pillow), hint="; pip install webdataset"),
    "webdataset + simplejpeg": Reader(webdataset(with_our_codec), hint="; pip install webdataset"),
    "litdata + simplejpeg": Reader(litdata, copy=copy_litdata, hint="; pip install litdata"),
    "MosaicML + simplejpeg": Reader(mds, copy=copy_mds, hint="; pip install mosaicml-streaming"),
}


class Measured(NamedTuple):
    rate: float
    """Images a second."""

    cpu: float
    """Microseconds of all processes an image."""

    peak: float
    """Of the main process, MB."""


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns in a fresh process, or the exception that it ended with."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=_answer, args=(answers, function, *arguments))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def _answer(answers: Any, function: Callable[..., Any], *arguments: Any) -> None:
    warnings.simplefilter("ignore")
    multiprocessing.set_start_method("fork", force=True)  # what the peers' workers expect
    try:
        answers.put(function(*arguments))
    except Exception as error:
        answers.put(RuntimeError(f"{type(error).__name__}: {error}"))


def measure(name: str, shards: Path, copy: Path, workers: int) -> Measured:
    """An epoch of a reader in this process."""
    epoch = READERS[name].prepare(shards, copy, workers)
    before, start = _cpu(), time.perf_counter()
    images = epoch()
    seconds = time.perf_counter() - start
    return Measured(images / seconds, (_cpu() - before) / images * 1e6, _peak())


def _cpu() -> float:
    """Seconds of this process and of those that it started and that ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> float:
    """The most memory that this process held, MB; on Linux since it was started itself."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def write_copy(name: str, shards: Path, copy: Path) -> None:
    """What a reader needs besides the shards."""
    copy.mkdir(parents=True)
    if make := READERS[name].copy:
        make(shards, copy)


def repeat_shards(shards: Path, images: int, where: Path) -> None:
    """A shard folder of `images` samples: the rows of another's train over and over."""
    index = read_index(shards)
    table = pq.read_table(shards / "index.parquet")
    table = table.filter(pa.compute.field("split") == "train")
    records, tables, rows = [], [], 0
    where.mkdir()
    while rows < images:
        again = table.slice(0, images - rows)
        for column in ("key", "shard"):
            place = again.column_names.index(column)
            names = [f"{len(tables)}-{name}" for name in again[column].to_pylist()]
            again = again.set_column(place, column, pa.array(names))
        for shard in index.shards["train"]:
            name = f"{len(tables)}-{shard.name}"
            (where / name).symlink_to((shards / shard.name).resolve())
            records.append({**asdict(shard), "name": name})
        tables.append(again)
        rows += len(again)
    pq.write_table(pa.concat_tables(tables), where / "index.parquet")
    write_json(where / "index.json", {**index.model_dump(), "shards": {"train": records}})


def main() -> None:
    """Draw the faces, let the readers take turns, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shards", type=Path, help="shards to use instead of drawing faces")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        shards = options.shards or place / "shards"
        if not options.shards:
            write_raw(SyntheticSource(options.images, 1, 1, seed=0), place / "raw")
            write_shards(place / "raw", shards, ShardSettings(CropSettings(SIZE), 1000))
        results: dict[str, dict[int, list[Measured]]] = {}
        missing: dict[str, str] = {}
        for name, reader in READERS.items():
            results[name] = {workers: [] for workers in reader.workers}
            failed = apart(write_copy, name, shards, place / name)
            if isinstance(failed, Exception):
                missing[name] = str(failed)
        for run in range(options.runs):
            for name, settings in results.items():
                if run:
                    best = max(
                        settings, key=lambda w: max((m.rate for m in settings[w]), default=0)
                    )
                for workers, runs in settings.items():
                    if name not in missing and (not run or workers == best):
                        got = apart(measure, name, shards, place / name, workers)
                        if isinstance(got, Exception):
                            missing[name] = str(got)
                        else:
                            runs.append(got)
        _print(results, missing)
        for images in (5_000, 50_000):
            where = place / str(images)
            repeat_shards(shards, images, where)
            got = apart(measure, OURS, where, place, CORES)
            print(f"{OURS}, an epoch of {images:6,} samples: peak {got.peak:,.0f} MB")


def _best(settings: dict[int, list[Measured]]) -> int:
    """The number of workers that was fastest in the first run."""
    return max(settings, key=lambda workers: settings[workers][0].rate)


def _print(results: dict[str, dict[int, list[Measured]]], missing: dict[str, str]) -> None:
    limit = statistics.median(m.rate for m in results[LIMIT][CORES])
    print(f"{'reader':25} images/s  of limit  CPU us/image  workers (of those tried)")
    for name, settings in results.items():
        if name in missing:
            print(f"{name:25} left out: {missing[name]}{READERS[name].hint}")
            continue
        workers = _best(settings)
        rate, cpu, _ = (statistics.median(c) for c in zip(*settings[workers], strict=True))
        print(
            f"{name:25} {rate:8,.0f}  {rate / limit:8.2f}  {cpu:12,.0f}"
            f"  {workers} ({', '.join(map(str, settings))})"
        )


if __name__ == "__main__":
    main()
