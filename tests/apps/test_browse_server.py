"""The server of the wall: decisions that are written at once, and requests that it refuses."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from pipeline.apps.browse import server as browse_server
from pipeline.apps.browse.server import BrowseServer
from pipeline.dataset.corrections import Correction, change_corrections, read_corrections
from tests.support.attributes import MODEL_ORDER
from tests.support.browsing import browsing, dataset

MALE = MODEL_ORDER.index("Male")


def send(
    server: BrowseServer, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, Any, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(server.urls[0]).netloc, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items() if value}
    connection.request(method, path, body or None, given)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    kind = answer.headers["Content-Type"]
    return answer.status, json.loads(data or "{}") if kind == "application/json" else data, answer


def get(server: BrowseServer, path: str, **headers: str) -> tuple[int, Any]:
    return send(server, "GET", path, **headers)[:2]


def post(server: BrowseServer, value: Any, path: str = "/api/decide", **headers: str) -> Any:
    usual = {
        "Content_Type": "application/json",
        "X_Token": server.token,
        "Origin": server.urls[0].rstrip("/"),
    }
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return send(server, "POST", path, body, **{**usual, **headers})[:2]


@pytest.fixture
def server(shards: Path, tmp_path: Path, file: Path) -> Iterator[BrowseServer]:
    with browsing(dataset(shards, tmp_path / "nothing", file)) as started:
        yield started


def decision(**changes: Any) -> dict[str, Any]:
    return {"key": "000001", "attribute": "Male", "is": "", "why": "", **changes}


def test_a_decision_is_in_the_file_when_it_is_answered_and_can_be_undone(server, file):
    status, told = post(server, decision(why="nobody can tell"))
    assert status == 200 and told["before"] is None
    was = told["row"]["was"]
    row = Correction("000001", "Male", was, "", "nobody can tell")
    assert read_corrections(file).rows == (row,)
    status, again = post(server, decision(**{"is": was}))
    assert again["before"] == told["row"]
    assert read_corrections(file).rows[0].sound
    undo = {"key": "000001", "attribute": "Male", "row": told["row"], "mine": again["row"]}
    assert post(server, undo, "/api/undo")[0] == 200
    assert read_corrections(file).rows == (row,)
    assert post(server, undo, "/api/undo")[0] == 200, "asked again, as after a lost answer"
    last = {**undo, "row": None, "mine": told["row"]}
    assert post(server, last, "/api/undo")[0] == 200
    assert read_corrections(file).rows == ()


def test_what_somebody_else_decided_meanwhile_is_not_undone(server, file):
    _, told = post(server, decision())
    theirs = Correction("000001", "Male", told["row"]["was"], told["row"]["was"], "looked")
    change_corrections(file, [theirs])
    undo = {"key": "000001", "attribute": "Male", "row": None, "mine": told["row"]}
    status, answer = post(server, undo, "/api/undo")
    assert status == 409 and "elsewhere" in answer["error"]
    assert read_corrections(file).rows == (theirs,)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X_Token": "wrong"}, 403),
        ({"X_Token": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": ""}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Content_Length": "99999999"}, 413),
        ({"Content_Length": "9" * 400}, 413),
        ({"Content_Length": "-1"}, 411),
    ],
)
def test_requests_of_others_decide_nothing(server, file, changes, status):
    found, told = post(server, decision(), **changes)
    assert found == status and told["error"].endswith(".")
    assert not file.exists()


@pytest.mark.parametrize(
    "body",
    [
        decision(key="nobody"), decision(key="../../x"), decision(key=1), decision(key=""),
        decision(attribute="Beauty"), decision(attribute="celeb_id"), decision(attribute=None),
        decision(**{"is": "2"}), decision(**{"is": None}), decision(**{"is": "drop"}),
        decision(why="x" * 501), decision(why="two\nlines"), decision(why=None),
        decision(attribute="split", **{"is": "everywhere"}), decision(more=1), [], b"{",
        b"[" * 9000,
    ],
    ids=lambda body: str(body)[:60],
)  # fmt: skip
def test_a_decision_that_makes_no_sense_is_refused(server, file, body):
    status, told = post(server, body)
    assert status == 400 and told["error"].endswith(".")
    assert not file.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/api/order?has=Beauty", "/api/order?sort=beauty", "/api/order?split=all",
        "/api/order?where=Male and", "/api/order?where=Beauty", "/api/order?identity=x",
        "/api/order?sort=prediction", "/api/order?origin=x", f"/api/order?text={'x' * 2001}",
        "/api/order?review=x", "/api/rows?ids=84", "/api/rows?ids=", "/api/rows?ids=-1",
        "/api/rows", "/sprite?ids=" + ",".join(["1"] * 101), "/crop?ids=x", "/api/sample?key=x",
        "/api/sample?key=%C3%A4", "/api/rows?ids=1&a=Beauty",
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_one_sentence(server, path):
    status, told = get(server, path.replace(" ", "%20"))
    assert status == 400 and told["error"].endswith(".")


@pytest.mark.parametrize(
    "path", ["/server.py", "/../browse/server.py", "/%2e%2e/site.py", "/api/", "/index.html"]
)
def test_nothing_else_is_served(server, path):
    assert get(server, path)[0] == 404
    assert send(server, "HEAD", path)[0] == 405


def test_every_answer_keeps_to_this_page(server):
    for path in ("/", "/main.js", "/api/about", "/sprite?ids=1", "/nothing"):
        status, _, answer = send(server, "GET", path)
        for name, value in browse_server.HEADERS.items():
            assert answer.headers[name] == value, (path, status)
        assert answer.headers["Cache-Control"] == "no-store"
    assert get(server, "/api/about", Host="evil.example")[0] == 421
    assert get(server, "/api/about", Sec_Fetch_Site="cross-site")[0] == 403
    assert get(server, "/sprite?ids=1", Sec_Fetch_Site="same-site")[0] == 403
    assert get(server, "/?has=Male", Sec_Fetch_Site="cross-site")[0] == 200, "a link"
    assert server.server_address[0] == "127.0.0.1"


def test_a_connection_serves_many_questions(server):
    connection = http.client.HTTPConnection(urlsplit(server.urls[0]).netloc, timeout=20)
    socket = None
    for path in ("/api/version", "/api/rows?ids=84", "/sprite?ids=1,2", "/api/version"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert socket in (None, connection.sock), path
        socket = connection.sock
    connection.close()


def test_a_broken_file_of_corrections_is_one_sentence(server, file):
    file.parent.mkdir()
    for text, says in (
        ("key,attribute,was,is,why\n<<<<<<< HEAD\n", "merge"),
        ("key,attribute,was,is,why\nnobody,Male,0,1,\n", "no sample"),
        ("nonsense", "begins with"),
    ):
        file.write_text(text)
        version = get(server, "/api/version")[1]
        assert says in version["trouble"] and "synthetic.csv" in version["trouble"]
        status, told = get(server, "/api/statistics?" + urlencode({"has": "Male"}))
        assert status == 200 and told["version"]["trouble"] == version["trouble"]
        status, told = post(server, decision())
        assert status == 409 and says in told["error"]
        assert file.read_text() == text
    file.unlink()
    assert get(server, "/api/version")[1]["trouble"] == ""


def test_what_another_process_writes_is_seen(server, file):
    before = get(server, "/api/version")[1]
    assert get(server, "/api/version")[1] == before
    sound = server.dataset.sample({"key": ["000001"]})["labels"][MALE]["is"]
    change_corrections(file, [Correction("000001", "Male", sound, "")])
    assert get(server, "/api/version")[1]["corrections"] != before["corrections"]
    assert get(server, "/api/statistics?unknown=Male")[1]["wall"]["count"] == 1
