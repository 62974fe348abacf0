"""The rules for grants: given, delegated, used, ended, opened in an emergency, ratified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.codes import UNLIMITED, GrantStatus, Right
from ledger.chain.events import Event
from ledger.chain.limits import NOTHING
from ledger.ids import asset_text
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed, existing, history


def _grant_row(event: Event, args: Mapping[str, Any], state: StateReader, /, **values: Any) -> RowChange:
    officer = existing(state, "seat", args["officer"])
    row = {
        "id": args["grant"],
        "asset": asset_text(args["asset"]),
        "grantee": args.get("grantee", 0),
        "right": args.get("right", 0),
        "not_before": args.get("notBefore", 0),
        "expiry": args.get("expiry", 0),
        "max_uses": args.get("maxUses", 0),
        "depth": args.get("depth", 0),
        "deadline": args.get("deadline", 0),
        "terms_hash": args.get("termsHash", NOTHING),
        "parent": None,
        "salt": str(args.get("salt", 0)),
        "kind": "terms",
        "state": GrantStatus.ACTIVE,
        "left": args.get("maxUses", 0),
        "uses": 0,
        "grantor": officer["department"],
        "officer": args["officer"],
        "granted_at": event.block_time,
        "block_number": event.block_number,
        "log_index": event.log_index,
        "ended_at": None,
        "ended_by": None,
        "reason": None,
        "replaced_by": None,
        "ratify_by": None,
        "ratified_by": None,
    }
    return RowChange("sharing_grant", row | values)


def _granted(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    parent = None if args["parent"] == NOTHING else args["parent"]
    return (_grant_row(event, args, state, parent=parent),)


def _deducted(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "sharing_grant", args["parent"], left=args["maxUses"]),)


def _revoked(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        changed(
            state,
            "sharing_grant",
            args["grant"],
            state=GrantStatus.REVOKED,
            ended_at=event.block_time,
            ended_by=args["officer"],
            reason=args["reason"],
        ),
    )


def _replaced(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        changed(
            state,
            "sharing_grant",
            args["grant"],
            state=GrantStatus.REPLACED,
            ended_at=event.block_time,
            ended_by=args["officer"],
            replaced_by=args["by"],
        ),
    )


def _cancelled(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    ended = {"ended_at": event.block_time, "ended_by": args["officer"]}
    return (_grant_row(event, args, state, kind="cancelled", state=GrantStatus.CANCELLED, **ended),)


def _glass_broken(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        _grant_row(
            event,
            args,
            state,
            kind="emergency",
            right=Right.USE,
            max_uses=UNLIMITED,
            left=UNLIMITED,
            terms_hash=args["reasonHash"],
            ratify_by=args["ratifyBy"],
        ),
    )


def _ratified(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "sharing_grant", args["grant"], ratified_by=args["department"]),)


def _used(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (changed(state, "sharing_grant", args["grant"], uses=args["total"]),)


RULES: Mapping[str, Rule] = {
    "Granted": _granted,
    "Deducted": _deducted,
    "Revoked": _revoked,
    "RevokeSkipped": history,
    "Replaced": _replaced,
    "Cancelled": _cancelled,
    "GlassBroken": _glass_broken,
    "Ratified": _ratified,
    "Used": _used,
    "UseSkipped": history,
    "UsesCorrected": _used,
}
