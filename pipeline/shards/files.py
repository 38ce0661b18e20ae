"""The tars of a split as open files: those of this disk where they lie, others from a cache.

A remote shard (its folder is a UPath, such as s3://bucket/shards) is fetched whole when a sample
of it is first wanted. Its sha256 must be the index's and becomes its name in the cache, so no
other run, process or folder fetches it again. Nothing is removed from the cache but by hand.
"""

import errno
import os
import resource
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.errors import PipelineError
from pipeline.files import cache_folder, is_remote, new_file, sha256_of
from pipeline.shards.tar import Shard

FETCHES = 8
"""Shards that are fetched at a time."""

ATTEMPTS = 3
"""Times that a shard is fetched before its failure ends the run."""

MOST_FILES = 10_240
"""Files that the process may hold open: what macOS grants at most, where 256 are usual."""


class ShardFiles:
    """Shards of a folder by number.

    Raises PipelineError where a shard is missing or of another size. Remote ones are only looked
    for.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        self.paths = [folder / shard.name for shard in shards]
        self._shards = shards
        self._files: list[int | None] = [None] * len(shards)
        self._coming: dict[int, Future[None]] = {}
        self._pool = ThreadPoolExecutor(FETCHES, "fetch")
        find = self._find_remote if is_remote(folder) else self._open_local
        _allow_many_files()
        try:
            for _ in self._pool.map(find, range(len(shards))):
                pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files, after the shards that are being fetched."""
        self._pool.shutdown(cancel_futures=True)
        for file in self._files:
            if file is not None:
                os.close(file)
        self._files = []

    def want(self, shards: Iterable[int]) -> None:
        """Begin to fetch those of the shards that are not here."""
        for shard in shards:
            if self._files[shard] is None and shard not in self._coming:
                self._coming[shard] = self._pool.submit(self._fetch, shard)

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Bytes of a shard; waits until it is here. Raises PipelineError if it cannot be had."""
        file = self._files[shard]
        if file is None:
            self.want([shard])
            self._coming[shard].result()
            file = self._files[shard]
            assert file is not None
        return os.pread(file, length, offset)

    def _open_local(self, shard: int) -> None:
        path = self.paths[shard]
        try:
            self._open(shard, path)
        except OSError as error:
            mend = "copy it again or run `pipeline shard`"
            if error.errno in (errno.EMFILE, errno.ENFILE):
                mend = "raise the limit (`ulimit -n`), or make larger shards (shards.samples)"
            raise PipelineError(f"{path} cannot be read ({error.strerror}); {mend}.") from error

    def _open(self, shard: int, path: Path) -> None:
        # A pipe of that name would be waited for.
        file = self._files[shard] = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise PipelineError(f"{path} is no plain file; run `pipeline shard` again.")
        self._compare_size(shard, found.st_size)

    def _compare_size(self, shard: int, size: int | None) -> None:
        expected = self._shards[shard].bytes
        if size not in (None, expected):
            raise PipelineError(
                f"{self.paths[shard]} has {size:,} bytes, not the {expected:,} of its index: it was"
                " cut off or changed; copy it again or run `pipeline shard`."
            )

    def _target(self, shard: int) -> Path:
        return cache_folder("shards") / f"{self._shards[shard].sha256}.tar"

    def _is_cached(self, shard: int) -> bool:
        target = self._target(shard)
        return target.exists() and target.stat().st_size == self._shards[shard].bytes

    def _find_remote(self, shard: int) -> None:
        path: Any = self.paths[shard]  # a UPath
        if self._is_cached(shard):
            self._open(shard, self._target(shard))
            return
        try:
            info = path.fs.info(path.path)
        except Exception as error:  # each file system raises its own
            raise PipelineError(f"{path} cannot be found ({error!r}).") from error
        self._compare_size(shard, info.get("size"))

    def _fetch(self, shard: int) -> None:
        target = self._target(shard)
        with FileLock(f"{target}.lock"):  # among the processes of this machine
            for attempt in range(1, ATTEMPTS + 1):
                if self._is_cached(shard):
                    break
                try:
                    self._fetch_to(shard, target)
                except PipelineError:
                    if attempt == ATTEMPTS:
                        raise
        self._open(shard, target)

    def _fetch_to(self, shard: int, target: Path) -> None:
        path: Any = self.paths[shard]  # a UPath
        with new_file(target) as partial:
            try:
                path.fs.get_file(path.path, str(partial))
            except Exception as error:
                raise PipelineError(f"{path} cannot be fetched ({error!r}).") from error
            if sha256_of(partial) != self._shards[shard].sha256:
                raise PipelineError(
                    f"{path} is not the shard that index.json describes (its sha256 differs);"
                    " upload it again, with the index."
                )


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MOST_FILES:
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
