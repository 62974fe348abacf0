"""Assets: registered, derived, versioned, graded, stopped, their rights passed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.chain.events import Event
from ledger.ids import asset_text
from ledger.projection.rows import NO_PARENT, Changes, Put, Rule, StateReader, changed, history

ACTIVE = 1
RETIRED = 4


def _registered(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    department = args["asset"] >> 40
    row = {
        "id": asset_text(args["asset"]),
        "department": department,
        "sequence": args["asset"] & ((1 << 40) - 1),
        "holder": department,
        "processor": department,
        "operator": department,
        "grade": args["class"],
        "sharing": args["sharing"],
        "version": 1,
        "status": ACTIVE,
        "metadata_hash": args["metadata"],
        "since": event.block_time,
        "versioned_at": event.block_time,
        "officer": args["officer"],
        "reason": None,
    }
    return (Put("asset", row),)


def _derived(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return tuple(
        Put(
            "asset_parent",
            {
                "asset": asset_text(args["asset"]),
                "parent": asset_text(parent),
                "under": None if under == NO_PARENT else under,
            },
        )
        for parent, under in zip(args["parents"], args["under"], strict=True)
    )


def _asset(args: Mapping[str, Any], state: StateReader, /, **values: Any) -> Changes:
    return (changed(state, "asset", asset_text(args["asset"]), **values),)


def _versioned(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(
        args,
        state,
        version=args["version"],
        metadata_hash=args["metadata"],
        versioned_at=event.block_time,
        officer=args["officer"],
    )


def _reclassified(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(args, state, grade=args["class"], sharing=args["sharing"])


def _asset_suspended(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(args, state, status=args["status"], reason=args["reason"])


def _asset_lifted(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(args, state, status=ACTIVE, reason=args["reason"])


def _retired(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(args, state, status=RETIRED)


def _right_transferred(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    column = ("holder", "processor", "operator")[args["right"] - 1]
    return _asset(args, state, **{column: args["to"]})


RULES: Mapping[str, Rule] = {
    "AssetRegistered": _registered,
    "AssetDerived": _derived,
    "AssetVersioned": _versioned,
    "AssetReclassified": _reclassified,
    "AssetSuspended": _asset_suspended,
    "AssetLifted": _asset_lifted,
    "AssetRetired": _retired,
    "RightTransferred": _right_transferred,
    "CoSigned": history,
}
