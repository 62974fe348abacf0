"""A lost accepted act is put back into the outbox if the contract accepts it, and otherwise keeps denying."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from ledger.audit.log.append import NewEntry
from ledger.clock import Timekeeper
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.holds import register_log_facts
from ledger.lost.taken_in_log import taken_again
from ledger.outbox import ActNotifier, SignedAct, pending_revocations
from ledger.outbox.again import send_again
from ledger.outbox.store import find
from ledger.store.engine import reader


@pytest.fixture
def told(city: Any) -> Any:
    """A city whose log is read for the denials of acts, as in the service."""
    register_log_facts(city.engine, UsesInLog(city.log))
    city.follow()
    return city


def settle(city: Any, identity: str) -> Any:
    notifier = ActNotifier(city.engine)
    with city.relayer(notifier, poll_s=0.01), city.follower(notifier=notifier, poll_s=0.01):
        return notifier.wait(identity, 20)


def given(city: Any, tools: Any, to: int = 9) -> str:
    act = city.grant(tools.AIR, to)
    assert settle(city, city.accept(act).id).state == "recorded"
    return str(tools.grant_id(act))


def entries_of(city: Any, identity: str) -> list[NewEntry]:
    """The entries of the accepted act, as they are written again in the continued log."""
    leaves = [orjson.loads(entry.leaf) for entry in city.log.entries(0, city.log.size)]
    taken = [leaf for leaf in leaves if leaf["facts"].get("taken_act") == identity]
    return [NewEntry(taken_again(leaf, "a new origin", datetime.now(UTC))) for leaf in taken]


def lose(city: Any) -> None:
    """The outbox contains no act."""
    with city.engine.begin() as connection:
        for table in ("outbox_denial", "outbox_transaction", "outbox_act"):
            connection.execute(text(f"DELETE FROM {table}"))


def sent(city: Any, *documents: Mapping[str, Any]) -> list[str]:
    acts = [SignedAct.from_json(one) for one in documents]
    ids = [act.id(city.deployment) for act in acts]
    found = send_again(
        {one: (act, entries_of(city, one)) for one, act in zip(ids, acts, strict=True)},
        city.relayer(),
        city.writer,
        city.engine,
        city.chain,
        city.deployment,
        Timekeeper(city.clock),
    )
    return [found[one] for one in ids]


def denied(city: Any) -> Mapping[str, str]:
    with reader(city.engine).connect() as connection:
        return pending_revocations(connection)


def state(city: Any, identity: str) -> str | None:
    with reader(city.engine).connect() as connection:
        record = find(connection, identity)
    return None if record is None else str(record.state)


def test_resent_act_is_decided_like_any_other(told: Any, tools: Any) -> None:
    grant = given(told, tools)
    revocation = told.revocation(grant, "7:steward")
    act = told.accept(revocation).id
    lose(told)
    assert sent(told, revocation) == ["sent-again"]
    assert (state(told, act), denied(told)) == ("submitted", {grant: "revoked"})
    before = told.log.size
    assert sent(told, revocation) == ["sent-again"], "a run that broke off is repeated"
    assert told.log.size == before
    assert (settle(told, act).state, denied(told)) == ("recorded", {})


def test_expired_or_refused_lost_act_keeps_denying(told: Any, tools: Any) -> None:
    late, foreign, sound = (given(told, tools, to) for to in (9, 1, 9))
    documents = [
        told.act("Revoke", {"grant": late, "reason": 1, "deadline": told.now() + 60}, "7:steward"),
        told.revocation(foreign, "7:steward"),
        told.revocation(sound, "7:cdo"),
    ]
    for one in documents:
        told.accept(one)
    documents[1] |= {"signatures": told.sign("Revoke", documents[1]["message"], "9:steward")}
    lose(told)
    told.clock.advance(61)
    assert sent(told, *documents) == ["act.expired", "act.refused", "sent-again"]
    ids = [SignedAct.from_json(one).id(told.deployment) for one in documents]
    assert [state(told, one) for one in ids] == [None, None, "submitted"]
    assert settle(told, ids[2]).state == "recorded"
    assert denied(told) == {late: "revoked", foreign: "revoked"}
