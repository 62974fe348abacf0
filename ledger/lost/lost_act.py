"""A lost act, and what it denied (its *taken* targets).

An act that gives authority needs no hold when it is lost: the authority is missing on the chain.
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
    """What an event denies: kind and target, and a ``detail`` that a lifting event may have to repeat."""

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
"""The denying events, and what each of them denies. All other events give authority or only record something."""

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
"""For each lost event, the other events that deny at least as much."""

_GIVES_BACK: Mapping[str, tuple[str, Callable[[Args], Taken]]] = {
    "AssetLifted": (
        "AssetSuspended",
        lambda args: Taken(ASSET, asset_text(int(args["asset"])), str(args["status"])),
    ),
    "DepartmentLifted": ("DepartmentSuspended", _of_department(DEPARTMENT)),
    "Unpaused": ("Paused", lambda _: Taken(PAUSE, "")),
}
"""The events that undo the denial of another event: that event, and the target with the remaining status as detail."""

_SAME_DETAIL = frozenset({"RightTransferred", "RecoveryCancelled", "ConditionBound"})
"""The events whose holds are lifted only by an event with the same detail."""

_PASSED_ON = "RightTransferred"
"""Its detail is the right and the new holder; holds of earlier versions have the right only."""

_ACTIVE = str(int(AssetStatus.ACTIVE))
_STOPPED_BOTH = str(int(AssetStatus.SUSPENDED_AND_BARRED))
"""The status of an asset that both holder and bureau stopped; it denies at least as much as a stop by one of them."""


@dataclass(frozen=True, slots=True)
class LostAct:
    """An event that is in the log and not on the chain. ``kind`` is empty when it denied nothing."""

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
        """Whether its denial is held now."""
        return bool(self.kind) and self.lifted_block is None

    def to_json(self) -> dict[str, Any]:
        """The JSON form for commands. ``state`` is ``held`` (its denial remains until it is signed again), ``signed-again``,
        or ``gone`` (it gave authority, which is missing now)."""
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
    """What an event denies; None if nothing."""
    takes = _TAKES.get(event)
    return None if takes is None else takes(args)


def concerns(event: str) -> bool:
    """Whether an event denies something, or undoes such a denial."""
    return event in _TAKES or event in _GIVES_BACK


def still_taken(
    acts: Iterable[tuple[LostAct, Args]], applied: Container[str | None] | None = None
) -> list[LostAct]:
    """The lost acts whose denials still apply. ``acts`` are in the order of the lost log, with the arguments of their events.

    A denial that a later lost act undid is left out, and of several transfers of one right only the last counts.
    ``applied`` are the acts that the chain has accepted again: a right that has its last holder again needs no hold. None
    when they may still be sent again.
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
    """The dataset and the right that a lost act transferred; empty texts for other acts."""
    return (one.target, one.detail.partition(":")[0]) if one.event == _PASSED_ON else ("", "")


def _holder(one: LostAct) -> str:
    """The department to which a lost act transferred a right."""
    return one.detail.partition(":")[2]


def _after(one: LostAct, event: str, back: Taken) -> LostAct:
    """A lost act after a denial was undone: when both had stopped a dataset, one stop remains."""
    if (one.event, one.kind, one.target) != (event, back.kind, back.target):
        return one
    if one.detail == _STOPPED_BOTH and back.detail != _ACTIVE:
        return replace(one, detail=back.detail)
    return one if back.detail and one.detail == back.detail else replace(one, kind="")


def lifts(one: LostAct, event: str, now: Taken) -> bool:
    """Whether an event makes the denial of a lost act again."""
    if (now.kind, now.target) != (one.kind, one.target):
        return False
    if event == one.event == "AssetSuspended":
        return now.detail in (one.detail, _STOPPED_BOTH)
    if event == one.event:
        return one.event not in _SAME_DETAIL or f"{now.detail}:".startswith(f"{one.detail}:")
    return event in _ALSO_LIFTS.get(one.event, ())


def args_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an event in the facts of its entry."""
    return {name.removeprefix("arg."): value for name, value in facts.items() if name.startswith("arg.")}
