"""What is held because an act that took it away is lost: the chain that recorded the act is gone, or took it back.

A chain restored from a backup knows nothing of a later revocation: the grant is live on it again. The log's entries tell
of the act. What it took away is held until an event of the same kind is recorded again, which only its signers can bring
about. Acts that give something need no hold: what they gave is simply not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from ledger.chain.events import Event
from ledger.ids import asset_text
from ledger.store.prepared import Prepared
from ledger.store.tables.outbox import LostActRow

lost_acts: Table = LostActRow.__table__  # type: ignore[attr-defined]

Args = Mapping[str, Any]

GRANT, ASSET, DEPARTMENT, KEY = "grant", "asset", "department", "key"
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


def _asset(args: Args) -> Taken:
    return Taken(ASSET, asset_text(int(args["asset"])))


def _of_department(kind: str) -> Callable[[Args], Taken]:
    return lambda args: Taken(kind, str(args["department"]))


_TAKES: Mapping[str, Callable[[Args], Taken]] = {
    "Revoked": lambda args: Taken(GRANT, str(args["grant"])),
    "Cancelled": lambda args: Taken(GRANT, str(args["grant"])),
    "AssetSuspended": _asset,
    "AssetRetired": _asset,
    "AssetVersioned": _asset,
    "AssetReclassified": _asset,
    "RightTransferred": lambda args: Taken(ASSET, asset_text(int(args["asset"])), str(args["right"])),
    "DepartmentSuspended": _of_department(DEPARTMENT),
    "ServiceKeyRemoved": lambda args: Taken(KEY, f"{args['department']}:{args['key']}"),
    "OfficerRemoved": lambda args: Taken(SEAT, str(args["officer"])),
    "AttestKeyRemoved": lambda args: Taken(SEAT, str(args["key"])),
    "SeatRotated": lambda args: Taken(SEAT, str(args["from"]), str(args["to"])),
    "RecoveryKeySet": _of_department(RECOVERY),
    "RecoveryVetoed": lambda args: Taken(TAKEOVER, str(args["from"])),
    "AdmissionCancelled": lambda args: Taken(ADMISSION, str(args["admission"])),
    "CouncilReplaced": lambda args: Taken(COUNCIL, ""),
    "Paused": lambda args: Taken(PAUSE, "", str(args["until"])),
    "Superseded": lambda args: Taken(PAUSE, "", str((1 << 40) - 1)),
}
"""The events that take something away, and what. Every other event gives, or records."""

_ALSO_LIFTS: Mapping[str, frozenset[str]] = {
    "Revoked": frozenset({"Cancelled"}),
    "Cancelled": frozenset({"Revoked"}),
    "AssetSuspended": frozenset({"AssetRetired"}),
    "AssetVersioned": frozenset({"AssetRetired"}),
    "AssetReclassified": frozenset({"AssetRetired"}),
    "RightTransferred": frozenset({"AssetRetired"}),
    "OfficerRemoved": frozenset({"SeatRotated"}),
    "AttestKeyRemoved": frozenset({"SeatRotated"}),
    "SeatRotated": frozenset({"OfficerRemoved", "AttestKeyRemoved"}),
    "Paused": frozenset({"Superseded"}),
}
"""By the event that is lost: other events that take at least as much."""

_SAME_DETAIL = frozenset({"RightTransferred"})
"""Lifted only by an event with the same detail."""


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


def hold(connection: Connection, found: Sequence[LostAct], since_block: int) -> None:
    """Hold what these took away, until events of blocks after ``since_block`` lift it. The same entry again is held
    again."""
    for one in found:
        values = {
            "position": one.position,
            "event": one.event,
            "kind": one.kind,
            "target": one.target,
            "detail": one.detail,
            "department": one.department,
            "act": one.act,
            "since_block": since_block,
            "lifted_block": None,
        }
        known = lost_acts.c.entry == one.entry
        if not connection.execute(update(lost_acts).where(known).values(values)).rowcount:
            connection.execute(insert(lost_acts).values(entry=one.entry, **values))


def lift(connection: Connection, events: Iterable[Event]) -> None:
    """Let go what these recorded events take away themselves: it needs no hold any more."""
    held = [one for one in lost(connection) if one.held]
    if not held:
        return
    for event in events:
        now = taken(event.name, event.args)
        for one in held:
            if now is None or event.block_number <= one.since_block or not _lifts(one, event.name, now):
                continue
            connection.execute(
                update(lost_acts)
                .where(lost_acts.c.entry == one.entry, lost_acts.c.lifted_block.is_(None))
                .values(lifted_block=event.block_number)
            )


def _lifts(one: LostAct, event: str, now: Taken) -> bool:
    if (now.kind, now.target) != (one.kind, one.target):
        return False
    if event == one.event:
        return one.event not in _SAME_DETAIL or now.detail == one.detail
    return event in _ALSO_LIFTS.get(one.event, ())


def hold_again(connection: Connection, number: int) -> None:
    """After a roll-back to block ``number``: what later blocks had let go is held."""
    connection.execute(update(lost_acts).where(lost_acts.c.lifted_block > number).values(lifted_block=None))


def lost(connection: Connection) -> list[LostAct]:
    """Every lost event that is known of, in the order of the log that was lost."""
    return [LostAct(**row) for row in _LOST.mappings(connection)]


def held_targets(connection: Connection) -> dict[str, dict[str, str]]:
    """What is held: target and detail by kind."""
    found: dict[str, dict[str, str]] = {}
    for kind, target, detail in _HELD.rows(connection):
        found.setdefault(kind, {})[target] = detail
    return found


def args_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an event, from the facts of its entry."""
    return {name.removeprefix("arg."): value for name, value in facts.items() if name.startswith("arg.")}


_LOST = Prepared(select(lost_acts).order_by(lost_acts.c.position, lost_acts.c.entry))
_HELD = Prepared(
    select(lost_acts.c.kind, lost_acts.c.target, lost_acts.c.detail).where(
        lost_acts.c.kind != "", lost_acts.c.lifted_block.is_(None)
    )
)
