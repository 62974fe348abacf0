"""An act that is lost, and what it took away.

Acts that give something need no hold: what they gave is simply not there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from contracts.codes import AssetStatus
from ledger.ids import asset_text, condition_text

Args = Mapping[str, Any]

GRANT, ASSET, DEPARTMENT, KEY, CONDITION = "grant", "asset", "department", "key", "condition"
SEAT, RECOVERY, TAKEOVER, ADMISSION, COUNCIL, PAUSE = (
    "seat",
    "recovery",
    "takeover",
    "admission",
    "council",
    "pause",
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What an event takes away: kind and target, and with which ``detail``."""

    kind: str
    target: str
    detail: str = ""


NOTHING = Taken("", "")


def _asset(args: Args) -> Taken:
    return Taken(ASSET, asset_text(int(args["asset"])))


def _of_department(kind: str) -> Callable[[Args], Taken]:
    return lambda args: Taken(kind, str(args["department"]))


_TAKES: Mapping[str, Callable[[Args], Taken]] = {
    "Revoked": lambda args: Taken(GRANT, str(args["grant"])),
    "Cancelled": lambda args: Taken(GRANT, str(args["grant"])),
    "Replaced": lambda args: Taken(GRANT, str(args["grant"])),
    "ConditionBound": lambda args: Taken(GRANT, str(args["grant"]), condition_text(int(args["condition"]))),
    "ConditionEnded": lambda args: Taken(CONDITION, condition_text(int(args["condition"]))),
    "AssetSuspended": lambda args: Taken(ASSET, asset_text(int(args["asset"])), str(args["status"])),
    "AssetRetired": _asset,
    "AssetVersioned": _asset,
    "AssetReclassified": _asset,
    "RightTransferred": lambda args: Taken(
        ASSET, asset_text(int(args["asset"])), f"{args['right']}:{args['to']}"
    ),
    "DepartmentSuspended": _of_department(DEPARTMENT),
    "ServiceKeyRemoved": lambda args: Taken(KEY, f"{args['department']}:{args['key']}"),
    "OfficerRemoved": lambda args: Taken(SEAT, str(args["officer"])),
    "AttestKeyRemoved": lambda args: Taken(SEAT, str(args["key"])),
    "SeatRotated": lambda args: Taken(SEAT, str(args["from"]), str(args["to"])),
    "RecoveryKeySet": _of_department(RECOVERY),
    "RecoveryVetoed": lambda args: Taken(TAKEOVER, str(args["from"])),
    "RecoveryCancelled": lambda args: Taken(TAKEOVER, str(args["from"]), str(args["recovery"])),
    "AdmissionCancelled": lambda args: Taken(ADMISSION, str(args["admission"])),
    "CouncilReplaced": lambda args: Taken(COUNCIL, ""),
    "Paused": lambda args: Taken(PAUSE, "", str(args["until"])),
}
"""The events that take something away, and what. Every other event gives, or records."""

_ALSO_LIFTS: Mapping[str, frozenset[str]] = {
    "Revoked": frozenset({"Cancelled"}),
    "Cancelled": frozenset({"Revoked"}),
    "Replaced": frozenset({"Revoked", "Cancelled"}),
    "ConditionBound": frozenset({"Revoked", "Cancelled"}),
    "AssetSuspended": frozenset({"AssetRetired"}),
    "AssetVersioned": frozenset({"AssetRetired"}),
    "AssetReclassified": frozenset({"AssetRetired"}),
    "RightTransferred": frozenset({"AssetRetired"}),
    "OfficerRemoved": frozenset({"SeatRotated"}),
    "AttestKeyRemoved": frozenset({"SeatRotated"}),
    "SeatRotated": frozenset({"OfficerRemoved", "AttestKeyRemoved"}),
    "RecoveryVetoed": frozenset({"RecoveryCancelled"}),
}
"""By the event that is lost: other events that take at least as much."""

_GIVES_BACK: Mapping[str, tuple[str, Callable[[Args], Taken]]] = {
    "AssetLifted": (
        "AssetSuspended",
        lambda args: Taken(ASSET, asset_text(int(args["asset"])), str(args["status"])),
    ),
    "DepartmentLifted": ("DepartmentSuspended", _of_department(DEPARTMENT)),
    "Unpaused": ("Paused", lambda _: Taken(PAUSE, "")),
}
"""Events that give back what another event took: of what, and, as its detail, which status is left."""

_SAME_DETAIL = frozenset({"RightTransferred", "RecoveryCancelled", "ConditionBound"})
"""Lifted only by an event with the same detail."""

_PASSED_ON = "RightTransferred"
"""Its detail is the right and who got it; holds of earlier versions say the right only."""

_ACTIVE = str(int(AssetStatus.ACTIVE))
_STOPPED_BOTH = str(int(AssetStatus.SUSPENDED_AND_BARRED))
"""The status of an asset that holder and bureau stopped: it takes at least as much as what either stopped alone."""


@dataclass(frozen=True, slots=True)
class LostAct:
    """An event that is in the log and not on the chain; ``kind`` is empty where it took nothing away."""

    entry: str
    position: int
    event: str
    kind: str
    target: str
    detail: str
    department: int
    act: str | None
    since_block: int = 0
    lifted_block: int | None = None

    @property
    def held(self) -> bool:
        """Whether what it took away is held now."""
        return bool(self.kind) and self.lifted_block is None

    def to_json(self) -> dict[str, Any]:
        """For people. ``state``: ``held`` (what the act took away is denied until it is signed again), ``signed-again``, or
        ``gone`` (what it gave is not there)."""
        state = "gone" if not self.kind else "held" if self.held else "signed-again"
        document = {
            "state": state,
            "event": self.event,
            "kind": self.kind,
            "target": self.target,
            "department": self.department,
            "entry": self.entry,
            "index": self.position,
            "act": self.act,
        }
        return {name: value for name, value in document.items() if value not in ("", None)}


def taken(event: str, args: Args) -> Taken | None:
    """What an event takes away; None where it takes nothing."""
    takes = _TAKES.get(event)
    return None if takes is None else takes(args)


def concerns(event: str) -> bool:
    """Whether an event takes something away, or gives back what another took."""
    return event in _TAKES or event in _GIVES_BACK


def still_taken(
    acts: Iterable[tuple[LostAct, Args]], applied: Container[str | None] | None = None
) -> list[LostAct]:
    """Lost acts, in the order of the log that was lost, with the arguments of their events: what a later one of them gave
    back is taken no more, and of several that pass on one right the last counts.

    ``applied`` are the acts that the chain took again: a right that is where the last one passed it is taken no more. None
    where they may still come.
    """
    found: list[LostAct] = []
    holders: dict[tuple[str, str], str] = {}
    for act, args in acts:
        if act.event in _GIVES_BACK:
            event, back = _GIVES_BACK[act.event]
            found = [_after(one, event, back(args)) for one in found]
        if act.event == _PASSED_ON:
            found = [replace(one, kind="") if _right(one) == _right(act) else one for one in found]
            holders.setdefault(_right(act), str(args["from"]))
            if applied is not None and act.act in applied:
                holders[_right(act)] = str(args["to"])
        found.append(act)
    if applied is None:
        return found
    return [replace(one, kind="") if holders.get(_right(one)) == _holder(one) else one for one in found]


def _right(one: LostAct) -> tuple[str, str]:
    """The dataset and the right that a lost act passed on; empty for every other act."""
    return (one.target, one.detail.partition(":")[0]) if one.event == _PASSED_ON else ("", "")


def _holder(one: LostAct) -> str:
    """To whom it passed it on."""
    return one.detail.partition(":")[2]


def _after(one: LostAct, event: str, back: Taken) -> LostAct:
    """A lost act once something was given back: of a dataset that both had stopped, one still stops it."""
    if (one.event, one.kind, one.target) != (event, back.kind, back.target):
        return one
    if one.detail == _STOPPED_BOTH and back.detail != _ACTIVE:
        return replace(one, detail=back.detail)
    return one if back.detail and one.detail == back.detail else replace(one, kind="")


def lifts(one: LostAct, event: str, now: Taken) -> bool:
    """Whether an event takes away again what a lost one took."""
    if (now.kind, now.target) != (one.kind, one.target):
        return False
    if event == one.event == "AssetSuspended":
        return now.detail in (one.detail, _STOPPED_BOTH)
    if event == one.event:
        return one.event not in _SAME_DETAIL or f"{now.detail}:".startswith(f"{one.detail}:")
    return event in _ALSO_LIFTS.get(one.event, ())


def args_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an event, from the facts of its entry."""
    return {name.removeprefix("arg."): value for name, value in facts.items() if name.startswith("arg.")}
