"""A new version that awaits its file is accepted and not sent, until its file arrives or its deadline passes."""

from __future__ import annotations

from typing import Any

import pytest

from api.acts.allowance import must_have_room
from api.runtime.errors import RefusedError
from api.runtime.settings import Settings
from ledger.audit.log.writer import JobResult
from ledger.catalogue.metadata import parse_metadata
from ledger.chain.signers import address_of
from ledger.outbox import SignedAct, accept, find, on_its_way
from ledger.outbox.allowance import submitted_acts
from ledger.outbox.store import ActRecord, acts_of_type, file_came, open_messages
from ledger.store.engine import reader
from tests.ledger.conftest import AIR, metadata, secret


@pytest.fixture
def followed(city: Any) -> Any:
    city.follow()
    return city


def version(city: Any, title: str = "Corrected", **more: int) -> SignedAct:
    entry = metadata(title)
    message = {"asset": AIR, "version": 2, "metadata": parse_metadata(entry).chain_hash} | more
    return SignedAct.from_json(city.act("NewVersion", message, "7:steward", documents=[entry]))


def taken(city: Any, act: SignedAct) -> str:
    def job(connection: Any) -> JobResult[Any]:
        return JobResult(accept(connection, city.deployment, act, city.moment(), awaits_file=True))

    return str(city.writer.submit(job).result().value.id)


def record_of(city: Any, identity: str) -> ActRecord:
    with reader(city.engine).connect() as connection:
        found = find(connection, identity)
    assert found is not None
    return found


def come(city: Any, identity: str) -> bool:
    return bool(city.writer.submit(lambda c: JobResult(file_came(c, identity))).result().value)


def rounds(city: Any) -> None:
    relayer = city.relayer()
    for _ in range(3):
        relayer.step()
        city.chain.mine()
        city.follow()


def test_version_is_sent_only_after_its_file_arrived(followed: Any) -> None:
    act = version(followed)
    identity = taken(followed, act)
    rounds(followed)
    assert record_of(followed, identity).state == "awaiting-file"
    with reader(followed.engine).connect() as connection:
        assert not on_its_way(connection)  # Nothing changes yet; the chain checks further acts.
        assert [one["metadata"] for one in open_messages(connection, ["NewVersion"])] == [
            act.message["metadata"]
        ]
        assert submitted_acts(connection, 7, 0).waiting == 1
    assert taken(followed, act) == identity
    assert come(followed, identity)
    assert not come(followed, identity)
    rounds(followed)
    assert record_of(followed, identity).state == "recorded"


def test_waiting_version_expires_without_a_block(followed: Any) -> None:
    identity = taken(followed, version(followed))
    followed.clock.advance(3 * 3_600)
    followed.relayer(clock=followed.clock).step()
    record = record_of(followed, identity)
    assert (record.state, record.code, record.tx_hash) == ("expired", "act.expired", None)
    assert record.deadline is not None
    with reader(followed.engine).connect() as connection:
        assert [one.id for one in acts_of_type(connection, "NewVersion", ("expired",), record.deadline)] == [
            identity
        ]
        assert not acts_of_type(connection, "NewVersion", ("expired",), record.deadline + 1)
    assert not come(followed, identity)


def test_first_complete_of_two_competing_versions_is_recorded(followed: Any) -> None:
    first, second = (taken(followed, version(followed, title)) for title in ("One", "Another"))
    assert come(followed, second)
    rounds(followed)
    assert record_of(followed, second).state == "recorded"
    over = record_of(followed, first)
    assert (over.state, over.code, over.tx_hash) == ("failed", "act.refused", None)
    assert over.reason == "version 2 is on record already"
    assert not come(followed, first)


def test_bytes_of_acts_within_an_hour_are_limited(followed: Any) -> None:
    """Documents are stored, also those of versions that never take effect, so a stolen steward's key must not
    fill the disk."""
    first, second = version(followed, "One"), version(followed, "Another")
    taken(followed, first)

    def handing_in(most: int) -> None:
        settings = Settings.given(department_act_bytes=most)
        with reader(followed.engine).connect() as connection:
            must_have_room(connection, settings, followed.deployment, second, followed.moment())

    with reader(followed.engine).connect() as connection:
        handed = submitted_acts(connection, 7, 0)
    documents = sum(map(len, first.documents))
    assert documents < handed.size
    handing_in(handed.size + 2 * handed.size)
    with pytest.raises(RefusedError) as refused:
        handing_in(handed.size + documents // 2)
    assert refused.value.code == "act.too-many"
    assert 0 < refused.value.retry_after_s <= 3_600


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ("RemoveOfficer", f"{address_of(secret('7:steward'))} signed and is not in office any more"),
        ("RetireAsset", "the dataset is retired"),
    ],
)
def test_acts_that_can_no_longer_be_recorded_do_not_count(followed: Any, act: str, why: str) -> None:
    """An attacker with a steward's key fills the department's quota with versions whose files never arrive
    and whose deadlines are years away."""
    waiting = [
        taken(followed, version(followed, f"Version {number}", deadline=2**40 - 1)) for number in range(3)
    ]
    if act == "RemoveOfficer":
        ending = followed.act(act, {"officer": address_of(secret("7:steward"))}, "7:admin")
    else:
        ending = followed.act(act, {"asset": AIR}, "7:steward", "7:admin")
    rounds(followed)
    with reader(followed.engine).connect() as connection:
        assert submitted_acts(connection, 7, 0).waiting == 3
    followed.accept(ending)
    rounds(followed)
    assert {(record_of(followed, one).state, record_of(followed, one).reason) for one in waiting} == {
        ("failed", why)
    }
    with reader(followed.engine).connect() as connection:
        assert submitted_acts(connection, 7, 0).waiting == 0
