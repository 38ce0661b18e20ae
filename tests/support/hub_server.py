"""A stand-in for the Hugging Face Hub on this machine, as far as its own client asks.

Two origins, as in the world: the Hub answers for the listing and redirects a file to the other,
a store, which knows nothing of tokens and sends the bytes. Each request is logged; the next
answers can be given a mood.
"""

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.raw import raw_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Refuse:
    """Answer with an error, as the Hub words it in its headers."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the body, then close the connection."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Send so many bytes of the body, then nothing until `over` is set."""

    after: int
    over: threading.Event


class Flip:
    """Change the last byte of the body."""


class Whole:
    """Ignore a Range header, as some proxies do."""


class Page:
    """Answer with a web page, as the login of a hotel's network does."""


Mood = Refuse | Cut | Stall | Flip | Whole | Page | None


@dataclass(frozen=True)
class Request:
    """A request as it came in; `at` is api, resolve or store, or end for the end of a file."""

    at: str
    method: str
    path: str
    range: str | None
    token: str | None


class HubServer:
    """Serve `files` (name -> content) as the dataset `repo` at COMMIT, also called main.

    Files are given out under a model of that name too.

    `api`, `resolve`, `store` and `end` are the moods of the next answers; None is a good one, and
    when they run out all are good. A request for the end of a file, which names its first and last
    byte, is an `end` wherever it goes.
    """

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        self.repo, self.files = repo, files
        self.log: list[Request] = []
        self.together = 0
        """The most bodies that were under way at once."""
        self.barrier: threading.Barrier | None = None
        self._moods: dict[str, Iterator[Mood]] = {}
        self._under_way = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._servers = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
        self.url, self.store = (f"http://127.0.0.1:{s.server_port}" for s in self._servers)

    def moods(self, at: str, moods: Iterable[Mood]) -> None:
        """Give the next answers of `at` (api, resolve, store or end) these moods."""
        self._moods[at] = iter(moods)

    def requests(self, at: str) -> list[Request]:
        return [request for request in self.log if request.at == at]

    def __enter__(self) -> "HubServer":
        for server in self._servers:
            # Polled often, as closing waits for the next poll.
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def next_mood(self, request: Request) -> Mood:
        with self._lock:
            self.log.append(request)
            return next(self._moods.get(request.at, iter(())), None)

    def body_begins(self) -> None:
        with self._lock:
            self._under_way += 1
            self.together = max(self.together, self._under_way)
        if self.barrier is not None:
            self.barrier.wait(timeout=10)

    def body_ends(self) -> None:
        with self._lock:
            self._under_way -= 1

    def listing(self, with_files: bool) -> dict[str, object]:
        """What `GET /api/datasets/REPO/revision/REVISION` answers, `?blobs=true` for sizes."""
        siblings = []
        for name, content in self.files.items():
            sibling: dict[str, object] = {"rfilename": name}
            if with_files:
                sibling |= {"size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
                if name.endswith(".parquet"):
                    sha256 = hashlib.sha256(content).hexdigest()
                    sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        card = {"license": "other", "license_name": "celeba-dataset-release-agreement"}
        return {
            "id": self.repo,
            "sha": COMMIT,
            "private": False,
            "gated": False,
            "tags": [],
            "downloads": 1,
            "likes": 1,
            "cardData": card,
            "siblings": siblings,
        }


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is no news


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        hub = self.hub
        in_store = self.server is hub._servers[1]
        at = "store" if in_store else "resolve" if "/resolve/" in path else "api"
        headers = self.headers
        if re.fullmatch(r"bytes=\d+-\d+", headers["Range"] or ""):
            at = "end"
        mood = hub.next_mood(
            Request(at, self.command, path, headers["Range"], headers["Authorization"])
        )
        if isinstance(mood, Refuse):
            return self._refuse(mood)
        if isinstance(mood, Page):
            return self._send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        if in_store:
            return self._body(hub.files[path.removeprefix("/")], mood)
        match = re.fullmatch(
            rf"/api/datasets/{hub.repo}/revision/(.+)"
            rf"|(?:/datasets)?/{hub.repo}/resolve/([^/]+)/(.+)",
            path,
        )
        if match is None:
            return self._refuse(Refuse(404, "RepoNotFound"))
        if (match[1] or match[2]) not in (COMMIT, "main"):
            return self._refuse(Refuse(404, "RevisionNotFound"))
        if at == "api":
            listing = hub.listing("blobs" in parse_qs(url.query))
            return self._send(200, json.dumps(listing).encode(), {})
        if match[3] not in hub.files:
            return self._refuse(Refuse(404, "EntryNotFound"))
        content = hub.files[match[3]]
        sha256 = hashlib.sha256(content).hexdigest()
        self._send(
            302,
            b"",
            {
                "Location": f"{hub.store}/{match[3]}",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{sha256}"',
                "ETag": f'"{sha256}"',
            },
        )

    do_HEAD = do_GET

    def _refuse(self, mood: Refuse) -> None:
        code = {"X-Error-Code": mood.code} if mood.code else {}
        self._send(mood.status, b'{"error": "refused"}', {**code, **mood.headers})

    def _body(self, content: bytes, mood: Mood) -> None:
        whole, start = len(content), 0
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if asked and not isinstance(mood, Whole):
            start = int(asked[1])
        if isinstance(mood, Flip):
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        if asked and asked[2] and start:
            cut = mood.after if isinstance(mood, Cut) else None
            return self._send(206, content[start:], headers, cut)
        self.hub.body_begins()
        try:
            cut = mood.after if isinstance(mood, Cut | Stall) else None
            self._send(206 if start else 200, content[start:], headers, cut)
            if isinstance(mood, Stall):
                mood.over.wait()
        finally:
            self.hub.body_ends()

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


REPO = "flwrlabs/celeba"


TRAIN = "img_align+identity+attr/train-00000-of-00002.parquet"


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=10)
    return sink.getvalue().to_pybytes()


def changed(files: dict[str, bytes], change: Callable[[pa.Table], pa.Table]) -> dict[str, bytes]:
    return {
        name: parquet(change(pq.read_table(pa.BufferReader(content))))
        for name, content in files.items()
        if name.startswith(TRAIN.partition("/")[0])
    }


def assert_same(folder: Path, raw: Path) -> None:
    for ours, theirs in zip(
        itertools.chain(*raw_files(folder).values()),
        itertools.chain(*raw_files(raw).values()),
        strict=True,
    ):
        assert pq.read_table(ours).equals(pq.read_table(theirs), check_metadata=True)
