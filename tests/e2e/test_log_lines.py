"""The log of a real service: one line for each answer, without a value that a caller sent; as text and as JSON."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.city import City
from api.demo.participants import PLANNING
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city


@pytest.fixture(scope="module")
def city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    opened = open_city(
        Path(shutil.copytree(founded, tmp_path_factory.mktemp("logged") / "city")), CIVIC_LOG="json"
    )
    yield opened
    opened.service.stop()


def events(city: City) -> list[dict[str, Any]]:
    """Every line is a JSON object from the start of this service on."""
    lines = (city.home / "service.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def accesses(city: City, name: str) -> list[dict[str, Any]]:
    """The lines of one request; an answer arrives before its line."""
    until = time.monotonic() + 10
    while True:
        found = [one for one in events(city) if one.get("request_id") == name and "route" in one]
        if found or time.monotonic() > until:
            return found
        time.sleep(0.05)


def get(city: City, path: str, name: str | None = None) -> httpx.Response:
    headers = {} if name is None else {"X-Request-Id": name}
    return httpx.get(city.service.url + path, headers=headers)


def test_answer_is_one_line_with_its_figures(city: City) -> None:
    answer = get(city, "/v1/departments?limit=1", "probe-0001")
    assert answer.headers["X-Request-Id"] == "probe-0001"
    [line] = accesses(city, "probe-0001")
    assert (line["method"], line["route"], line["status"], line["code"]) == (
        "GET",
        "/v1/departments",
        200,
        "",
    )
    assert line["bytes"] == len(answer.content)
    assert 0 < line["ms"] < 10_000
    assert (line["level"], line["logger"]) == ("INFO", "api.access")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


@pytest.mark.parametrize(
    ("path", "route", "code"),
    [
        ("/v1/grants/0x" + "5e" * 32, "/v1/grants/{grant_id}", "not-found.grant"),
        ("/v1/datasets/6.1?secret=zhang", "/v1/datasets/{dataset}", ""),
        ("/v1/zhang-san/wei", "-", "not-found.path"),
        ("/tile/0/000.p/7", "/tile/{path}", ""),
    ],
)
def test_line_has_the_template_and_no_value(city: City, path: str, route: str, code: str) -> None:
    name = "value-" + re.sub(r"\W", "-", path)[:40]
    get(city, path, name)
    [line] = accesses(city, name)
    assert (re.sub(r":\w+\}", "}", line["route"]), line["code"]) == (route, code)
    rest = json.dumps(line).replace(name, "")
    assert not [word for word in ("5e5e", "zhang", "6.1?", "000.p") if word in rest]


def test_denied_read_has_its_code_and_no_department(city: City) -> None:
    with pytest.raises(ServiceProblem) as denied:
        city.of(PLANNING).civic.read(city.assets["air_quality"], "dpv:Marketing", {"limit": 1})
    until = time.monotonic() + 10
    while not (lines := [one for one in events(city) if one.get("code") == denied.value.code]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert lines[-1]["route"] == "/v1/read"
    assert city.assets["air_quality"] not in lines[-1]["message"]
    assert lines[-1].keys() == {
        "time", "level", "logger", "message", "request_id", "method", "route", "status", "code", "ms", "bytes"
    }  # fmt: skip


@pytest.mark.parametrize(
    "given", ["short", "a" * 65, "line one two", "-begins-so", "名字名字名字名字", "a;b=c;d=e"]
)
def test_malformed_id_is_replaced(city: City, given: str) -> None:
    answer = httpx.get(city.service.url + "/healthz", headers=[(b"X-Request-Id", given.encode())])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert given not in (city.home / "service.log").read_text()


def test_two_ids_are_none(city: City) -> None:
    twice = [("X-Request-Id", "first-0001"), ("X-Request-Id", "second-002")]
    answer = httpx.get(city.service.url + "/healthz", headers=twice)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_refusal_of_the_edge_has_its_line(city: City) -> None:
    answer = httpx.get(
        city.service.url + "/v1/status", headers={"Host": "elsewhere.example", "X-Request-Id": "edge-00001"}
    )
    assert answer.headers["X-Request-Id"] == "edge-00001"
    [line] = accesses(city, "edge-00001")
    assert (line["code"], line["route"]) == ("request.misdirected", "-")


def test_every_line_of_the_service_is_an_object(city: City) -> None:
    lines = (city.home / "service.log").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("{"))
    assert all(line.startswith("{") for line in lines[first:])


def test_text_is_the_default(home: Path) -> None:
    opened = open_city(home)
    try:
        get(opened, "/v1/trust", "plain-0001")
        assert _appears(
            home, r"Z INFO api\.access GET /v1/trust 200 ok [\d.]+ ms, \d+ bytes \[request plain-0001\]"
        )
    finally:
        opened.service.stop()


def _appears(home: Path, pattern: str) -> bool:
    found: Callable[[], object] = lambda: re.search(pattern, (home / "service.log").read_text())  # noqa: E731
    until = time.monotonic() + 10
    while not found() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(found())
