"""Holds: denials that remain because the act that made them is lost (its chain is lost, or a reorganisation removed it).

A chain that was restored from a backup does not have a later revocation, so the grant is active on it again. The log still
has the entry of the act. Its denial is held until an event of the same kind is recorded again, for which its signers must
sign again. Holds are entries of the log (`ledger.lost.held_in_log`); the table is a copy.
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


class LogFacts(Protocol):
    """A reader of the log's entries about holds, accepted acts and events of the chain (`ledger.grants.uses_in_log`)."""

    @property
    def taken(self) -> TakenInLog:
        """The denials of accepted acts that are not decided yet."""

    @property
    def relations(self) -> RelationsInLog:
        """The relations between seats, assets and grants."""

    @property
    def archived(self) -> int:
        """The number of archived entries at the front of the log."""

    def recorded_after(self, connection: Connection, block: int) -> Sequence[UUID]:
        """The entries of events after block ``block`` that were not reverted, in the order of the log."""

    def reach(self, denied: Mapping[str, Iterable[str]]) -> frozenset[str]:
        """The grants that denials (targets by kind) affect, by the relations in the log."""

    def follow(self, connection: Connection) -> None:
        """Read the entries appended since the last call."""

    def held(self) -> Sequence[LostAct]:
        """The holds in the entries read so far."""


_FACTS: WeakKeyDictionary[Dialect, LogFacts] = WeakKeyDictionary()
"""The reader of the log of each open database, by the dialect objects of its engines."""


def register_log_facts(engine: Engine, log_known: LogFacts) -> None:
    """Register the log's facts for a database: from now on its holds include at least those in the log."""
    _FACTS[engine.dialect] = _FACTS[reader(engine).dialect] = log_known


def hold(connection: Connection, found: Sequence[LostAct]) -> None:
    """Store holds for these lost acts, until events of blocks after their ``since_block`` lift them.

    A lifted hold with the same entry becomes active again. The caller writes the log entries.
    """
    for one in found:
        values = asdict(one) | {"lifted_block": None}
        known = lost_acts.c.entry == values.pop("entry")
        if not connection.execute(update(lost_acts).where(known).values(values)).rowcount:
            connection.execute(insert(lost_acts).values(entry=one.entry, **values))


def lift(connection: Connection, events: Iterable[Event]) -> None:
    """Lift the holds whose denials these recorded events make again."""
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
    """After a roll-back to block ``number``: restore the holds that later blocks had lifted."""
    connection.execute(update(lost_acts).where(lost_acts.c.lifted_block > number).values(lifted_block=None))


def lost(connection: Connection) -> list[LostAct]:
    """All holds, the lifted ones included, in the order of the lost log."""
    found = {row["entry"]: LostAct(**row) for row in _LOST.mappings(connection)}
    return sorted(
        (found | {one.entry: one for one in _held_in_log(connection)}).values(),
        key=lambda one: (one.position, one.entry),
    )


def held_targets(connection: Connection) -> dict[str, dict[str, str]]:
    """The active holds by kind: target -> detail."""
    return held_with(connection, log_facts(connection))


def held_with(connection: Connection, log_known: LogFacts | None) -> dict[str, dict[str, str]]:
    """`held_targets`, given the log's facts."""
    found: dict[str, dict[str, str]] = {}
    for kind, target, detail in _HELD.rows(connection):
        found.setdefault(kind, {})[target] = detail
    for one in log_known.held() if log_known is not None else ():
        found.setdefault(one.kind, {})[one.target] = one.detail
    return found


def log_facts(connection: Connection) -> LogFacts | None:
    """The log's facts of this database, updated with the newest entries; None when this process does not read the log."""
    log_known = _FACTS.get(connection.dialect)
    if log_known is not None:
        log_known.follow(connection)
    return log_known


def _held_in_log(connection: Connection) -> Sequence[LostAct]:
    """The holds in the log; empty when this process does not read the log."""
    log_known = log_facts(connection)
    return () if log_known is None else log_known.held()


_LOST = Prepared(select(lost_acts).order_by(lost_acts.c.position, lost_acts.c.entry))
_HELD = Prepared(
    select(lost_acts.c.kind, lost_acts.c.target, lost_acts.c.detail).where(
        lost_acts.c.kind != "", lost_acts.c.lifted_block.is_(None)
    )
)
