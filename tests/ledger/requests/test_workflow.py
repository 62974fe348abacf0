"""An access request is submitted once and answered once; every step is an entry without free text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection
from sqlmodel import SQLModel

from ledger import requests
from ledger.ids import asset_id
from ledger.pages import CursorError
from ledger.requests import AccessRequest, Draft, RequestError, mark_granted, refuse, submit, withdraw
from ledger.store.engine import open_engine
from ledger.store.tables.requests import AccessRequestRow

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
AIR = asset_id(7, 12)
GRANT = "0x" + "ab" * 32
DRAFT = Draft(
    id=UUID(int=1),
    requester=9,
    asset=AIR,
    columns=("pm25", "station"),
    purpose="dpv:PublicBenefit",
    legal_basis="Environmental Protection Law, art. 54",
    starts=NOW,
    ends=NOW + timedelta(days=90),
    note="for the asthma study of Ms Li",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine, tables=[AccessRequestRow.__table__])
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def asked(connection: Connection, draft: Draft = DRAFT, now: datetime = NOW) -> AccessRequest:
    return submit(connection, draft, provider=7, actor="key-9a", now=now).request


def test_asking_twice_is_one_request(connection: Connection) -> None:
    first = submit(connection, DRAFT, provider=7, actor="key-9a", now=NOW)
    again = submit(connection, DRAFT, provider=7, actor="key-9b", now=NOW + timedelta(hours=1))
    assert (first.new, again.new) == (True, False)
    assert again.request == first.request
    assert again.event == first.event
    assert requests.find_request(connection, DRAFT.id) == first.request


def test_another_request_under_the_same_id_is_refused(connection: Connection) -> None:
    asked(connection)
    with pytest.raises(RequestError) as caught:
        asked(connection, replace(DRAFT, columns=("name",)))
    assert caught.value.code == "request.state"


def test_the_entry_names_everything_but_free_text(connection: Connection) -> None:
    step = submit(connection, DRAFT, provider=7, actor="key-9a", now=NOW)
    event = step.event
    leaf = event.canonical().decode()
    assert "asthma" not in leaf
    assert "Ms Li" not in leaf
    assert (event.type, event.department, event.asset, event.purpose) == (
        "gateway:request:submitted",
        9,
        "7.12",
        "dpv:PublicBenefit",
    )
    sha256 = asked(connection).sha256
    assert sha256 not in leaf
    assert [(opening.name, opening.value) for opening in step.openings] == [("draft", sha256)]


def test_a_grant_answers_a_request(connection: Connection) -> None:
    asked(connection)
    officer = "0x" + "11" * 20
    step = mark_granted(connection, DRAFT.id, GRANT, actor=officer, now=NOW + timedelta(days=1))
    assert step.request.state == "granted"
    assert step.request.grant_id == step.event.grant == GRANT
    assert (step.event.department, step.event.officer, step.event.service) == (7, officer, None)
    again = mark_granted(connection, DRAFT.id, GRANT, actor=officer, now=NOW + timedelta(days=2))
    assert again.event == step.event
    assert not again.new


def test_a_refusal_needs_a_known_reason_and_words(connection: Connection) -> None:
    asked(connection)
    for reason, words in (("because", "no"), ("security", "  ")):
        with pytest.raises(RequestError):
            refuse(connection, DRAFT.id, reason=reason, explanation=words, actor="key-7", now=NOW)
    step = refuse(
        connection, DRAFT.id, reason="scope-too-wide", explanation="Stations only.", actor="key-7", now=NOW
    )
    assert step.event.reasons == ("scope-too-wide",)
    assert step.event.department == 7
    stored = requests.find_request(connection, DRAFT.id)
    assert stored is not None
    assert (stored.state, stored.explanation, stored.decided_by) == ("refused", "Stations only.", "key-7")


def test_an_answered_request_stays_answered(connection: Connection) -> None:
    asked(connection)
    withdraw(connection, DRAFT.id, actor="key-9a", now=NOW)
    for step in (
        lambda: mark_granted(connection, DRAFT.id, GRANT, actor="key-7", now=NOW),
        lambda: refuse(connection, DRAFT.id, reason="quality", explanation="x", actor="key-7", now=NOW),
    ):
        with pytest.raises(RequestError) as caught:
            step()
        assert caught.value.code == "request.state"
    with pytest.raises(RequestError) as unknown:
        withdraw(connection, UUID(int=99), actor="key-9a", now=NOW)
    assert unknown.value.code == "not-found.request"


@pytest.mark.parametrize(
    "draft",
    [
        replace(DRAFT, requester=0),
        replace(DRAFT, purpose=" "),
        replace(DRAFT, legal_basis=""),
        replace(DRAFT, note="x" * 2_001),
        replace(DRAFT, columns=("a", "a")),
        replace(DRAFT, ends=NOW),
        replace(DRAFT, starts=datetime(2026, 1, 1), ends=datetime(2026, 2, 1)),
        replace(DRAFT, note="\ud800"),
    ],
)
def test_a_malformed_request_is_refused(connection: Connection, draft: Draft) -> None:
    with pytest.raises(RequestError) as caught:
        asked(connection, draft)
    assert caught.value.code == "request.invalid"


def test_pages_are_complete_while_requests_arrive(connection: Connection) -> None:
    for n in range(1, 8):
        asked(connection, replace(DRAFT, id=UUID(int=n)), NOW + timedelta(seconds=n // 3))
    seen: list[int] = []
    after = None
    while True:
        page = requests.list_requests(connection, provider=7, after=after, limit=3)
        seen += [r.draft.id.int for r in page.items]
        if page.next is None:
            break
        after = page.next
        if len(seen) == 3:
            asked(connection, replace(DRAFT, id=UUID(int=50)), NOW + timedelta(days=1))
    assert seen == [1, 2, 3, 4, 5, 6, 7, 50]
    assert not requests.list_requests(connection, provider=8).items
    assert len(requests.list_requests(connection, requester=9, asset=AIR, state="submitted").items) == 8
    with pytest.raises(CursorError):
        requests.list_requests(connection, after="yesterday")
    with pytest.raises(CursorError):
        requests.list_requests(connection, limit=0)
