"""The denials of an accepted act are in the log, and the entries about an act do not depend on changed
rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from ledger.audit.formats.events import Event, read_event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.grants.uses_in_log import UsesInLog
from ledger.ids import asset_text
from ledger.lost.holds import register_log_facts
from ledger.lost.taken_in_log import refused_entry
from ledger.outbox import ActNotifier, PendingRevocations, pending_callers, pending_revocations
from ledger.outbox.store import find
from ledger.projection.commit import read_cursor, roll_back
from ledger.store.engine import reader

NO_REASON = {"reason": "0x" + "00" * 32, "salt": 7}


@pytest.fixture
def told(city: Any) -> Any:
    """A city whose log is read for the denials of acts, as in the service."""
    register_log_facts(city.engine, UsesInLog(city.log))
    city.follow()
    return city


def settle(city: Any, *identities: str) -> list[Any]:
    notifier = ActNotifier(city.engine)
    with city.relayer(notifier, poll_s=0.01), city.follower(notifier=notifier, poll_s=0.01):
        return [notifier.wait(identity, 20) for identity in identities]


def run(city: Any, *statements: str) -> None:
    with city.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def denied(city: Any) -> Mapping[str, str]:
    with reader(city.engine).connect() as connection:
        found = PendingRevocations().of(connection)
        assert found == pending_revocations(connection)
        return found


def state(city: Any, identity: str) -> str:
    with reader(city.engine).connect() as connection:
        record = find(connection, identity)
    assert record is not None
    return str(record.state)


def entries(city: Any, kind: str) -> list[Event]:
    found = [read_event(entry.leaf) for entry in city.log.entries(0, city.log.size)]
    return [event for event in found if event.type == kind]


def given(city: Any, tools: Any, to: int = 9, **changes: Any) -> str:
    granted = city.grant(tools.AIR, to, **changes)
    (record,) = settle(city, city.accept(granted).id)
    assert record.state == "recorded"
    return str(tools.grant_id(granted))


def test_only_the_chains_event_ends_a_denial(told: Any, tools: Any) -> None:
    grant = given(told, tools)
    act = told.accept(told.revocation(grant, "7:steward")).id
    run(told, "DELETE FROM outbox_denial", "UPDATE outbox_act SET state = 'failed', type = 'Use'")
    run(told, "UPDATE sharing_grant SET state = 2, asset = '9.9'")
    assert denied(told) == {grant: "revoked"}
    run(told, "UPDATE sharing_grant SET state = 1, asset = '7.12'", "UPDATE outbox_act SET type = 'Revoke'")
    told.relayer().step()  # Its rows said that it had failed.
    (record,) = settle(told, act)
    assert (record.state, denied(told)) == ("recorded", {})
    (entry,) = entries(told, "log:act:taken")
    assert (entry.department, entry.grant, entry.facts["denies.0"]) == (7, grant, f"grant:{grant}")


def test_scope_of_a_denial_is_in_the_log(told: Any, tools: Any) -> None:
    parent = told.grant(tools.AIR, 9, depth=2, maxUses=50)
    (_,) = settle(told, told.accept(parent).id)
    over = {
        "parent": tools.grant_id(parent),
        "depth": 1,
        "maxUses": 20,
        "expiry": parent["message"]["expiry"],
    }
    child = told.grant(tools.AIR, 1, "9:steward", **over, arguments={"chain": [parent["message"]]})
    (_,) = settle(told, told.accept(child).id)
    both = {tools.grant_id(parent), tools.grant_id(child)}
    run(
        told,
        "UPDATE sharing_grant SET parent = NULL, grantee = 3, asset = '9.9'",
        "UPDATE asset SET holder = 9, processor = 9, operator = 9",
    )
    for kind, message, name in (
        ("Revoke", {"grant": tools.grant_id(parent), "reason": 1}, "7:cdo"),
        ("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward"),
        ("SuspendDepartment", {"department": 7, **NO_REASON}, "7:admin"),
        ("SuspendDepartment", {"department": 9, **NO_REASON}, "9:admin"),
    ):
        # The check before acceptance uses rows as well.
        run(told, "UPDATE asset SET holder = 7, processor = 7, operator = 7")
        run(told, "UPDATE sharing_grant SET asset = '7.12'")
        act = told.accept(told.act(kind, message, name)).id
        run(told, "UPDATE asset SET holder = 9, processor = 9, operator = 9")
        run(told, "UPDATE sharing_grant SET asset = '9.9'")
        assert set(denied(told)) == both, kind
        with reader(told.engine).connect() as connection:
            departments, _ = pending_callers(connection)
        assert (message.get("department") in departments) is (kind == "SuspendDepartment")
        told.writer.submit(lambda connection, act=act: JobResult(None, [refusal(act)])).result()
        run(told, "DELETE FROM outbox_denial")
        assert denied(told) == {}


def refusal(act: str) -> NewEntry:
    return refused_entry(act, "act.refused", None, datetime.now(UTC))


def test_refusal_of_another_transaction_ends_no_denial(told: Any, tools: Any) -> None:
    """A reverted transaction is recorded for the revocation; its signatures are replaced, so that the chain
    refuses it."""
    grant, other = given(told, tools), given(told, tools, 1)
    first, again = (
        told.accept(told.act("Revoke", {"grant": other, "reason": reason}, "7:steward")).id
        for reason in (1, 2)
    )
    gone, refused = settle(told, first, again)
    assert (gone.state, refused.state) == ("recorded", "failed")
    assert denied(told) == {}, "what the chain has ended needs no denial"
    before = len(entries(told, "log:act:refused"))
    act = told.accept(told.revocation(grant, "7:steward")).id
    run(
        told,
        f"UPDATE outbox_transaction SET digest = '{act}', open = TRUE WHERE tx_hash = '{refused.tx_hash}'",
    )
    signatures = json.dumps({"signature": ["0x" + "11" * 65]})
    run(told, f"UPDATE outbox_act SET signatures = '{signatures}', deadline = 1 WHERE digest = '{act}'")
    relayer = told.relayer()
    for _ in range(3):
        relayer.step()
    assert relayer.failure is not None
    assert relayer.failure.code == "act.undeliverable"
    assert denied(told) == {grant: "revoked"}
    assert len(entries(told, "log:act:refused")) == before


def test_a_suspension_expires_by_its_signed_deadline_only(told: Any, tools: Any) -> None:
    grant = given(told, tools)
    act = told.accept(told.act("SuspendAsset", {"asset": tools.AIR, **NO_REASON}, "7:steward")).id
    run(told, "UPDATE outbox_act SET deadline = 1")
    told.relayer()._expire(told.now())
    assert (state(told, act), denied(told)) == ("received", {grant: "revoked"})
    told.clock.advance(3 * 3_600)
    run(told, "UPDATE outbox_act SET deadline = 2")
    (record,) = settle(told, act)
    assert (record.state, denied(told)) == ("expired", {})
    (entry,) = entries(told, "log:act:refused")
    assert entry.facts["code"] == "act.expired"
    revocation = told.accept(told.revocation(grant, "7:steward")).id
    told.clock.advance(3 * 3_600)
    (record,) = settle(told, revocation)
    assert (record.state, denied(told)) == ("expired", {grant: "revoked"})
    # Signed again, it is recorded, and only the chain denies.
    (record,) = settle(told, told.accept(told.revocation(grant, "7:steward")).id)
    assert record.state == "recorded"
    run(told, "DELETE FROM outbox_denial")
    assert denied(told) == {}


def test_entries_do_not_depend_on_changed_rows(told: Any, tools: Any) -> None:
    grant, other = given(told, tools), given(told, tools, 1)
    first = told.accept(told.revocation(grant, "7:steward")).id
    second = told.accept(told.revocation(other, "7:cdo")).id
    relayer = told.relayer()
    relayer.step()
    run(
        told,
        f"UPDATE outbox_transaction SET digest = CASE digest WHEN '{first}' THEN '{second}' ELSE '{first}' END",
        "UPDATE seat SET department = 9",
        "UPDATE sharing_grant SET grantor = 9, asset = '9.9'",
    )
    settle(told, first, second)
    revoked = {event.grant: event for event in entries(told, "chain:grant:revoked")}
    assert {one: event.facts.get("act") for one, event in revoked.items()} == {grant: first, other: second}
    assert {(event.department, event.asset) for event in revoked.values()} == {(7, asset_text(tools.AIR))}


def test_rollback_entries_are_made_from_entries(told: Any, tools: Any) -> None:
    grant = given(told, tools)
    (_,) = settle(told, told.accept(told.revocation(grant, "7:steward")).id)
    (revoked,) = entries(told, "chain:grant:revoked")
    with reader(told.engine).connect() as connection:
        cursor = read_cursor(connection)
    assert cursor is not None
    forged = json.dumps({"grant": "0x" + "66" * 32, "reason": 1, "officer": "0x" + "00" * 20})
    run(
        told,
        f"UPDATE chain_event SET args = '{forged}', name = 'Cancelled' WHERE name = 'Revoked'",
        "DELETE FROM outbox_transaction",
    )
    block = told.chain.block(int(revoked.facts["block"]) - 1)

    def undo(connection: Any) -> JobResult[None]:
        return JobResult(
            None, roll_back(connection, told.deployment, block.number, block.hash, told.moment())
        )

    told.writer.submit(undo).result()
    reverted = {event.facts["reverts"]: event for event in entries(told, "chain:reorg:reverted")}
    assert reverted[str(revoked.id)].facts["event"] == "Revoked"
    assert {event.grant for event in reverted.values()} <= {grant, None}
    (held,) = entries(told, "log:act:held")
    assert (held.grant, held.facts["lost_act"]) == (grant, revoked.facts["act"])
    assert set(denied(told)) == {grant}
    assert len(reverted) == len({event.facts["log_index"] for event in reverted.values()})


def test_saved_state_equals_the_state_read_from_the_log(told: Any, tools: Any, tmp_path: Any) -> None:
    grant = given(told, tools)
    told.accept(told.revocation(grant, "7:steward"))
    file = tmp_path / "uses.json"
    counted = UsesInLog(told.log, file)
    with reader(told.engine).connect() as connection:
        counted.follow(connection)
        counted.keep()
        again = UsesInLog(told.log, file)
        again.follow(connection)
        assert again.taken.denied() == counted.taken.denied() == {"grant": {grant}}
        assert again.reach({"asset": ["7.12"]}) == counted.reach({"asset": ["7.12"]}) == {grant}
        assert again.recorded_after(connection, 0) == counted.recorded_after(connection, 0)
        document = json.loads(file.read_text())
        del document["taken"]  # Of an earlier version.
        file.write_text(json.dumps(document))
        older = UsesInLog(told.log, file)
        older.follow(connection)
        assert older.taken.denied() == {"grant": {grant}}
