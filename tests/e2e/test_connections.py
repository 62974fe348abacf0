"""Limits of a connection: heads, bodies and answers are limited in bytes and time, and the number of connections is
limited."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from tests.simulators.city import open_city
from tests.simulators.slow_reader import connect, head_of

HEAD = b"POST /v1/read HTTP/1.1\r\nHost: x\r\n"
LIMITS = {
    "CIVIC_HEAD_TIMEOUT_S": "2",
    "CIVIC_BODY_TIMEOUT_S": "2",
    "CIVIC_SEND_TIMEOUT_S": "3",
    "CIVIC_CONNECTIONS": "120",
    "CIVIC_CONNECTIONS_PER_ADDRESS": "80",
}


@pytest.fixture(scope="module")
def guarded(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    opened = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("doors") / "city")), **LIMITS)
    yield opened
    opened.service.stop()


def host(city: City) -> bytes:
    return city.service.url.removeprefix("http://").encode()


def head(city: City) -> bytes:
    """The head of a call without its end."""
    return b"POST /v1/read HTTP/1.1\r\nHost: " + host(city) + b"\r\nContent-Type: application/json\r\n"


def get(city: City, target: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target.encode(), host(city))


def problem(line: socket.socket) -> tuple[int, str]:
    """Status and code of the refusal that arrives, after which the connection is closed."""
    status, headers = head_of(line)
    body = b""
    while len(body) < int(headers["content-length"]):
        body += line.recv(4096)
    with suppress(ConnectionResetError):
        assert line.recv(1) == b""
    return status, str(json.loads(body)["code"])


def over(line: socket.socket, seconds: float) -> bool:
    """Whether the service closes the connection within this time."""
    line.settimeout(seconds)
    try:
        while line.recv(65_536):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def pushed(line: socket.socket, piece: bytes, most: int) -> int:
    """How many of these pieces the service accepts."""
    for number in range(most):
        try:
            line.sendall(piece)
        except OSError:
            return number
    return most


def resident(city: City) -> int:
    """Memory of the service, in bytes."""
    fields = Path(f"/proc/{city.service.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def quick(city: City) -> float:
    """How long an honest call takes."""
    began = time.monotonic()
    city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"columns": ["pm25"], "limit": 3})
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("sent", "pieces"),
    [
        (b"", 0),
        (b"G", 0),
        (HEAD, 0),
        (HEAD, 40),
        (HEAD + b"Content-Length: 100\r\n\r\n", 0),
        (HEAD + b"Content-Length: 100\r\n\r\n{", 40),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", 0),
        (b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/sta", 0),
        (b"\r\n\r\n", 0),
    ],
    ids=[
        "silent",
        "one byte",
        "half a head",
        "a head that drips",
        "no body",
        "a body that drips",
        "no chunk",
        "a body that waits to be asked for",
        "the second head",
        "empty lines",
    ],
)
def test_incomplete_request_is_ended_at_its_time_limit(guarded: City, sent: bytes, pieces: int) -> None:
    with connect(guarded.service.url) as line:
        line.sendall(sent)
        try:
            for _ in range(pieces):
                time.sleep(0.15)
                line.sendall(b"x")
        except OSError:
            return
        assert over(line, 6)


def test_request_head_size_is_limited(guarded: City) -> None:
    before = resident(guarded)
    for large in (
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ):
        with connect(guarded.service.url) as line:
            line.sendall(large)
            assert problem(line) == (431, "request.head-too-large")
    for unfinished in (
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET /",
        b"GET / HTTP/1.1\r\nA: b\r\nB: ",
    ):
        with connect(guarded.service.url) as line:
            line.sendall(unfinished)
            assert pushed(line, b"x" * (1 << 20), 60) < 60
    assert resident(guarded) - before < 20 << 20
    with connect(guarded.service.url) as line:  # A smaller head is accepted.
        line.sendall(get(guarded, "/v1/status")[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n")
        assert head_of(line)[0] == 200


def test_extensions_and_trailers_of_a_chunked_body_are_bounded(guarded: City) -> None:
    before = resident(guarded)
    start = head(guarded) + b"Transfer-Encoding: chunked\r\n\r\n"
    for beside in (b"0\r\nX: ", b"0\r\n" + b"A: b\r\n" * 1_000, b"1;x="):
        with connect(guarded.service.url) as line:
            line.sendall(start + beside)
            assert pushed(line, b"A: b\r\n" * 100_000 if b"A" in beside else b"x" * (1 << 20), 60) < 60
    assert resident(guarded) - before < 20 << 20


def test_non_http_bytes_are_refused_with_a_problem(guarded: City) -> None:
    with connect(guarded.service.url) as line:
        line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        assert problem(line) == (400, "request.invalid")


def test_body_over_the_limit_is_not_read_completely(guarded: City) -> None:
    declared = head(guarded) + b"Content-Length: 999999999\r\n\r\n", b"x" * 65_536
    chunked = head(guarded) + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for start, piece in (declared, chunked):
        with connect(guarded.service.url) as line:
            line.sendall(start)
            time.sleep(0.2)
            began = time.monotonic()
            taken = 0
            while pushed(line, piece, 1):
                taken += 1
                time.sleep(0.02)
                assert time.monotonic() - began < 15
            assert taken < 1_000


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.9"], ids=["the same address", "another address"])
@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"], ids=["silent", "head", "body"]
)
def test_honest_caller_is_served_while_idle_connections_exceed_the_limit(
    guarded: City, sent: bytes, source: str
) -> None:
    lines = []
    try:
        for number in range(400):
            try:
                line = connect(guarded.service.url, source=source)
                line.sendall(sent)
                lines.append(line)
            except OSError:
                continue
            if number % 100 == 99:
                assert quick(guarded) < 3
                assert httpx.get(guarded.service.url + "/v1/status").status_code == 200
        descriptors = len(list(Path(f"/proc/{guarded.service.pid}/fd").iterdir()))
        assert descriptors < 120 + 100
    finally:
        for line in lines:
            line.close()


def test_a_kept_connection_survives_a_pause_longer_than_the_limit_for_a_head(guarded: City) -> None:
    with connect(guarded.service.url) as line:
        for _ in range(2):
            line.sendall(get(guarded, "/v1/nothing"))
            status, headers = head_of(line)
            assert status == 404
            left = int(headers["content-length"])
            while left:
                left -= len(line.recv(left))
            time.sleep(3)


def test_a_body_that_arrives_steadily_has_more_time(guarded: City) -> None:
    body = b'{"asset": "6.1"' + b" " * 400_000 + b"}"
    with connect(guarded.service.url) as line:
        line.sendall(head(guarded) + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 20_000):
            line.sendall(body[start : start + 20_000])
            time.sleep(0.2)
        assert head_of(line)[0] == 401


def test_answer_that_is_not_read_is_dropped(guarded: City) -> None:
    with connect(guarded.service.url, window=4096) as line:
        line.settimeout(2)
        began = time.monotonic()
        with suppress(OSError):
            while pushed(line, get(guarded, "/openapi.json") * 50, 1):
                time.sleep(0.1)
        line.settimeout(1)
        time.sleep(6)
        taken = 0
        with suppress(ConnectionResetError):
            while piece := line.recv(1 << 20):
                taken += len(piece)
                assert time.monotonic() - began < 60
