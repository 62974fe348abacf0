"""Departments, the seats of officers and attest keys, service keys, recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.chain.events import Event
from ledger.projection.rows import Changes, Put, Rule, StateReader, changed, existing

REMOVED, ROTATED, VETO_SPENT = 1, 2, 4
ACTIVE, SUSPENDED = 1, 2


def _admitted(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "number": args["department"],
        "standing": ACTIVE,
        "recovery": args["recovery"],
        "profile": args["profile"],
        "admitted_at": event.block_time,
        "reason": None,
    }
    used = state.get("admission", (args["admission"],))
    return (Put("department", row), *((Put("admission", used | {"state": "used"}),) if used else ()))


def _standing(standing: int) -> Rule:
    def handle(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
        return (changed(state, "department", args["department"], standing=standing, reason=args["reason"]),)

    return handle


def _recovery_key(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "department", args["department"], recovery=args["recovery"]),)


def _seat(holder: str, args: Mapping[str, Any]) -> Put:
    row = {
        "holder": holder,
        "department": args["department"],
        "roles": args["roles"],
        "not_before": args["notBefore"],
        "not_after": args["notAfter"],
        "flags": 0,
        "successor": None,
    }
    return Put("seat", row)


def _seat_removed(member: str) -> Rule:
    def handle(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
        seat = existing(state, "seat", args[member])
        return (Put("seat", seat | {"flags": seat["flags"] | REMOVED}),)

    return handle


def _rotated(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    old = existing(state, "seat", args["from"])
    running = state.get("seat_recovery", (args["from"],))
    return (
        Put("seat", old | {"flags": old["flags"] | ROTATED, "successor": args["to"]}),
        _seat(args["to"], args),
        *((Put("seat_recovery", running | {"state": "finished"}),) if running else ()),
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
    return (Put("service_key", row),)


def _service_key_removed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "service_key", args["department"], args["key"], removed=True),)


def _recovery_started(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "holder": args["from"],
        "successor": args["to"],
        "department": args["department"],
        "recovery": args["recovery"],
        "ready_at": args["readyAt"],
        "state": "pending",
    }
    return (Put("seat_recovery", row),)


def _vetoed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    seat = existing(state, "seat", args["from"])
    return (
        changed(state, "seat_recovery", args["from"], state="vetoed"),
        Put("seat", seat | {"flags": seat["flags"] | VETO_SPENT}),
    )


def _veto_overridden(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "seat_recovery", args["from"], state="overridden"),)


RULES: Mapping[str, Rule] = {
    "DepartmentAdmitted": _admitted,
    "DepartmentSuspended": _standing(SUSPENDED),
    "DepartmentLifted": _standing(ACTIVE),
    "RecoveryKeySet": _recovery_key,
    "OfficerAdded": lambda _, args, state: (_seat(args["officer"], args),),
    "OfficerRemoved": _seat_removed("officer"),
    "AttestKeyAdded": lambda _, args, state: (_seat(args["key"], args),),
    "AttestKeyRemoved": _seat_removed("key"),
    "SeatRotated": _rotated,
    "ServiceKeyAdded": _service_key_added,
    "ServiceKeyRemoved": _service_key_removed,
    "RecoveryStarted": _recovery_started,
    "RecoveryVetoed": _vetoed,
    "VetoOverridden": _veto_overridden,
}
