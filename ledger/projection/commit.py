"""The follower's writes in one transaction (rows, history, outcomes of acts, cursor), and their undoing.

Every function takes the writer's connection and returns the audit entries for its changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from ledger.audit.formats.events import Event as AuditEvent
from ledger.audit.formats.events import read_event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.reading import known_entries
from ledger.chain.client import BlockRef
from ledger.chain.deployment import Deployment
from ledger.chain.events import Event, entry_id
from ledger.lost.held_in_log import held_entry
from ledger.lost.holds import hold, hold_again, lift, log_facts
from ledger.lost.lost_act import NOTHING, LostAct, concerns, still_taken, taken
from ledger.outbox.transactions import acts_of
from ledger.projection import state as rows
from ledger.projection.apply import apply
from ledger.projection.entries import (
    WITHOUT_ENTRY,
    Parties,
    again_id,
    entry_of,
    recorded_event,
    reverted,
    reverted_id,
    subject_of,
)
from ledger.projection.outcomes import record_acts, reopen_acts
from ledger.releases import corrected
from ledger.store.prepared import Prepared
from ledger.store.stored import made_of
from ledger.store.tables import table_of
from ledger.store.tables.projection import ChainBlockRow, ProjectionCursorRow

blocks = table_of(ChainBlockRow)
cursors = table_of(ProjectionCursorRow)

KEPT_BLOCKS = 1_024
"""How many hashes of blocks without events are kept. Blocks with events are in the history, which is not pruned."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that was read. ``version`` grows with every change of the projection; ``reorgs`` counts roll-backs."""

    block_number: int
    block_hash: str
    version: int
    reorgs: int


_MOST = 1 << 62
"""The upper limit of the numbers in the cursor, so that they can still be incremented."""
_CURSOR = Prepared(
    select(cursors.c.block_number, cursors.c.block_hash, cursors.c.version, cursors.c.reorgs).where(
        cursors.c.id == 1
    )
)


def read_cursor(connection: Connection) -> Cursor | None:
    """The cursor of the projection; None before the first block."""
    row = _CURSOR.row(connection)
    return None if row is None else _cursor(*row)


@made_of("projection_cursor")
def _cursor(block: int, block_hash: str, version: int, reorgs: int) -> Cursor:
    if max(block, version, reorgs) >= _MOST or min(block, version, reorgs) < 0:
        raise ValueError("no count")
    return Cursor(block, block_hash, version, reorgs)


def move_cursor(
    connection: Connection, number: int, block_hash: str, *, changed: bool, reorg: bool = False
) -> None:
    """Write the cursor. With ``changed`` its version is incremented; it never decreases."""
    known = read_cursor(connection)
    values = {
        "block_number": number,
        "block_hash": block_hash,
        "version": (known.version if known else 0) + int(changed),
        "reorgs": (known.reorgs if known else 0) + int(reorg),
    }
    if known is None:
        connection.execute(insert(cursors).values(id=1, **values))
    else:
        connection.execute(update(cursors).where(cursors.c.id == 1).values(**values))


def commit_blocks(
    connection: Connection, deployment: Deployment, events: Sequence[Event], read: Sequence[BlockRef]
) -> list[NewEntry]:
    """Apply the events of the blocks that were read and store the blocks' hashes; returns the audit entries."""
    overlay = rows.over_database(connection)
    parties = Parties(connection, overlay)
    acts = acts_of(connection, deployment, (event.tx_hash for event in events))
    made: list[tuple[Event, AuditEvent]] = []
    for event in events:
        overlay.put(apply(event, overlay))
        made += _entry(event, deployment, parties, acts)
    rows.write(connection, overlay.changed())
    store_events(connection, events)
    _keep_hashes(connection, read)
    move_cursor(connection, read[-1].number, read[-1].hash, changed=bool(events))
    return _told(connection, events, acts, made)


def commit_missed(
    connection: Connection, deployment: Deployment, events: Sequence[Event]
) -> tuple[bool, list[NewEntry]]:
    """Insert events of a block that was skipped into the history, and compute the rows from the whole history again.

    Returns whether anything changed (missing events, or an act to record), and the audit entries.
    """
    acts = acts_of(connection, deployment, (event.tx_hash for event in events))
    number = events[0].block_number
    known = set(
        connection.execute(
            select(rows.EVENTS.c.log_index).where(rows.EVENTS.c.block_number == number)
        ).scalars()
    )
    missed = [event for event in events if event.log_index not in known]
    store_events(connection, missed)
    new = {(event.block_number, event.log_index) for event in missed}
    overlay = rows.over_nothing()
    parties = Parties(connection, overlay)
    made: list[tuple[Event, AuditEvent]] = []
    for event in stored_events(connection):
        overlay.put(apply(event, overlay))
        if (event.block_number, event.log_index) in new:
            made += _entry(event, deployment, parties, acts)
    cursor = read_cursor(connection)
    assert cursor is not None
    if missed:
        rows.replace_all(connection, overlay.changed())
        move_cursor(connection, cursor.block_number, cursor.block_hash, changed=True)
    else:
        made = [one for event in events for one in _entry(event, deployment, parties, acts)]
    return bool(missed or acts), _told(connection, events, acts, made)


def _entry(
    event: Event, deployment: Deployment, parties: Parties, acts: Mapping[str, str]
) -> list[tuple[Event, AuditEvent]]:
    parties.take(event)
    entry = entry_of(event, deployment.chain_id, parties, acts.get(event.tx_hash))
    return [] if entry is None else [(event, entry)]


def _told(
    connection: Connection,
    events: Sequence[Event],
    acts: Mapping[str, str],
    made: Sequence[tuple[Event, AuditEvent]],
) -> list[NewEntry]:
    """The further effects of stored events: missing log entries, lifted holds, use totals, recorded acts."""
    entries, standing = _new_entries(connection, made)
    lift(connection, events)
    for event in events:
        if event.name == "UsesCorrected":
            corrected(connection, event.args["grant"], event.args["total"])
    answers = record_acts(connection, events, acts, standing)
    return [NewEntry(entry) for entry in [*entries, *_unknown(connection, answers)]]


def roll_back(
    connection: Connection, deployment: Deployment, number: int, block_hash: str, now: datetime
) -> list[NewEntry]:
    """Undo everything after block ``number``: the rows are computed again from the history up to it.

    Returns the compensating audit entries.
    """
    orphaned = _recorded_after(connection, deployment.chain_id, number)
    connection.execute(delete(rows.EVENTS).where(rows.EVENTS.c.block_number > number))
    connection.execute(delete(blocks).where(blocks.c.number > number))
    overlay = rows.over_nothing()
    for event in stored_events(connection):
        overlay.put(apply(event, overlay))
    rows.replace_all(connection, overlay.changed())
    move_cursor(connection, number, block_hash, changed=True, reorg=True)
    events = [event for _, event, _ in orphaned]
    entries = [reverted(entry, event, deployment.chain_id) for entry, event, _ in reversed(orphaned)]
    hold_again(connection, number)
    takes = [one for one in orphaned if concerns(one[1].name)]
    acts = [(_lost(entry, event, act, number), event.args) for entry, event, act in takes]
    held = [one for one in still_taken(acts) if one.held]
    hold(connection, held)
    entries += [held_entry("reorg", one, now) for one in held]
    entries += reopen_acts(connection, deployment, number, events, now)
    return [NewEntry(entry) for entry in _unknown(connection, entries)]


def _recorded_after(
    connection: Connection, chain_id: int, number: int
) -> list[tuple[UUID, Event, str | None]]:
    """The recorded and not yet reverted events of blocks after ``number``: entry, event and act.

    They are read from the log, so changed rows of the history have no effect. A process that does not read the log uses
    the history.
    """
    log_known = log_facts(connection)
    if log_known is None:
        return [
            (_standing(connection, event, entry_id(chain_id, event.tx_hash, event.log_index)), event, None)
            for event in stored_events(connection)
            if event.block_number > number and event.name not in WITHOUT_ENTRY
        ]
    ids = log_known.recorded_after(connection, number)
    known = known_entries(connection, [entry.bytes for entry in ids])
    entries = [read_event(known[entry.bytes][1]) for entry in ids]
    return [(entry.id, recorded_event(entry), _act(entry)) for entry in entries]


def _act(entry: AuditEvent) -> str | None:
    act = entry.facts.get("act")
    return act if isinstance(act, str) else None


def _lost(entry: UUID, event: Event, act: str | None, number: int) -> LostAct:
    """The lost act of an event that the chain no longer has after block ``number``."""
    took = taken(event.name, event.args) or NOTHING
    department = int(event.args.get("department", 0))
    return LostAct(str(entry), 0, event.name, took.kind, took.target, took.detail, department, act, number)


def stored_hashes(connection: Connection) -> list[tuple[int, str]]:
    """Number and hash of every stored block, the newest first."""
    kept = select(blocks.c.number, blocks.c.hash)
    eventful = select(rows.EVENTS.c.block_number, rows.EVENTS.c.block_hash).distinct()
    found = {int(row[0]): str(row[1]) for query in (kept, eventful) for row in connection.execute(query)}
    return sorted(found.items(), reverse=True)


def store_events(connection: Connection, events: Iterable[Event]) -> None:
    """Add events to the history."""
    values = [event_row(event) for event in events]
    for at in range(0, len(values), 500):
        connection.execute(insert(rows.EVENTS), values[at : at + 500])


def event_row(event: Event) -> dict[str, Any]:
    """The row of an event in the history."""
    return {
        "block_number": event.block_number,
        "log_index": event.log_index,
        "block_hash": event.block_hash,
        "block_time": event.block_time,
        "tx_hash": event.tx_hash,
        "contract": event.contract,
        "name": event.name,
        "args": json.dumps(event.args),
        "subject": subject_of(event),
    }


def stored_events(connection: Connection) -> list[Event]:
    """The whole history, in chain order."""
    found = connection.execute(
        select(rows.EVENTS).order_by(rows.EVENTS.c.block_number, rows.EVENTS.c.log_index)
    ).mappings()
    return [event_from(row) for row in found]


@made_of("chain_event")
def event_from(row: Mapping[Any, Any]) -> Event:
    """An event from its row in the history."""
    return Event(
        row["name"],
        row["contract"],
        json.loads(row["args"]),
        row["block_number"],
        row["block_hash"],
        row["block_time"],
        row["tx_hash"],
        row["log_index"],
    )


def _keep_hashes(connection: Connection, read: Sequence[BlockRef]) -> None:
    kept = read[-KEPT_BLOCKS:]
    connection.execute(delete(blocks).where(blocks.c.number >= kept[0].number))
    connection.execute(insert(blocks), [{"number": block.number, "hash": block.hash} for block in kept])
    connection.execute(delete(blocks).where(blocks.c.number < kept[-1].number - KEPT_BLOCKS))


def _new_entries(
    connection: Connection, made: Sequence[tuple[Event, AuditEvent]]
) -> tuple[list[AuditEvent], dict[tuple[str, int], UUID]]:
    """The entries that are not in the log yet, and the id of its entry for every event (transaction, log index).

    Entries are in the log already when a lost projection is built again. An event that a reorganisation removed and
    brought back gets a second entry after the compensating one.
    """
    known = _known(connection, [entry.id for _, entry in made])
    fresh: list[AuditEvent] = []
    standing: dict[tuple[str, int], UUID] = {}
    for event, entry in made:
        stands = entry.id
        if entry.id not in known:
            fresh.append(entry)
        else:
            stands = _standing(connection, event, entry.id)
            if _was_reverted(connection, stands):
                stands = again_id(entry.id, event.block_hash, _reorgs(connection))
                fresh.append(replace(entry, id=stands))
        standing[event.tx_hash, event.log_index] = stands
    return fresh, standing


def _standing(connection: Connection, event: Event, first: UUID) -> UUID:
    """The newest entry that recorded an event in its present block: the first one, or one made after a reorganisation."""
    again = [again_id(first, event.block_hash, n) for n in range(_reorgs(connection), 0, -1)]
    known = _known(connection, again)
    return next((identity for identity in again if identity in known), first)


def _was_reverted(connection: Connection, entry: UUID) -> bool:
    """Whether the log has a compensating entry for this entry and the block in which it was recorded."""
    _, leaf = known_entries(connection, [entry.bytes])[entry.bytes]
    if not leaf:
        return False
    block_hash = read_event(leaf).facts["block_hash"]
    return bool(_known(connection, [reverted_id(entry, str(block_hash))]))


def _reorgs(connection: Connection) -> int:
    cursor = read_cursor(connection)
    return cursor.reorgs if cursor else 0


def _unknown(connection: Connection, entries: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Those of these entries that are not in the log."""
    known = _known(connection, [entry.id for entry in entries])
    return [entry for entry in entries if entry.id not in known]


def _known(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    return {
        UUID(bytes=identity) for identity in known_entries(connection, [identity.bytes for identity in ids])
    }
