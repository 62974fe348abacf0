"""What is held because an act that took it away is lost: the chain that recorded the act is gone, or took it back.

A chain restored from a backup knows nothing of a later revocation: the grant is live on it again. The log's entries tell
of the act. What it took away is held until an event of the same kind is recorded again, which only its signers can bring
about. What is held is in the log (`ledger.lost.held_in_log`); the table is a copy of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Dialect, Engine, insert, select, update

from ledger.chain.events import Event
from ledger.lost.lost_act import LostAct, lifts, taken
from ledger.lost.relations_in_log import RelationsInLog
from ledger.lost.taken_in_log import TakenInLog
from ledger.store.engine import reader
from ledger.store.prepared import Prepared
from ledger.store.tables import table_of
from ledger.store.tables.outbox import LostActRow

lost_acts = table_of(LostActRow)


class ToldByLog(Protocol):
    """Who reads the log's entries about holds, about acts that were taken, and about the chain."""

    @property
    def taken(self) -> TakenInLog:
        """What acts deny that are not decided yet."""

    @property
    def relations(self) -> RelationsInLog:
        """Who sits where and what hangs below what."""

    @property
    def archived(self) -> int:
        """How many entries at the log's beginning have no leaf any more."""

    def recorded_after(self, connection: Connection, block: int) -> Sequence[UUID]:
        """The entries of events of later blocks that were not taken back, in the order of the log."""

    def reach(self, denied: Mapping[str, Iterable[str]]) -> frozenset[str]:
        """The grants that denials touch (targets by kind), by the relations that the log tells."""

    def follow(self, connection: Connection) -> None:
        """Read what was appended since."""

    def held(self) -> Sequence[LostAct]:
        """What is held by the entries read."""


_TOLD: WeakKeyDictionary[Dialect, ToldByLog] = WeakKeyDictionary()
"""Who reads the log of a database that is open, by the dialects of its engines."""


def hold_by_log(engine: Engine, told: ToldByLog) -> None:
    """From now on, what this database holds is at least what its log says."""
    _TOLD[engine.dialect] = _TOLD[reader(engine).dialect] = told


def hold(connection: Connection, found: Sequence[LostAct]) -> None:
    """Hold what these took away, until events of blocks after their ``since_block`` lift it. The same entry again is held
    again. The caller writes the entries."""
    for one in found:
        values = asdict(one) | {"lifted_block": None}
        known = lost_acts.c.entry == values.pop("entry")
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
            if now is None or event.block_number <= one.since_block or not lifts(one, event.name, now):
                continue
            connection.execute(
                update(lost_acts)
                .where(lost_acts.c.entry == one.entry, lost_acts.c.lifted_block.is_(None))
                .values(lifted_block=event.block_number)
            )


def hold_again(connection: Connection, number: int) -> None:
    """After a roll-back to block ``number``: what later blocks had let go is held."""
    connection.execute(update(lost_acts).where(lost_acts.c.lifted_block > number).values(lifted_block=None))


def lost(connection: Connection) -> list[LostAct]:
    """Every hold, those that were lifted too, in the order of the log that was lost."""
    found = {row["entry"]: LostAct(**row) for row in _LOST.mappings(connection)}
    return sorted(
        (found | {one.entry: one for one in _told(connection)}).values(),
        key=lambda one: (one.position, one.entry),
    )


def held_targets(connection: Connection) -> dict[str, dict[str, str]]:
    """What is held: target and detail by kind."""
    return held_with(connection, told_by(connection))


def held_with(connection: Connection, told: ToldByLog | None) -> dict[str, dict[str, str]]:
    """The same, where `told_by` was asked already."""
    found: dict[str, dict[str, str]] = {}
    for kind, target, detail in _HELD.rows(connection):
        found.setdefault(kind, {})[target] = detail
    for one in told.held() if told is not None else ():
        found.setdefault(one.kind, {})[one.target] = one.detail
    return found


def told_by(connection: Connection) -> ToldByLog | None:
    """Who reads the log of this database, with what was appended up to now; None where nobody does."""
    told = _TOLD.get(connection.dialect)
    if told is not None:
        told.follow(connection)
    return told


def _told(connection: Connection) -> Sequence[LostAct]:
    """What is held by the log; nothing where nobody reads it."""
    told = told_by(connection)
    return () if told is None else told.held()


_LOST = Prepared(select(lost_acts).order_by(lost_acts.c.position, lost_acts.c.entry))
_HELD = Prepared(
    select(lost_acts.c.kind, lost_acts.c.target, lost_acts.c.detail).where(
        lost_acts.c.kind != "", lost_acts.c.lifted_block.is_(None)
    )
)
