"""The parquet files of a dataset on the Hugging Face Hub, at a pinned revision.

The Hub tells each file's size and sha256; files come several at once into a cache folder, are
continued where an earlier run stopped, and count only if both agree.
"""

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pipeline.errors import PipelineError, one_line
from pipeline.files import sha256_of, write_json
from pipeline.progress import Progress
from pipeline.reading import parse_json, read_plain
from pipeline.vocabulary import SPLITS

FILES_AT_ONCE = 4

LARGEST_FOOTER = 16 << 20
"""Bytes of a footer that is fetched."""

FOOTER = 1 << 16
"""Bytes at the end of a parquet file in which its footer is looked for first."""

ATTEMPTS = 5
"""Failures in a row, without a byte between them, after which the Hub is given up."""

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled each time, unless the Hub asks for another pause."""

LONGEST_PAUSE = 300
"""Seconds. The Hub counts requests in windows of five minutes."""

_SPLIT_OF = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
_PARQUET = re.compile(
    rf"(?P<folder>(?:.*/)?)(?P<split>{'|'.join(_SPLIT_OF)})(?:[-_./].*)?\.parquet"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")

T = TypeVar("T")


class HubFile(NamedTuple):
    """A file as the Hub lists it."""

    name: str
    bytes: int
    sha256: str


class Hub:
    """The parquet files of one dataset at one revision, fetched into a folder of the cache.

    `hf_hub_download` begins a file anew in every process and checks no hash, so the bytes are
    fetched here, with the client's session, tokens, redirects and errors.
    """

    def __init__(self, repo: str, revision: str, cache: Path | None) -> None:
        self.repo, self._revision = repo, revision
        # From the environment, not from the client, which reads it when it is first imported.
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
        self._stop = threading.Event()
        with self._plain_errors():
            from huggingface_hub import cached_assets_path
            from huggingface_hub.utils import validate_repo_id

            validate_repo_id(repo)
            self._folder = cached_assets_path("face-attributes", repo, assets_dir=cache)
            listing = self._kept_listing() or self._patiently(self._asked_listing)
            self.commit, self.licence = listing["commit"], listing["licence"]
            self.files = {s: [HubFile(*file) for file in listing["files"][s]] for s in SPLITS}

    def path(self, file: HubFile) -> Path:
        return self._folder / f"{file.sha256}.parquet"

    def _kept_listing(self) -> dict[str, Any] | None:
        """What an earlier run was told: a commit never changes, unlike a branch."""
        kept = self._folder / f"{self._revision}.json"
        if not _COMMIT.fullmatch(self._revision) or not kept.is_file():
            return None
        return parse_json(read_plain(kept))

    def _asked_listing(self) -> dict[str, Any]:
        from huggingface_hub import HfApi, constants

        hub, timeout = HfApi(endpoint=self.endpoint), constants.HF_HUB_DOWNLOAD_TIMEOUT
        try:
            info = hub.dataset_info(
                self.repo, revision=self._revision, files_metadata=True, timeout=timeout
            )
            if not _COMMIT.fullmatch(info.sha or ""):  # it becomes a file name
                raise TypeError("no commit")
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise PipelineError(
                f"{self.endpoint} does not answer like the Hub ({one_line(error)}); check"
                " HF_ENDPOINT, and whether this network asks for a login first."
            ) from error
        card: Any = info.card_data or {}
        listing = {
            "commit": info.sha,
            "licence": card.get("license_name") or card.get("license"),
            "files": self._by_split(info.siblings or []),
        }
        write_json(self._folder / f"{info.sha}.json", listing)
        return listing

    def _by_split(self, siblings: list[Any]) -> dict[str, list[HubFile]]:
        """The files of each split in the first folder (a configuration) that has all three."""
        folders: dict[str, dict[str, list[HubFile]]] = {"": {split: [] for split in SPLITS}}
        for sibling in sorted(siblings, key=lambda sibling: sibling.rfilename):
            match = _PARQUET.fullmatch(sibling.rfilename)
            if match is None:
                continue
            if sibling.lfs is None or not re.fullmatch("[0-9a-f]{64}", sibling.lfs.sha256):
                raise PipelineError(
                    f"{self.repo}: the Hub gives no sha256 of {sibling.rfilename}, so it cannot"
                    " be checked; choose another sources.hub.repo or revision."
                )
            splits = folders.setdefault(match["folder"], {split: [] for split in SPLITS})
            file = HubFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)
            splits[_SPLIT_OF[match["split"]]].append(file)
        best = max(folders.values(), key=lambda splits: sum(map(bool, splits.values())))
        missing = [f"{split}-*.parquet" for split, files in best.items() if not files]
        if missing:
            raise PipelineError(
                f"{self.repo} holds no {' and no '.join(missing)} at {self._revision}; set"
                " sources.hub.repo to a CelebA with the splits train, valid and test."
            )
        return best

    def fetch(self, check: Callable[[HubFile, bytes], None] | None = None) -> None:
        """Make every file present and right. Raises PipelineError where that cannot be.

        Before anything is fetched, `check` gets a missing file and its end, with the parquet
        footer, and may refuse it.
        """
        files = [file for files in self.files.values() for file in files]
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            right = list(pool.map(self._is_right, map(self.path, files), files))
        wanting = zip(files, right, strict=True)
        missing = list({f.sha256: f for f, is_right in wanting if not is_right}.values())
        if not missing:
            return
        if check and (end := self._end_of(missing[0])):
            check(missing[0], end)
        needed = sum(file.bytes - _size(self._partial(file)) for file in missing)
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise PipelineError(
                f"{self.repo} needs {needed / 1e9:,.2f} GB more in {self._folder} and the disk has"
                f" {free / 1e9:,.2f} GB free; make room or set HF_HOME to a folder on a larger one."
            )
        with Progress("fetch", needed, "bytes") as done, ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            lock = threading.Lock()

            def moved(size: int) -> None:
                with lock:
                    done(size)

            futures = [pool.submit(self._fetch_one, file, moved) for file in missing]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:  # Ctrl-C too: the other files stop where they are
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _end_of(self, file: HubFile) -> bytes:
        """The end of a file, with all of its footer; empty where only whole files are to be had."""
        size = min(FOOTER, file.bytes)
        with self._plain_errors():
            end = self._patiently(lambda: self._range(file, file.bytes - size))
            needed = 8 + int.from_bytes(end[-8:-4], "little")  # the footer, its length, PAR1
            if end[-4:] == b"PAR1" and size < needed <= min(file.bytes, LARGEST_FOOTER):
                end = self._patiently(lambda: self._range(file, file.bytes - needed))
        return end

    def _range(self, file: HubFile, first: int) -> bytes:
        """The bytes from `first` on; none where a proxy or mirror answers with something else."""
        from huggingface_hub.utils import hf_raise_for_status

        with self._asked(file, f"bytes={first}-{file.bytes - 1}") as response:
            hf_raise_for_status(response)
            end, most = b"", file.bytes - first
            for piece in response.iter_bytes() if response.status_code == 206 else ():
                end += piece
                if len(end) > most:  # whoever answers does not end
                    return b""
            return end

    def _asked(self, file: HubFile, part: str | None) -> Any:
        """The answer to a request for a file, or for a part of it, as a context."""
        from huggingface_hub import constants, get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(
            self.repo, file.name, repo_type="dataset", revision=self.commit, endpoint=self.endpoint
        )
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if part:
            headers["Range"] = part
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        return get_session().stream("GET", url, headers=headers, timeout=timeout)

    def _partial(self, file: HubFile) -> Path:
        return self._folder / f"{file.sha256}.partial"

    def _is_right(self, path: Path, file: HubFile) -> bool:
        return _size(path) == file.bytes and sha256_of(path) == file.sha256

    def _fetch_one(self, file: HubFile, moved: Callable[[int], None]) -> None:
        from huggingface_hub.utils import WeakFileLock

        partial = self._partial(file)
        with self._plain_errors(), WeakFileLock(partial.with_suffix(".lock")):
            for _ in range(2):
                if self._is_right(self.path(file), file):  # another process had the lock
                    return
                self._patiently(lambda: self._continue(file, moved), lambda: _size(partial))
                if self._is_right(partial, file):
                    os.replace(partial, self.path(file))
                    return
                if self._stop.is_set():
                    return
                moved(-_size(partial))
                partial.unlink()
        raise PipelineError(
            f"{self.repo}: {file.name} came twice with another content than the Hub's sha256"
            f" {file.sha256[:12]} tells; a proxy or mirror may have changed it, so try another"
            " network or HF_ENDPOINT."
        )

    def _continue(self, file: HubFile, moved: Callable[[int], None]) -> None:
        """Append what the partial file lacks."""
        import httpx2
        from huggingface_hub.utils import hf_raise_for_status

        partial = self._partial(file)
        have = _size(partial)
        if have >= file.bytes:
            return
        with self._asked(file, f"bytes={have}-" if have else None) as response:
            hf_raise_for_status(response)
            continued = response.status_code == 206
            moved(0 if continued else -have)
            with partial.open("ab" if continued else "wb") as out:
                for piece in response.iter_bytes():
                    out.write(piece)
                    moved(len(piece))
                    if self._stop.is_set() or out.tell() > file.bytes:
                        return
        if _size(partial) < file.bytes:
            raise httpx2.RemoteProtocolError(f"{file.name} ended early")

    def _patiently(self, action: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """The result of `action`, tried again after cut connections and refusals that pass.

        `progress` is what has been reached; where it grew, the count of failures begins anew.
        """
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        failures, reached = 0, progress()
        while True:
            try:
                return action()
            except (httpx2.TransportError, HfHubHTTPError) as error:
                if progress() > reached:
                    failures, reached = 0, progress()
                failures += 1
                response = getattr(error, "response", None)
                passes = response is None or response.status_code in (408, 429, 500, 502, 503, 504)
                if failures == ATTEMPTS or not passes:
                    raise
                pause = FIRST_PAUSE * 2.0 ** (failures - 1)
                if response is not None:
                    pause = min(_asked_pause(response.headers, pause), LONGEST_PAUSE)
                if self._stop.wait(pause):
                    raise

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """One sentence for whatever the client, the network or the disk raises."""
        import httpx2
        from huggingface_hub.errors import HFValidationError

        try:
            yield
        except (HFValidationError, httpx2.RequestError, OSError) as error:
            raise PipelineError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        import httpx2
        from huggingface_hub import errors

        match error:
            case errors.HFValidationError():
                return f"{self.repo!r} is no dataset name; set sources.hub.repo to OWNER/NAME."
            case errors.HfHubHTTPError():
                return self._refusal(error, error.response.status_code)
            case errors.OfflineModeIsEnabled():
                return (
                    f"{self.repo} is not wholly in the cache and HF_HUB_OFFLINE forbids the"
                    " network; unset it and run again."
                )
            case httpx2.RequestError():
                return (
                    f"{self.endpoint} cannot be reached ({one_line(error)}); check the network,"
                    " or set HF_ENDPOINT to a mirror, and run again: what has arrived is kept."
                )
        reason = getattr(error, "strerror", None) or one_line(error)
        return (
            f"{self.repo} cannot be kept in {self._folder} ({reason}); make room there or set"
            " HF_HOME to another folder, and run again: what has arrived is kept."
        )

    def _refusal(self, error: Exception, status: int) -> str:
        from huggingface_hub import errors

        page = f"{self.endpoint}/datasets/{self.repo}"
        login = "log in with `hf auth login` or set HF_TOKEN"
        if isinstance(error, errors.GatedRepoError) or status == 403:
            return f"{page} is gated; accept its terms there, then {login}."
        if isinstance(error, errors.RevisionNotFoundError):
            return (
                f"{page} has no revision {self._revision}; set sources.hub.revision to one of its"
                " commits."
            )
        if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
            return f"{page} does not exist or is private; check sources.hub.repo, or {login}."
        return (
            f"{page} is refused with {status} ({one_line(error)[:120]}); run again later: what"
            " has arrived is kept."
        )


def _asked_pause(headers: Mapping[str, str], default: float) -> float:
    """Seconds that a refusal asks to wait."""
    from huggingface_hub.utils import parse_ratelimit_headers

    if (after := headers.get("Retry-After", "")).isdigit():
        return float(after)
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else default


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
