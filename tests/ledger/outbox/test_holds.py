"""What a lost act took away: every event of the contracts is told apart, and only the same act lifts a hold."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import SQLModel

from ledger.chain.events import Event
from ledger.lost_acts import NO_ACTS
from ledger.outbox.holds import LostAct, args_of, hold, hold_again, lift, lost, taken
from ledger.projection.entries import TYPES
from ledger.store.engine import open_engine

GIVES = frozenset(
    {
        "DepartmentAdmitted", "DepartmentLifted", "OfficerAdded", "AttestKeyAdded", "ServiceKeyAdded",
        "RecoveryStarted", "VetoOverridden", "AdmissionProposed", "Unpaused", "PrivilegeRestored",
        "AssetRegistered", "AssetDerived", "AssetLifted", "CoSigned", "Granted", "GlassBroken", "Ratified",
        "Budgeted", "StatementCommitted", "StatementSuperseded", "DisputeRaised", "DisputeClosed", "Settled",
        "StatementFinal",
    }
)  # fmt: skip
"""What these gave is not there when they are lost, or is money, which the pools settle: nothing is denied."""

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
}


def event(name: str, block: int, **args: Any) -> Event:
    return Event(name, "SharingLedger", ARGS | args, block, "0x00", 0, "0x00", 0)


def act(name: str, **args: Any) -> LostAct:
    took = taken(name, ARGS | args)
    assert took is not None
    return LostAct("entry", 3, name, took.kind, took.target, took.detail, 7, None)


@pytest.fixture
def connection(tmp_path: Any) -> Any:
    engine = open_engine(f"sqlite:///{tmp_path / 'holds.sqlite'}")
    SQLModel.metadata.create_all(engine)
    with engine.begin() as open_one:
        yield open_one
    engine.dispose()


def test_every_event_either_takes_something_away_or_gives() -> None:
    takes = {name for name in TYPES if taken(name, ARGS) is not None}
    assert takes | GIVES | NO_ACTS == set(TYPES)
    assert not takes & (GIVES | NO_ACTS)


@pytest.mark.parametrize("name", sorted(name for name in TYPES if name not in GIVES | NO_ACTS))
def test_the_same_act_of_a_later_block_lifts_the_hold(connection: Any, name: str) -> None:
    hold(connection, [act(name)], 10)
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
        ("ServiceKeyRemoved", {"department": 8}),
        ("ServiceKeyRemoved", {"key": "0x" + "22" * 32}),
        ("OfficerRemoved", {"officer": "0xOther"}),
        ("RightTransferred", {"right": 1}),
        ("AdmissionCancelled", {"admission": "0x" + "33" * 32}),
    ],
)
def test_an_act_about_something_else_lifts_nothing(connection: Any, name: str, other: Any) -> None:
    hold(connection, [act(name)], 10)
    lift(connection, [event(name, 12, **other)])
    assert [one.held for one in lost(connection)] == [True]


def test_the_same_loss_told_twice_is_one_hold(connection: Any) -> None:
    hold(connection, [act("Revoked")], 10)
    hold(connection, [act("Revoked")], 10)
    assert len(lost(connection)) == 1


def test_arguments_are_read_from_the_facts_of_an_entry() -> None:
    facts = {"event": "AssetSuspended", "block": 7, "arg.asset": str(7 << 40 | 1), "arg.status": 2}
    took = taken("AssetSuspended", args_of(facts))
    assert took is not None
    assert took.target == "7.1"
