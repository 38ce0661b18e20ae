"""Serves a built site to browsers, here or in the same network, over HTTP or HTTPS.

Anybody in the network may connect. Silent connections are closed, and requests for another name
than the server's own are refused: a site of somebody else could lead its name here (DNS rebinding).
"""

import contextlib
import datetime
import errno
import io
import ipaddress
import socket
import ssl
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from pipeline.apps.site import HEADERS
from pipeline.errors import PipelineError

MOST_CONNECTIONS: Final = 64
"""Each has a thread; for one more the oldest is closed."""

LONGEST_SILENCE: Final = 20
"""Seconds that a connection may say nothing."""


class SiteServer(ThreadingHTTPServer):
    """Serves the folder `site`; start and stop it with `serve_forever` and `shutdown`.

    `port` 0 takes a free one. `https`: with a certificate made for this run. `handler` answers each
    connection. Raises PipelineError where the port is taken or the host is not an address of this
    machine.
    """

    daemon_threads = True

    request_queue_size = MOST_CONNECTIONS  # else many at once wait for seconds

    def __init__(
        self,
        site: Path,
        host: str,
        port: int,
        https: bool = False,
        handler: "type[SiteHandler] | None" = None,
    ) -> None:
        self.https = https
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._connections: dict[Any, None] = {}  # the oldest first
        try:
            answers = partial(handler or SiteHandler, directory=str(site))
            super().__init__((host, port), answers)
        except (OSError, OverflowError) as error:
            raise PipelineError(_why_not(error, host, port)) from error
        everywhere = host in ("", "0.0.0.0", "::")
        names = ["localhost", *_own_addresses()] if everywhere else [host]
        if https:
            context = _tls_context(sorted({*names, "localhost", "127.0.0.1"}))
            # The handshake waits for the thread of the request: a slow one must not hold up others.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.names = {host, *names, "localhost", socket.gethostname()}
        """What the server may be called, besides addresses."""
        scheme = "https" if https else "http"
        hosts = [f"[{name}]" if ":" in name else name for name in names]
        self.urls = [f"{scheme}://{name}:{self.server_address[1]}/" for name in hosts]
        """Where the site can be reached, the address for this machine first."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own."""
        self._connections[request] = None
        while len(self._connections) > MOST_CONNECTIONS:
            oldest = next(iter(self._connections))
            self._connections.pop(oldest, None)
            with contextlib.suppress(OSError):  # it went away by itself
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection whose thread has ended."""
        self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about browsers that went away or do not trust the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class SiteHandler(SimpleHTTPRequestHandler):
    """Answers with the files of a site, each with the headers that isolate it."""

    page_headers = HEADERS
    """Sent with every answer."""

    cache = "no-cache"
    """What a browser may keep."""

    protocol_version = "HTTP/1.1"
    timeout = LONGEST_SILENCE
    server: SiteServer
    extensions_map = {  # noqa: RUF012 (the base class has it so)
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        "": "application/octet-stream",
    }

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """The file that is asked for, its headers sent; or None, and what is wrong sent."""
        if not self.is_meant():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server has another name")
            return None
        try:
            return super().send_head()
        except ValueError:  # a NUL in the name
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None

    def list_directory(self, path: Any) -> None:
        """No names of files but those that the page has."""
        self.send_error(HTTPStatus.NOT_FOUND, "File not found")

    def is_meant(self) -> bool:
        """Whether a request is for this server: by an address, or by a name of its own."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        except ValueError:
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name in {each.lower() for each in self.server.names}

    def end_headers(self) -> None:
        """Send those that every answer has, then what is known so far."""
        for name, value in self.page_headers.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", self.cache)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal is for the address and for errors."""


def _why_not(error: Exception, host: str, port: int) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return f"Port {port} is taken; choose another with --port."
    if code == errno.EACCES:
        return f"Port {port} is reserved for the system; choose one above 1023 with --port."
    if isinstance(error, OverflowError):
        return f"There is no port {port}; choose one below 65536 with --port."
    return f"{host} is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all of them."


def _own_addresses() -> list[str]:
    """The address by which others in the network reach this machine, if it is in one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # nobody has this address; nothing is sent
        except OSError:
            return []
        return [probe.getsockname()[0]]


def _tls_context(names: list[str]) -> ssl.SSLContext:
    """A certificate for `names`, made on the spot and valid for a month; nobody vouches for it."""
    import trustme

    now = datetime.datetime.now(datetime.UTC)
    authority = trustme.CA(organization_name="Face attributes")
    certificate = authority.issue_cert(
        *names,
        organization_name="Face attributes",
        not_before=now - datetime.timedelta(days=1),
        not_after=now + datetime.timedelta(days=30),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
