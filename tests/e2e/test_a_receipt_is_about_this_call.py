"""An operator with the gateway's key serves answers with valid receipts about something else: all are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING
from api.sdk.client import Civic
from api.sdk.drafts import draft_suspension, sign_act, submit
from api.sdk.errors import AnswerRefused, ServiceProblem
from api.sdk.transport import Transport
from ledger.outgoing import Outgoing
from tests.simulators.evil_gateway import EvilGateway, Given

SMALL: dict[str, Any] = {"columns": ["pm25"], "limit": 3}
ENVIRONMENT = 6


class CityBehindProxy:
    """A city, a lying proxy in front of it, and clients of the departments that call the proxy."""

    def __init__(self, city: City, state: Path) -> None:
        self.city, self._state = city, state
        self.evil = EvilGateway(city.home, city.service.url)
        self._clients: list[Civic] = []

    def client(self, number: int, name: str = "one") -> Civic:
        actor = self.city.actors[number]
        url, trust = self.city.service.url, self.city.trust
        civic = Civic(url, trust, self._state / f"{number}-{name}", actor.service)
        through = Outgoing(proxy=self.evil.url)
        civic.transport = Transport(url, trust.gateway_key, actor.service, timeout_s=60, line=through)
        self._clients.append(civic)
        return civic

    def entries(self) -> int:
        return int(self.city.of(AUDIT).civic.status()["log"]["size"])

    def close(self) -> None:
        for civic in self._clients:
            civic.close()
        self.evil.close()


@pytest.fixture
def between(shared_city: City, tmp_path: Path) -> Iterator[CityBehindProxy]:
    made = CityBehindProxy(shared_city, tmp_path)
    yield made
    made.close()


def altered(body: bytes) -> bytes:
    """Other rows of the same length."""
    digits = bytes.maketrans(b"0123456789", b"1234567890")
    changed = body.translate(digits)
    assert changed != body
    return changed


def test_an_honest_read_through_the_proxy_is_accepted(between: CityBehindProxy) -> None:
    released = between.client(PLANNING.number).read("6.1", AIR_POLICY, SMALL)
    assert len(released.rows()) == 3
    assert released.release["state"] == "done"


def test_rows_with_a_reused_receipt_and_no_entry_are_refused(between: CityBehindProxy) -> None:
    civic, evil = between.client(PLANNING.number), between.evil
    civic.read("6.1", AIR_POLICY, SMALL)
    read, record = evil.given[0], evil.given[1]
    served = replace(read, body=altered(read.body))
    before = between.entries()

    def instead(method: str, path: str, asked: bytes) -> Given | None:
        if path == "/v1/read":
            return served
        if path.startswith("/v1/releases/"):
            import hashlib

            return record.of(record.json() | {"digest": hashlib.sha256(served.body).hexdigest()})
        return None

    evil.instead = instead
    with pytest.raises(AnswerRefused):
        civic.read("6.1", AIR_POLICY, SMALL)
    # An identical answer to another call is not the answer to this call either.
    served = read
    with pytest.raises(AnswerRefused):
        civic.read("6.1", AIR_POLICY, SMALL)
    assert between.entries() == before


def test_other_rows_under_a_true_entry_are_refused(between: CityBehindProxy) -> None:
    civic = between.client(PLANNING.number)

    def twist(given: Given) -> Given:
        import hashlib

        if given.path == "/v1/read" and given.status == 200:
            return replace(given, body=altered(given.body))
        if given.path.startswith("/v1/releases/"):
            served = altered(between.evil.given[0].body)
            return given.of(given.json() | {"digest": hashlib.sha256(served).hexdigest()})
        return given

    between.evil.twist = twist
    with pytest.raises(AnswerRefused):
        civic.read("6.1", AIR_POLICY, SMALL)


@pytest.mark.parametrize("change", ["release", "no-release", "no-receipt", "no-call", "other-call"])
def test_a_read_whose_receipt_release_or_opening_is_dropped_or_swapped_is_refused(
    between: CityBehindProxy, change: str
) -> None:
    civic = between.client(PLANNING.number)
    civic.read("6.1", AIR_POLICY, SMALL)
    old = between.evil.given[0]

    def twist(given: Given) -> Given:
        if given.path != "/v1/read":
            return given
        return {
            "release": given.under(civic_release=old.headers["civic-release"]),
            "no-release": given.under(civic_release=None),
            "no-receipt": given.under(civic_receipt=None),
            "no-call": given.under(civic_call=None),
            "other-call": given.under(civic_call=old.headers.get("civic-call")),
        }[change]

    between.evil.twist = twist
    with pytest.raises(AnswerRefused):
        civic.read("6.1", AIR_POLICY, SMALL)


def test_release_outcome_that_is_missing_foreign_or_not_disclosed_is_refused(
    between: CityBehindProxy,
) -> None:
    civic = between.client(PLANNING.number)
    civic.read("6.1", AIR_POLICY, SMALL)
    old = between.evil.given[1].json()

    def lies(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {name: value for name, value in record.items() if name != "outcome"}
        yield record | {"outcome": None}
        yield record | {"outcome": old["outcome"]}
        yield record | {"outcome": record["outcome"] | {"disclosure": None}}
        yield record | {"outcome": record["outcome"] | {"disclosure": old["outcome"]["disclosure"]}}
        yield record | {"outcome": record["outcome"] | {"disclosure": "%%%"}}
        yield record | {"state": "streaming"}
        yield record | {"id": old["id"]}
        yield record | {"rows": 4}
        yield record | {"bytes": 1}
        yield old

    for lie in range(11):

        def twist(given: Given, lie: int = lie) -> Given:
            if not given.path.startswith("/v1/releases/"):
                return given
            return given.of(list(lies(given.json()))[lie])

        between.evil.twist = twist
        with pytest.raises(AnswerRefused):
            civic.read("6.1", AIR_POLICY, SMALL)


def test_a_denial_with_an_old_denials_receipt_is_refused(between: CityBehindProxy) -> None:
    civic = between.client(PLANNING.number)
    for _ in range(2):
        with pytest.raises(ServiceProblem) as denied:
            civic.read("6.1", "dpv:Marketing", SMALL)
        assert denied.value.receipt is not None
    old = between.evil.given[0].json()

    def own(given: Given) -> dict[str, Any]:
        return {name: value for name, value in given.json().items() if name not in ("receipt", "call")}

    lies: list[Callable[[Given], Given]] = [
        lambda given: given.of(old),
        lambda given: given.of(given.json() | {"receipt": old["receipt"]}),
        lambda given: given.of(given.json() | {"call": old["call"]}),
        lambda given: given.of(own(given)),
        lambda given: given.of({**own(given), "receipt": given.json()["receipt"]}),
        lambda given: given.of(given.json() | {"reasons": [{"code": "grant.none"}], "code": "grant.none"}),
    ]
    for lie in lies:
        between.evil.twist = lambda given, lie=lie: lie(given) if given.path == "/v1/read" else given  # type: ignore[misc]
        with pytest.raises(AnswerRefused):
            civic.read("6.1", "dpv:Marketing", SMALL)


def test_a_permit_answered_with_a_denial_of_another_call_is_refused(between: CityBehindProxy) -> None:
    civic = between.client(PLANNING.number)
    with pytest.raises(ServiceProblem):
        civic.read("6.1", "dpv:Marketing", SMALL)
    old = between.evil.given[0]
    between.evil.instead = lambda method, path, asked: old if path == "/v1/read" else None
    with pytest.raises(AnswerRefused):
        civic.read("6.1", AIR_POLICY, SMALL)


def test_an_upload_with_an_old_receipt_is_refused(between: CityBehindProxy) -> None:
    civic = between.client(ENVIRONMENT)
    civic.upload("6.1", dataset_path("air_quality"))
    old = between.evil.given[0]
    between.evil.instead = lambda method, path, asked: old if method == "PUT" else None
    with pytest.raises(AnswerRefused):
        civic.upload("6.1", dataset_path("air_quality"))
    between.evil.instead = lambda method, path, asked: None
    between.evil.twist = lambda given: given.of(
        {name: value for name, value in given.json().items() if name != "receipt"}
    )
    with pytest.raises(AnswerRefused):
        civic.upload("6.1", dataset_path("air_quality"))


def test_requests_and_their_answers_with_old_receipts_are_refused(between: CityBehindProxy) -> None:
    asker, holder = between.client(PLANNING.number), between.client(ENVIRONMENT)
    body = {
        "asset": "6.1",
        "columns": ["pm25"],
        "purpose": AIR_POLICY,
        "legal_basis": "PIPL art. 13(3)",
        "starts": "2026-01-01T00:00:00+00:00",
        "ends": "2036-01-01T00:00:00+00:00",
    }
    refusal = {"state": "refused", "reason": "security", "explanation": "not now"}
    first, second = asker.request_access(body), asker.request_access(body)
    assert first["id"] != second["id"]
    assert first["entry"]["facts"]["request"] == first["id"]
    answered = holder.answer_request(first["id"], refusal)
    assert answered["entry"]["reasons"] == ["security"]
    asked_first, _, answer_first = between.evil.posted()[:3]

    def stale(old: Given, *members: str) -> Callable[[Given], Given]:
        kept = {name: old.json()[name] for name in members}
        return lambda given: given.of(given.json() | kept) if given.method == "POST" else given

    for lie in (
        stale(asked_first, "receipt"),
        stale(asked_first, "receipt", "call"),
        stale(asked_first, *asked_first.json()),
    ):
        between.evil.twist = lie
        with pytest.raises(AnswerRefused):
            asker.request_access(body)
    for lie in (stale(answer_first, "receipt", "call"), stale(answer_first, *answer_first.json())):
        between.evil.honest()
        third = asker.request_access(body)
        between.evil.twist = lie
        with pytest.raises(AnswerRefused):
            holder.answer_request(third["id"], refusal)


def test_a_repeated_request_has_an_entry_of_its_own(between: CityBehindProxy) -> None:
    asker = between.client(PLANNING.number)
    body = {
        "id": "11111111-2222-4333-8444-555555555555",
        "asset": "6.1",
        "purpose": AIR_POLICY,
        "legal_basis": "PIPL art. 13(3)",
        "starts": "2026-01-01T00:00:00+00:00",
        "ends": "2036-01-01T00:00:00+00:00",
        "note": "for the study of Ms Li",
    }
    first, again = asker.request_access(body), asker.request_access(body)
    assert first["entry"]["type"] == "gateway:request:submitted"
    assert again["entry"]["type"] == "gateway:request:repeated"
    assert first["entry"]["facts"]["request"] == again["entry"]["facts"]["request"] == body["id"]


def test_acts_with_the_receipt_of_an_earlier_act_are_refused(between: CityBehindProxy) -> None:
    owner = between.city.actors[ENVIRONMENT]
    civic, trust = between.client(ENVIRONMENT), between.city.trust
    seen: list[Given] = []
    for lift in (False, True):
        done = submit(
            civic, sign_act(draft_suspension("6.1", "drill", lift=lift), trust, [owner.secrets["steward"]])
        )
        assert done["state"] == "recorded"
        seen.append(between.evil.posted()[-1])
    digests = [given.json()["digest"] for given in seen]
    for lift, old in ((False, seen[0]), (True, seen[1])):
        again = sign_act(draft_suspension("6.1", "drill", lift=lift), trust, [owner.secrets["steward"]])
        for members in (("receipt",), ("receipt", "digest"), tuple(old.json())):
            between.evil.twist = lambda given, old=old, members=members: (  # type: ignore[misc]
                given.of(given.json() | {name: old.json()[name] for name in members})
                if given.path.startswith("/v1/acts")
                else given
            )
            with pytest.raises(AnswerRefused):
                submit(civic, again)
        between.evil.honest()
        assert submit(civic, again)["state"] == "recorded"
    assert civic.act_status(digests[0])["entry"]["facts"]["act"] == digests[0]
    between.evil.twist = lambda given: given.of(given.json() | {"receipt": seen[1].json()["receipt"]})
    with pytest.raises(AnswerRefused):
        civic.act_status(digests[0])


def test_an_acceptance_with_the_receipt_of_another_grant_is_refused(between: CityBehindProxy) -> None:
    from api.sdk.drafts import acceptance_of

    city, civic = between.city, between.client(PLANNING.number)
    secret = city.of(PLANNING).secrets["steward"]

    def accept(name: str) -> dict[str, Any]:
        grant = city.grants[name]
        signed = sign_act(acceptance_of(civic.grant(grant)["terms"]), city.trust, [secret])
        return civic.accept(grant, signed.signatures[0])

    assert accept("air-planning")["entry"]["grant"] == city.grants["air-planning"]
    old = between.evil.posted()[0]
    between.evil.instead = lambda method, path, asked: old if method == "POST" else None
    with pytest.raises(AnswerRefused):
        accept("visits-planning")


def test_receipt_of_another_entry_than_requested_is_refused(between: CityBehindProxy) -> None:
    auditor = between.client(AUDIT.number)
    auditor.receipt(3)
    old = between.evil.given[0]
    between.evil.instead = lambda method, path, asked: old if path.endswith("/receipt") else None
    with pytest.raises(AnswerRefused):
        auditor.receipt(4)


def test_a_stream_of_other_rows_is_refused_when_it_ends(founded: Path, tmp_path: Path) -> None:
    import shutil

    from tests.simulators.city import open_city

    city = open_city(Path(shutil.copytree(founded, tmp_path / "city")), CIVIC_BUFFER_BYTES="1024")
    between = CityBehindProxy(city, tmp_path)
    everything: dict[str, Any] = {"columns": ["pm25", "district", "station_id"]}
    try:
        civic = between.client(PLANNING.number)
        with civic.read_stream("6.1", AIR_POLICY, everything) as reading:
            assert "civic-stream" in reading.stream.headers
            honest = b"".join(reading.stream.chunks())
            assert reading.finish()["bytes"] == len(honest)
        between.evil.twist = lambda given: (
            replace(given, body=altered(given.body)) if given.path == "/v1/read" else given
        )
        with pytest.raises(AnswerRefused), civic.read_stream("6.1", AIR_POLICY, everything) as reading:
            reading.stream.read()
        # A reader that reads the stream to its end cannot skip the check: leaving the context makes it.
        between.evil.twist = lambda given: (
            replace(given, body=given.body[:-40]) if given.path == "/v1/read" else given
        )
        with pytest.raises(AnswerRefused), civic.read_stream("6.1", AIR_POLICY, everything) as reading:
            reading.stream.read()
    finally:
        between.close()
        city.service.stop()
