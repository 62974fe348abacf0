"""The rules for the council: admissions, members, pause, hand-over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ledger.chain.events import Event
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed, history


def _admission_proposed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "id": args["admission"],
        "department": args["department"],
        "ready_at": args["readyAt"],
        "epoch": args["epoch"],
        "state": "proposed",
    }
    return (RowChange("admission", row),)


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
        "hand_over": None,
        "freeze_at": 0,
        "hand_over_at": 0,
    }
    return (RowChange("council", row | values),)


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


def _hand_over_announced(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(
        state,
        successor=args["successor"],
        hand_over=args["message"],
        freeze_at=args["freezeAt"],
        hand_over_at=args["handOverAt"],
    )


def _hand_over_called_off(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _council(state, successor=None, hand_over=None, freeze_at=0, hand_over_at=0)


RULES: Mapping[str, Rule] = {
    "AdmissionProposed": _admission_proposed,
    "AdmissionCancelled": _admission_cancelled,
    "CouncilReplaced": _council_replaced,
    "Paused": _paused,
    "Unpaused": _unpaused,
    "HandOverAnnounced": _hand_over_announced,
    "HandOverCalledOff": _hand_over_called_off,
    "PrivilegeRestored": history,
}
