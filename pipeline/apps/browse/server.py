"""The server of the page, for this machine alone: its files, questions and decisions.

Other pages in the same browser can send requests here. They learn nothing, as the headers of the
answers have it, and they change nothing: a decision comes as JSON, from our own origin, with a
token that stands in our page.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pipeline.apps.browse.dataset import Dataset, Fields
from pipeline.apps.browse.decisions import Conflict
from pipeline.apps.server import SiteHandler, SiteServer
from pipeline.dataset.codec import PNG, BadImage
from pipeline.errors import PipelineError
from pipeline.reading import parse_json

WALL: Final = Path(__file__).parents[1] / "wall"

HOST: Final = "127.0.0.1"

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

LARGEST_BODY: Final = 16 << 10
"""Bytes of a decision."""

LONGEST_QUERY: Final = 16 << 10
"""Characters of an address."""

TOKEN: Final = "X-Token"


class BrowseServer(SiteServer):
    """Serves a dataset at 127.0.0.1. Raises PipelineError where the port cannot be had."""

    def __init__(self, dataset: Dataset, port: int) -> None:
        super().__init__(WALL, HOST, port, handler=_Handler)
        self.dataset = dataset
        self.token = secrets.token_urlsafe(24)
        self.files = {
            f"/{path.name}": path.read_bytes() for path in WALL.iterdir() if path.is_file()
        }
        page = self.files.pop("/index.html").replace(b"TOKEN", self.token.encode())
        self.files["/"] = page
        self.questions: dict[str, Callable[[Fields], Any]] = {
            "/api/version": lambda _: dataset.version(),
            "/api/about": lambda _: dataset.about(),
            "/api/order": dataset.order,
            "/api/statistics": dataset.statistics,
            "/api/rows": dataset.rows,
            "/api/sample": dataset.sample,
            "/sprite": dataset.sprite,
            "/crop": dataset.crop,
        }
        self.orders: dict[str, Callable[[Any], Any]] = {
            "/api/decide": dataset.decisions.decide,
            "/api/undo": dataset.decisions.undo,
        }


class _Handler(SiteHandler):
    page_headers = HEADERS
    cache = "no-store"  # faces stay in no browser's cache
    disable_nagle_algorithm = True  # else each small answer waits for the browser
    server: BrowseServer

    def do_GET(self) -> None:
        """A file of the page, or the answer to a question."""
        try:
            address = urlsplit(self.path)
        except ValueError:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of this name.")
            return
        if not self._may_ask(address.path):
            return
        if (data := self.server.files.get(address.path)) is not None:
            ending = Path(address.path).suffix if address.path != "/" else ".html"
            self._send(HTTPStatus.OK, data, self.extensions_map[ending])
            return
        answer = self.server.questions.get(address.path)
        if answer is None or len(address.query) > LONGEST_QUERY:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of this name.")
            return
        fields = parse_qs(address.query, keep_blank_values=True)
        self._tell(lambda: answer(fields))

    def do_HEAD(self) -> None:
        """Nobody needs it."""
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Ask with GET.")

    def do_POST(self) -> None:
        """A decision."""
        length = self.headers.get("Content-Length", "")
        if not self._may_ask(self.path):
            return
        act = self.server.orders.get(self.path)
        token = self.headers.get(TOKEN, "").encode("latin-1", "replace")
        if act is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of this name.")
        elif self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            self._refuse(HTTPStatus.FORBIDDEN, "Decisions are made on this server's own page.")
        elif not hmac.compare_digest(token, self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "The server was started anew; load the page again.")
        elif self.headers.get("Content-Type") != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A decision is JSON.")
        elif not length.isascii() or not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "A decision says how long it is.")
        elif len(length) > 9 or int(length) > LARGEST_BODY:
            told = f"A decision has up to {LARGEST_BODY:,} bytes."
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
        else:
            body = self.rfile.read(int(length))
            self._tell(lambda: act(_parsed(body)))

    def _may_ask(self, path: str) -> bool:
        """Whether it is for this server, and by its own page where there is more than a page."""
        if not self.is_meant():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This server has another name.")
            return False
        if path != "/" and self.headers.get("Sec-Fetch-Site", "none") not in (
            "none", "same-origin",
        ):  # fmt: skip
            self._refuse(HTTPStatus.FORBIDDEN, "Another page asks for this.")
            return False
        return True

    def _tell(self, answer: Callable[[], Any]) -> None:
        try:
            told = answer()
        except Conflict as error:
            self._refuse(HTTPStatus.CONFLICT, str(error), close=False)
        except PipelineError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), close=False)
        except BadImage as error:
            self._refuse(HTTPStatus.NOT_FOUND, f"The crop {error}.", close=False)
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error.strerror}.", close=False)
        else:
            if isinstance(told, bytes):
                self._send(HTTPStatus.OK, told, _kind(told))
            else:
                data = json.dumps(told, allow_nan=False).encode()
                self._send(HTTPStatus.OK, data, "application/json")

    def _refuse(self, status: HTTPStatus, why: str, close: bool = True) -> None:
        """One sentence. `close`: what else the request holds was not read, so it is the last."""
        self.close_connection = self.close_connection or close
        data = json.dumps({"error": why}).encode()
        self._send(status, data, "application/json")

    def _send(self, status: HTTPStatus, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError as error:
        raise PipelineError("A decision is JSON, and this is none.") from error


def _kind(data: bytes) -> str:
    """The kind of bytes that are no JSON."""
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if data.startswith(PNG):
        return "image/png"
    return "image/webp" if data.startswith(b"RIFF") else "application/octet-stream"
