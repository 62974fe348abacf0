"""The rules for conditions outside the chain: opened, bound to grants, ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.codes import ConditionStatus
from ledger.chain.events import Event
from ledger.ids import condition_text, department_of
from ledger.projection.rows import Changes, RowChange, Rule, StateReader, changed, history

_SEQUENCE = (1 << 40) - 1


def _opened(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "id": condition_text(args["condition"]),
        "keeper": department_of(args["condition"]),
        "sequence": args["condition"] & _SEQUENCE,
        "kind": args["kind"],
        "commitment": args["commitment"],
        "state": ConditionStatus.OPEN,
        "officer": args["officer"],
        "opened_at": event.block_time,
        "ended_at": None,
        "ended_by": None,
        "reason": None,
    }
    return (RowChange("sharing_condition", row),)


def _bound(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    row = {
        "grant": args["grant"],
        "place": args["place"],
        "condition": condition_text(args["condition"]),
        "officer": args["officer"],
        "bound_at": event.block_time,
    }
    return (RowChange("grant_condition", row),)


def _ended(event: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    return (
        changed(
            state,
            "sharing_condition",
            condition_text(args["condition"]),
            state=ConditionStatus.ENDED,
            ended_at=event.block_time,
            ended_by=args["officer"],
            reason=args["reason"],
        ),
    )


RULES: Mapping[str, Rule] = {
    "ConditionOpened": _opened,
    "ConditionBound": _bound,
    "ConditionEnded": _ended,
    "RevokePassedOver": history,
}
