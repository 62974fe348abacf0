"""The council: admissions, its members, the pause, the successor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ledger.chain.events import Event
from ledger.projection.rows import Changes, Put, Rule, StateReader, changed, history

FOR_EVER = 2**40 - 1


def _admission_proposed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "id": args["admission"],
        "department": args["department"],
        "ready_at": args["readyAt"],
        "state": "proposed",
    }
    return (Put("admission", row),)


def _admission_cancelled(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "admission", args["admission"], state="cancelled"),)


def _council(state: StateReader, /, **values: Any) -> Changes:
    row = state.get("council", (1,)) or {
        "id": 1,
        "members": "[]",
        "threshold": 0,
        "guardian": "",
        "epoch": 0,
        "paused_until": 0,
        "pause_allowed_at": 0,
        "successor": None,
        "snapshot_root": None,
    }
    return (Put("council", row | values),)


def _council_replaced(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(
        state,
        members=json.dumps(args["members"]),
        threshold=args["threshold"],
        guardian=args["guardian"],
        epoch=args["epoch"],
    )


def _paused(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(state, paused_until=args["until"], pause_allowed_at=args["pauseAllowedAt"])


def _unpaused(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(state, paused_until=event.block_time - 1)


def _superseded(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(
        state,
        successor=args["successor"],
        snapshot_root=args["snapshotRoot"],
        paused_until=FOR_EVER,
        pause_allowed_at=FOR_EVER,
    )


RULES: Mapping[str, Rule] = {
    "AdmissionProposed": _admission_proposed,
    "AdmissionCancelled": _admission_cancelled,
    "CouncilReplaced": _council_replaced,
    "Paused": _paused,
    "Unpaused": _unpaused,
    "Superseded": _superseded,
    "PrivilegeRestored": history,
}
