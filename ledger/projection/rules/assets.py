"""The rules for assets: registered, derived, versioned, reclassified, suspended, retired, rights transferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.codes import AssetStatus
from ledger.chain.events import Event
from ledger.chain.limits import NOTHING
from ledger.ids import asset_text, department_of
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed, history


def _registered(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    department = department_of(args["asset"])
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
        "status": AssetStatus.ACTIVE,
        "metadata_hash": args["metadata"],
        "since": event.block_time,
        "versioned_at": event.block_time,
        "officer": args["officer"],
        "reason": None,
    }
    return (RowChange("asset", row),)


def _derived(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return tuple(
        RowChange(
            "asset_parent",
            {
                "asset": asset_text(args["asset"]),
                "parent": asset_text(parent),
                "under": None if under == NOTHING else under,
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
    return _asset(args, state, status=args["status"], reason=args["reason"])


def _retired(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return _asset(args, state, status=AssetStatus.RETIRED)


def _right_transferred(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    column = ("holder", "processor", "operator")[args["right"] - 1]
    return _asset(args, state, **{column: args["to"]})


def _parent_renewed(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    asset, parent = asset_text(args["asset"]), asset_text(args["parent"])
    under = None if args["under"] == NOTHING else args["under"]
    return (changed(state, "asset_parent", asset, parent, under=under),)


RULES: Mapping[str, Rule] = {
    "AssetRegistered": _registered,
    "AssetDerived": _derived,
    "ParentRenewed": _parent_renewed,
    "AssetVersioned": _versioned,
    "AssetReclassified": _reclassified,
    "AssetSuspended": _asset_suspended,
    "AssetLifted": _asset_lifted,
    "AssetRetired": _retired,
    "RightTransferred": _right_transferred,
    "CoSigned": history,
}
