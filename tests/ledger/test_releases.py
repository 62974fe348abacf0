"""Nonces, charges and releases: no use is counted twice, none is lost, and states only move forward."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

import ledger.store.tables.calls  # noqa: F401
from ledger import releases
from ledger.releases import Release, ReleaseError
from ledger.store.engine import open_engine

NOW = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
GRANT = "0x" + "1" * 64
KEEP = timedelta(seconds=130)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    SQLModel.metadata.create_all(opened)
    yield opened
    opened.dispose()


def release(**changes: object) -> Release:
    values: dict[str, object] = {
        "id": "r1",
        "key_id": "7:ab",
        "idempotency_key": "k1",
        "request_hash": "h",
        "department": 7,
        "asset": "6.1",
        "grant_id": GRANT,
        "purpose": "dpv:PublicBenefit",
        "action": "read",
        "plan_hash": "p",
        "media_type": "json",
        "state": "streaming",
        "entry_id": "e",
        "charged_at": NOW,
    }
    return Release(**(values | changes))  # type: ignore[arg-type]


def test_a_nonce_is_good_once_per_key(engine: Engine) -> None:
    with engine.begin() as connection:
        assert releases.claim_nonce(connection, "7:ab", "n" * 16, NOW, KEEP)
        assert not releases.claim_nonce(connection, "7:ab", "n" * 16, NOW, KEEP)
        assert releases.claim_nonce(connection, "8:cd", "n" * 16, NOW, KEEP)


def test_a_nonce_is_forgotten_only_after_its_time(engine: Engine) -> None:
    with engine.begin() as connection:
        releases.claim_nonce(connection, "7:ab", "n" * 16, NOW, KEEP)
        later = NOW + KEEP + timedelta(seconds=1)
        assert not releases.claim_nonce(connection, "7:ab", "n" * 16, later, KEEP), (
            "no clock forgets by itself"
        )
        assert releases.forget_nonces(connection, NOW + KEEP) == 0
        assert releases.forget_nonces(connection, later) == 1
        assert releases.claim_nonce(connection, "7:ab", "n" * 16, later, KEEP)


def test_forgetting_takes_only_nonces_past_their_time(engine: Engine) -> None:
    with engine.begin() as connection:
        releases.claim_nonce(connection, "7:ab", "o" * 16, NOW - 2 * KEEP, KEEP)
        releases.claim_nonce(connection, "7:ab", "n" * 16, NOW, KEEP)
        assert releases.forget_nonces(connection, NOW) == 1
        assert not releases.claim_nonce(connection, "7:ab", "n" * 16, NOW, KEEP)


def test_concurrent_charges_never_exceed_the_limit(engine: Engine) -> None:
    def charge(_: int) -> bool:
        with engine.begin() as connection:
            return releases.charge(connection, GRANT, 20, NOW) is not None

    with ThreadPoolExecutor(50) as pool:
        granted = sum(pool.map(charge, range(200)))
    assert granted == 20
    with engine.begin() as connection:
        assert releases.used(connection, [GRANT])[GRANT].used == 20


def test_the_first_use_keeps_its_time(engine: Engine) -> None:
    with engine.begin() as connection:
        for hours in range(3):
            releases.charge(connection, GRANT, releases.UNLIMITED, NOW + timedelta(hours=hours))
        charges = releases.used(connection, [GRANT])[GRANT]
    assert (charges.used, charges.first) == (3, NOW)


def test_grant_with_zero_uses_is_exhausted(engine: Engine) -> None:
    with engine.begin() as connection:
        assert releases.charge(connection, GRANT, 0, NOW) is None
        assert releases.used(connection, [GRANT]) == {}


def test_the_same_idempotency_key_is_the_same_release(engine: Engine) -> None:
    with engine.begin() as connection:
        releases.open_release(connection, release())
        assert releases.find_by_idempotency(connection, "7:ab", "k1") == release()
        assert releases.find_by_idempotency(connection, "8:cd", "k1") is None


def test_digests_that_could_be_guessed_are_deleted(engine: Engine) -> None:
    plain, salted = "a" * 64, "b" * 43
    with engine.begin() as connection:
        releases.open_release(connection, release(id="old", idempotency_key="k0", digest=plain))
        releases.open_release(connection, release(id="asked", idempotency_key="k1", request_hash=plain))
        releases.open_release(
            connection, release(id="new", idempotency_key="k2", request_hash=salted, digest=salted)
        )
        assert releases.drop_plain_digests(connection) == 2
        kept = [releases.get(connection, name) for name in ("old", "asked", "new")]
        assert [(one.digest, one.request_hash) for one in kept if one] == [
            (None, ""),
            (None, ""),
            (salted, salted),
        ]
        assert releases.drop_plain_digests(connection) == 0


def test_a_release_moves_forward_only(engine: Engine) -> None:
    with engine.begin() as connection:
        releases.open_release(connection, release())
        with pytest.raises(ReleaseError):
            releases.move(connection, "r1", "streaming")
        releases.move(connection, "r1", "done", now=NOW, rows=3, size=40, digest="d")
        for state in ("streaming", "aborted", "done"):
            with pytest.raises(ReleaseError):
                releases.move(connection, "r1", state)
        done = releases.get(connection, "r1")
    assert done is not None
    assert (done.state, done.rows, done.size, done.digest, done.finished_at) == ("done", 3, 40, "d", NOW)


def test_aborted_release_continues_under_its_charge(engine: Engine) -> None:
    with engine.begin() as connection:
        releases.open_release(connection, release())
        for state in ("aborted", "streaming", "done"):
            releases.move(connection, "r1", state)  # type: ignore[arg-type]


def test_orphans_are_those_that_never_ended(engine: Engine) -> None:
    with engine.begin() as connection:
        for number, states in enumerate([[], ["aborted", "streaming"], ["done"], ["aborted"]]):
            releases.open_release(connection, release(id=f"r{number}", idempotency_key=f"k{number}"))
            for state in states:
                releases.move(connection, f"r{number}", state)  # type: ignore[arg-type]
        assert [orphan.id for orphan in releases.orphans(connection)] == ["r0", "r1"]


def test_a_database_that_lost_charges_starts_from_the_chains_total(engine: Engine) -> None:
    with engine.begin() as connection:
        assert releases.charge(connection, GRANT, 5, NOW, spent=4) == 5
        assert releases.charge(connection, GRANT, 5, NOW, spent=4) is None
