"""The rules for departments, seats of officers and attest keys, service keys, and recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.codes import DepartmentStatus, SeatFlag
from ledger.chain.events import Event
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed, existing


def _admitted(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "number": args["department"],
        "standing": DepartmentStatus.ACTIVE,
        "recovery": args["recovery"],
        "profile": args["profile"],
        "admitted_at": event.block_time,
        "reason": None,
    }
    used = state.get("admission", (args["admission"],))
    return (
        RowChange("department", row),
        *((RowChange("admission", used | {"state": "used"}),) if used else ()),
    )


def _standing(standing: int) -> Rule:
    def handle(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
        return (changed(state, "department", args["department"], standing=standing, reason=args["reason"]),)

    return handle


def _recovery_key(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "department", args["department"], recovery=args["recovery"]),)


def _seat(holder: str, args: Mapping[str, Any], flags: int = 0) -> RowChange:
    row = {
        "holder": holder,
        "department": args["department"],
        "roles": args["roles"],
        "not_before": args["notBefore"],
        "not_after": args["notAfter"],
        "flags": flags,
        "successor": None,
    }
    return RowChange("seat", row)


def _seat_removed(member: str) -> Rule:
    def handle(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
        seat = existing(state, "seat", args[member])
        return (RowChange("seat", seat | {"flags": seat["flags"] | SeatFlag.REMOVED}),)

    return handle


def _rotated(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    old = existing(state, "seat", args["from"])
    running = state.get("seat_recovery", (args["from"],))
    return (
        RowChange("seat", old | {"flags": old["flags"] | SeatFlag.ROTATED, "successor": args["to"]}),
        _seat(args["to"], args),
        *((RowChange("seat_recovery", running | {"state": "finished"}),) if running else ()),
    )


def _service_key_added(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "department": args["department"],
        "key": args["key"],
        "hpke": args["hpke"],
        "roles": args["roles"],
        "not_before": args["notBefore"],
        "not_after": args["notAfter"],
        "removed": False,
    }
    return (RowChange("service_key", row),)


def _service_key_removed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "service_key", args["department"], args["key"], removed=True),)


def _recovery_started(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "holder": args["from"],
        "successor": args["to"],
        "department": args["department"],
        "recovery": args["recovery"],
        "ready_at": args["readyAt"],
        "epoch": args["epoch"],
        "state": "pending",
    }
    return (RowChange("seat_recovery", row),)


def _vetoed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    seat = existing(state, "seat", args["from"])
    return (
        changed(state, "seat_recovery", args["from"], state="vetoed"),
        RowChange("seat", seat | {"flags": seat["flags"] | SeatFlag.VETO_SPENT}),
    )


def _veto_overridden(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "seat_recovery", args["from"], state="overridden"),)


def _recovery_cancelled(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "seat_recovery", args["from"], state="cancelled"),)


def _seated(member: str) -> Rule:
    """A new or renewed seat. On renewal the holder's spent amount is kept."""

    def handle(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
        before = state.get("seat", (args[member],))
        return (_seat(args[member], args, flags=before["flags"] if before else 0),)

    return handle


RULES: Mapping[str, Rule] = {
    "DepartmentAdmitted": _admitted,
    "DepartmentSuspended": _standing(DepartmentStatus.SUSPENDED),
    "DepartmentLifted": _standing(DepartmentStatus.ACTIVE),
    "RecoveryKeySet": _recovery_key,
    "OfficerAdded": _seated("officer"),
    "OfficerRemoved": _seat_removed("officer"),
    "AttestKeyAdded": _seated("key"),
    "AttestKeyRemoved": _seat_removed("key"),
    "SeatRotated": _rotated,
    "ServiceKeyAdded": _service_key_added,
    "ServiceKeyRemoved": _service_key_removed,
    "RecoveryStarted": _recovery_started,
    "RecoveryVetoed": _vetoed,
    "VetoOverridden": _veto_overridden,
    "RecoveryCancelled": _recovery_cancelled,
}
