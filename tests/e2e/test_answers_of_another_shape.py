"""A gateway with its key can sign anything: an answer of another form is refused with a code, without a crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT
from api.protocol.errors import ClientError
from api.sdk.client import Civic
from tests.e2e.test_a_receipt_is_about_this_call import CityBehindProxy
from tests.simulators.evil_gateway import Given

GRANT = "0x" + "ab" * 32
REQUEST = {"asset": "6.1", "purpose": AIR_POLICY}
ODD: list[Any] = [None, True, 7, -1, "x", "%%%", [], [7], ["%%%"], [[]], {}, {"a": 1}]
DEEP = b"[" * 5_000
CALLS: dict[str, Callable[[Civic], Any]] = {
    "status": lambda civic: civic.status(),
    "consistency": lambda civic: civic.consistency(3, 5),
    "departments": lambda civic: list(civic.departments()),
    "datasets": lambda civic: list(civic.datasets()),
    "grants": lambda civic: list(civic.grants()),
    "requests": lambda civic: list(civic.requests()),
    "entries": lambda civic: list(civic.entries()),
    "readers": lambda civic: civic.readers("6.1", "x"),
    "receipt": lambda civic: civic.receipt(3),
    "anchored": lambda civic: civic.receipt(3, anchored=True),
    "openings": lambda civic: civic.openings(3),
    "act status": lambda civic: civic.act_status(GRANT),
    "acceptance": lambda civic: civic.accept(GRANT, "0x" + "00" * 65),
    "request": lambda civic: civic.request_access(REQUEST),
    "answer": lambda civic: civic.answer_request(
        "11111111-2222-4333-8444-555555555555", {"state": "refused"}
    ),
    "source": lambda civic: civic.dataset_source("6.1"),
    "read": lambda civic: civic.read("6.1", AIR_POLICY, {}),
}
MEMBERS = {
    200: ("log", "proof", "items", "receipt", "disclosures", "digest", "terms", "metadata", "named", "next"),
    403: ("decision", "reasons", "receipt", "detail", "explanation"),
}


@pytest.fixture(scope="module")
def between(shared_city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityBehindProxy]:
    made = CityBehindProxy(shared_city, tmp_path_factory.mktemp("clients"))
    yield made
    made.close()


def answering(body: bytes, status: int) -> Callable[[str, str, bytes], Given | None]:
    return lambda method, path, asked: Given(
        method, path, asked, status, {"content-type": "application/json"}, body
    )


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 403])
def test_a_signed_answer_of_another_shape_is_refused(
    between: CityBehindProxy, name: str, status: int
) -> None:
    civic = between.client(AUDIT.number, f"{name}-{status}".replace(" ", "-"))
    bodies = [DEEP, b"", b"\xff", *(json.dumps(odd).encode() for odd in ODD)]
    bodies += [
        json.dumps({member: odd}).encode() for member in MEMBERS[status] for odd in (7, "%%%", [7], {"a": 1})
    ]
    bodies.append(json.dumps({"items": [], "next": "again"}).encode())
    bodies.append(json.dumps({"log": {"checkpoint": 7, "keys": 7}}).encode())
    bodies.append(json.dumps({"metadata": {"source": 7}, "sha256": 1}).encode())
    for body in bodies:
        between.evil.instead = answering(body, status)
        try:
            CALLS[name](civic)
        except ClientError:
            pass
        except Exception as crash:
            raise AssertionError(f"{body[:60]!r}: {crash!r}") from crash
