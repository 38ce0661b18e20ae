"""The server of the demo: headers, types, HTTPS, and addresses that it cannot have."""

import contextlib
import socket
import ssl
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.apps import site
from pipeline.apps.server import MOST_CONNECTIONS, SiteServer
from pipeline.errors import PipelineError
from tests.support.demo_site import serving


def test_the_server_isolates_the_page_and_names_types(tmp_path: Path) -> None:
    types = {
        "index.html": "text/html; charset=utf-8",
        "code.mjs": "text/javascript; charset=utf-8",
        "code.wasm": "application/wasm",
        "model.onnx": "application/octet-stream",
    }
    for name in types:
        (tmp_path / name).write_text(name)
    with serving(tmp_path) as url:
        for name, kind in types.items():
            with urllib.request.urlopen(url + name) as answer:
                assert answer.read() == name.encode()
                assert answer.headers["Content-Type"] == kind
                for header, value in site.HEADERS.items():
                    assert answer.headers[header] == value


def test_https_with_a_certificate_for_the_names_it_is_reached_by(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("safe")
    with serving(tmp_path, https=True) as url:
        address = urlsplit(url)
        assert address.scheme == "https" and address.port
        certificate = ssl.get_server_certificate(("127.0.0.1", address.port))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trusts it, whoever signed it
        with socket.create_connection(("127.0.0.1", address.port)):  # says nothing, holds up nobody
            for name in ("127.0.0.1", "localhost"):
                there = f"https://{name}:{address.port}/"
                with urllib.request.urlopen(there, context=context, timeout=20) as answer:
                    assert answer.read() == b"safe"


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(("host", "named"), [("::1", "[::1]"), ("::", "localhost")])
def test_addresses_of_ipv6(tmp_path: Path, host: str, named: str) -> None:
    (tmp_path / "index.html").write_text("six")
    with serving(tmp_path, host=host) as url:
        assert url == f"http://{named}:{urlsplit(url).port}/"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"six"
    with serving(tmp_path, host=host, https=True) as url:
        certificate = ssl.get_server_certificate((urlsplit(url).hostname, urlsplit(url).port))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:
            assert answer.read() == b"six"


def test_an_address_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with serving(tmp_path) as url, pytest.raises(PipelineError, match=r"taken.*--port"):
        SiteServer(tmp_path, "127.0.0.1", urlsplit(url).port or 0)
    with pytest.raises(PipelineError, match="below 65536"):
        SiteServer(tmp_path, "127.0.0.1", 99999)
    with pytest.raises(PipelineError, match="no address of this machine"):
        SiteServer(tmp_path, "203.0.113.1", 0)


def answer(url: str, request: str) -> bytes:
    """The first line of what the server says to these bytes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request.encode())
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", 200), ("localhost:80", 200), ("[::1]:8000", 200), ("LOCALHOST", 200),
        ("evil.example", 421), ("", 421), ("127.0.0.1.evil.example", 421), ("[x", 421),
    ],
)  # fmt: skip
def test_another_name_than_its_own_is_refused(tmp_path: Path, host: str, code: int) -> None:
    """A page of evil.example whose name leads here would else read the site (DNS rebinding)."""
    (tmp_path / "index.html").write_text("page")
    with serving(tmp_path) as url:
        said = answer(url, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert said.startswith(f"HTTP/1.1 {code} ".encode())


@pytest.mark.parametrize(
    "path", ["/%00", "/a%00b", "/model/", "/../x", "/%2e%2e/%2e%2e/etc/passwd"]
)
def test_no_listing_no_way_out_and_no_traceback(tmp_path: Path, path: str, capfd) -> None:
    (tmp_path / "site/model").mkdir(parents=True)
    (tmp_path / "x").write_text("outside")
    with serving(tmp_path / "site") as url:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert answer(url, request).startswith(b"HTTP/1.1 404 ")
    assert "Traceback" not in capfd.readouterr().err


def test_those_who_say_nothing_hold_up_nobody(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    with serving(tmp_path) as url, contextlib.ExitStack() as silent:
        address = urlsplit(url)
        before = threading.active_count()
        for _ in range(400):
            silent.enter_context(socket.create_connection((address.hostname, address.port)))
        with urllib.request.urlopen(url, timeout=20) as page:
            assert page.read() == b"page"
        assert threading.active_count() - before < 2 * MOST_CONNECTIONS
