"""The rules for audit logs on chain: opened, anchored, continued in a new epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.chain.events import Event
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed

EMPTY_ROOT = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of the empty string: the root of a log without entries (RFC 9162, 2.1.1)."""


def _log_row(event: Event, origin: str, args: Mapping[str, Any], /, **values: Any) -> RowChange:
    row = {
        "origin": origin,
        "operator": args["operator"],
        "quorum": args["quorum"],
        "epoch": 0,
        "size": 0,
        "root": EMPTY_ROOT,
        "time": args["time"],
        "block_number": event.block_number,
        "tx_hash": event.tx_hash,
        "successor": None,
        "proven": None,
    }
    return RowChange("log_head", row | values)


def _log_opened(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (_log_row(event, args["origin"], args),)


def _anchored(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        changed(
            state,
            "log_head",
            args["origin"],
            size=args["size"],
            root=args["root"],
            time=args["time"],
            block_number=event.block_number,
            tx_hash=event.tx_hash,
        ),
    )


def _epoch_opened(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        changed(state, "log_head", args["origin"], successor=args["newOrigin"]),
        _log_row(
            event,
            args["newOrigin"],
            args,
            epoch=args["epoch"],
            size=args["lastSize"],
            root=args["lastRoot"],
            proven=args["proven"],
        ),
    )


RULES: Mapping[str, Rule] = {
    "LogOpened": _log_opened,
    "Anchored": _anchored,
    "EpochOpened": _epoch_opened,
}
