"""What a lost act denied: every event of the contracts is distinguished, and only the same act lifts a hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import SQLModel

from ledger.chain.events import Event
from ledger.lost.held_in_log import REVERTED, HeldInLog, held_entry
from ledger.lost.holds import hold, hold_again, lift, lost
from ledger.lost.lost_act import LostAct, args_of, taken
from ledger.lost.lost_acts import NO_ACTS
from ledger.projection.entries import TYPES
from ledger.store.engine import open_engine

GIVES = frozenset(
    {
        "DepartmentAdmitted", "DepartmentLifted", "OfficerAdded", "AttestKeyAdded", "ServiceKeyAdded",
        "RecoveryStarted", "VetoOverridden", "AdmissionProposed", "Unpaused", "PrivilegeRestored",
        "AssetRegistered", "AssetDerived", "AssetLifted", "CoSigned", "Granted", "GlassBroken", "Ratified",
        "Budgeted", "StatementCommitted", "StatementSuperseded", "Objected", "LinesShown", "DisputeRaised",
        "DisputeClosed", "Settled", "StatementFinal", "ConditionOpened", "RevokePassedOver",
        "ParentRenewed", "UsesCorrected", "HandOverAnnounced", "HandOverCalledOff",
    }
)  # fmt: skip
"""These acts gave something that is absent if they are lost, or they are about money, which the pools settle,
so nothing is denied."""

ARGS: dict[str, Any] = {
    "grant": "0x" + "ab" * 32,
    "asset": 7 << 40 | 1,
    "department": 7,
    "key": "0x" + "cd" * 32,
    "officer": "0xOfficer",
    "from": "0xFrom",
    "to": "0xTo",
    "right": 2,
    "until": 99,
    "admission": "0x" + "ef" * 32,
    "condition": 3 << 40 | 1,
    "status": 2,
    "recovery": "0x" + "aa" * 32,
}


def event(name: str, block: int, **args: Any) -> Event:
    return Event(name, "SharingLedger", ARGS | args, block, "0x00", 0, "0x00", 0)


def act(name: str, **args: Any) -> LostAct:
    took = taken(name, ARGS | args)
    assert took is not None
    return LostAct("entry", 3, name, took.kind, took.target, took.detail, 7, None, 10)


@pytest.fixture
def connection(tmp_path: Any) -> Any:
    engine = open_engine(f"sqlite:///{tmp_path / 'holds.sqlite'}")
    SQLModel.metadata.create_all(engine)
    with engine.begin() as open_one:
        yield open_one
    engine.dispose()


def test_every_event_is_classified_as_denying_or_giving() -> None:
    takes = {name for name in TYPES if taken(name, ARGS) is not None}
    assert takes | GIVES | NO_ACTS == set(TYPES)
    assert not takes & (GIVES | NO_ACTS)


@pytest.mark.parametrize("name", sorted(name for name in TYPES if name not in GIVES | NO_ACTS))
def test_the_same_act_of_a_later_block_lifts_the_hold(connection: Any, name: str) -> None:
    hold(connection, [act(name)])
    lift(connection, [event(name, 10)])
    assert [one.held for one in lost(connection)] == [True], "the block of the loss itself lifts nothing"
    lift(connection, [event("AssetLifted", 11), event("DepartmentLifted", 11), event("Granted", 11)])
    assert [one.held for one in lost(connection)] == [True]
    lift(connection, [event(name, 12)])
    assert [one.held for one in lost(connection)] == [False]
    hold_again(connection, 11)
    assert [one.held for one in lost(connection)] == [True], "the block that lifted it is gone"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Revoked", {"grant": "0x" + "11" * 32}),
        ("AssetSuspended", {"asset": 7 << 40 | 2}),
        ("AssetSuspended", {"status": 3}),
        ("RecoveryCancelled", {"recovery": "0x" + "44" * 32}),
        ("ServiceKeyRemoved", {"department": 8}),
        ("ServiceKeyRemoved", {"key": "0x" + "22" * 32}),
        ("OfficerRemoved", {"officer": "0xOther"}),
        ("RightTransferred", {"right": 1}),
        ("AdmissionCancelled", {"admission": "0x" + "33" * 32}),
    ],
)
def test_an_act_about_something_else_lifts_nothing(connection: Any, name: str, other: Any) -> None:
    hold(connection, [act(name)])
    lift(connection, [event(name, 12, **other)])
    assert [one.held for one in lost(connection)] == [True]


def test_hold_ends_when_both_suspensions_are_repeated(connection: Any) -> None:
    hold(connection, [act("AssetSuspended", status=3)])
    lift(connection, [event("AssetSuspended", 12, status=5)])
    assert [one.held for one in lost(connection)] == [False]


def test_repeated_loss_makes_one_hold(connection: Any) -> None:
    hold(connection, [act("Revoked")])
    hold(connection, [act("Revoked")])
    assert len(lost(connection)) == 1


def test_arguments_are_read_from_the_facts_of_an_entry() -> None:
    facts = {"event": "AssetSuspended", "block": 7, "arg.asset": str(7 << 40 | 1), "arg.status": 2}
    took = taken("AssetSuspended", args_of(facts))
    assert took is not None
    assert took.target == "7.1"


def leaf(name: str, block: int, identity: str) -> dict[str, Any]:
    facts = {"event": name, "block": block} | {f"arg.{key}": value for key, value in ARGS.items()}
    return {"type": TYPES[name], "id": identity, "facts": facts}


@pytest.mark.parametrize("name", sorted(name for name in TYPES if name not in GIVES | NO_ACTS))
def test_holds_are_read_from_the_log_alone(name: str) -> None:
    entry = held_entry("origin", act(name), datetime(2026, 11, 28, tzinfo=UTC))
    told = HeldInLog()
    told.take(json.loads(entry.canonical()))
    assert told.every() == [act(name)], "the entry tells the whole row"
    told.take(leaf(name, 10, "a"))
    told.take(leaf("AssetLifted", 11, "b"))
    assert told.held() == [act(name)]
    told.take(leaf(name, 12, "c"))
    assert told.held() == []
    assert HeldInLog.from_json(json.loads(json.dumps(told.to_json()))).every() == told.every()
    told.take({"type": REVERTED, "id": "d", "facts": {"reverts": "c"}})
    assert told.held() == [act(name)], "the chain took the act back"
