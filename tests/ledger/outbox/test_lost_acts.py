"""Of the lost acts about one target the last counts: what was undone in the lost part needs no hold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from ledger.lost.held_in_log import held_entry
from ledger.lost.lost_act import LostAct, lifts, still_taken, taken
from ledger.lost.lost_acts import LostEntry, is_act, lost_acts
from ledger.store.engine import reader

NOW = datetime(2026, 11, 29, tzinfo=UTC)

ASSET = 7 << 40 | 1
HOLDER, BUREAU, BOTH, ACTIVE = 2, 3, 5, 1


def lost(position: int, event: str, **args: object) -> tuple[LostAct, dict[str, object]]:
    took = taken(event, args)
    kind, target, detail = (took.kind, took.target, took.detail) if took else ("", "", "")
    return LostAct(f"entry {position}", position, event, kind, target, detail, 7, f"act {position}"), args


def of_asset(*steps: tuple[str, int], asset: int = ASSET) -> list[tuple[LostAct, dict[str, object]]]:
    return [
        lost(place, f"Asset{verb}", asset=asset, status=status) for place, (verb, status) in enumerate(steps)
    ]


S, L = "Suspended", "Lifted"


@pytest.mark.parametrize(
    ("steps", "held"),
    [
        ([(S, HOLDER)], {0: HOLDER}),
        ([(S, HOLDER), (L, ACTIVE)], {}),
        ([(S, HOLDER), (L, ACTIVE), (S, HOLDER)], {2: HOLDER}),
        ([(L, ACTIVE), (S, BUREAU)], {1: BUREAU}),
        ([(S, HOLDER), (S, BOTH)], {0: HOLDER, 1: BOTH}),
        ([(S, HOLDER), (S, BOTH), (L, HOLDER)], {0: HOLDER, 1: HOLDER}),
        ([(S, HOLDER), (S, BOTH), (L, BUREAU)], {1: BUREAU}),
        ([(S, BUREAU), (S, BOTH), (L, HOLDER)], {1: HOLDER}),
        ([(S, BOTH), (L, BUREAU)], {0: BUREAU}),
        ([(S, BOTH), (L, BUREAU), (L, ACTIVE)], {}),
    ],
)
def test_a_dataset_follows_the_last_event(steps: list[tuple[str, int]], held: dict[int, int]) -> None:
    found = still_taken(of_asset(*steps))
    assert {one.position: int(one.detail) for one in found if one.held} == held
    assert len(found) == len(steps), "every lost act is still told of"


def test_only_the_matching_act_undoes_a_loss() -> None:
    another = of_asset((L, ACTIVE), asset=ASSET + 1)
    retired = [lost(3, "AssetRetired", asset=ASSET)]
    found = still_taken([*of_asset((S, HOLDER)), *retired, *another])
    assert [one.event for one in found if one.held] == ["AssetSuspended", "AssetRetired"]
    lifted = still_taken([*retired, *of_asset((L, ACTIVE))])
    assert [one.event for one in lifted if one.held] == ["AssetRetired"]


def test_departments_and_pauses_follow_the_last_event_as_well() -> None:
    stopped = [lost(0, "DepartmentSuspended", department=7), lost(1, "Paused", until=9)]
    assert [one.event for one in still_taken(stopped) if one.held] == ["DepartmentSuspended", "Paused"]
    ended = [*stopped, lost(2, "DepartmentLifted", department=8), lost(3, "Unpaused")]
    assert [one.event for one in still_taken(ended) if one.held] == ["DepartmentSuspended"]
    ended.append(lost(4, "DepartmentLifted", department=7))
    assert not [one for one in still_taken(ended) if one.held]


def passed(*ways: tuple[int, int], right: int = 2) -> list[tuple[LostAct, dict[str, object]]]:
    return [
        lost(place, "RightTransferred", **{"asset": ASSET, "right": right, "from": one, "to": other})
        for place, (one, other) in enumerate(ways)
    ]


@pytest.mark.parametrize(
    ("ways", "applied", "held"),
    [
        ([(7, 8)], [], [0]),
        ([(7, 8), (8, 7)], [], []),
        ([(7, 8), (8, 7)], [0], [1]),
        ([(7, 8), (8, 7)], [0, 1], []),
        ([(7, 8), (8, 9)], [], [1]),
        ([(7, 8), (8, 9), (9, 7)], [], []),
        ([(7, 8), (8, 9), (9, 7)], [0, 1], [2]),
        ([(7, 8), (8, 7), (7, 9)], [], [2]),
    ],
)
def test_a_right_follows_the_last_act_that_passed_it_on(
    ways: list[tuple[int, int]], applied: list[int], held: list[int]
) -> None:
    found = still_taken(passed(*ways), [f"act {place}" for place in applied])
    assert [one.position for one in found if one.held] == held


def test_right_passed_on_and_back_is_held_until_both_acts_are_recorded() -> None:
    """Regression: after a reorganisation, the first of two acts in a block lifted the hold of the second."""
    (_, first), (_, second) = ways = passed((7, 8), (8, 7))
    (back,) = [one for one in still_taken(ways) if one.held]
    assert back.position == 1
    there, home = taken("RightTransferred", first), taken("RightTransferred", second)
    assert there is not None
    assert home is not None
    assert not lifts(back, "RightTransferred", there)
    assert lifts(back, "RightTransferred", home)


def test_rights_are_tracked_separately() -> None:
    found = still_taken([*passed((7, 8)), *passed((7, 8), right=3), *passed((8, 7), right=3)], [])
    assert [one.detail for one in found if one.held] == ["2:8"]
    older = LostAct("an entry", 0, "RightTransferred", "asset", "7.1", "2", 7, None)
    (_, args), *_ = passed((8, 7))
    now = taken("RightTransferred", args)
    assert now is not None
    assert lifts(older, "RightTransferred", now)


def test_lost_hold_is_restored(city: Any) -> None:
    """A chain undid a revocation, so it was held; then the newest part of the log is lost, with the hold in
    it."""
    (one, _), (other, _) = (lost(3, "Revoked", grant="0x" + "ab" * 32), lost(4, "AssetRetired", asset=ASSET))
    holds = [replace(act, entry=str(uuid4())) for act in (one, other)]
    events = [json.loads(held_entry("a reorganisation", act, NOW).canonical()) for act in holds]
    again = {
        "type": "chain:asset:retired",
        "id": str(uuid4()),
        "facts": {
            "event": "AssetRetired",
            "arg.asset": str(ASSET),
            "block": 9,
            "block_hash": city.chain.block(0).hash,
        },
        "department": 7,
    }
    entries = [LostEntry(index, event) for index, event in enumerate([*events, again], 50)]
    assert all(is_act(entry.event) for entry in entries)
    with reader(city.engine).connect() as connection:
        told = lost_acts(connection, city.chain, entries)
    kept = [(act.entry, act.event, act.target) for act in told if act.event == "Revoked"]
    assert kept == [(holds[0].entry, "Revoked", "0x" + "ab" * 32)]
    assert holds[1].entry not in {act.entry for act in told}, "it was signed again before the loss"
