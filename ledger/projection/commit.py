"""What the follower writes in one transaction: rows, history, outcomes of acts, cursor; and how it undoes it.

Every function takes the writer's connection and answers the audit entries that belong to what it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, delete, insert, select, update

from ledger.audit.append import NewEntry
from ledger.audit.events import Event as AuditEvent
from ledger.audit.events import read_event
from ledger.audit.reading import BY_IDS
from ledger.chain.client import BlockRef
from ledger.chain.events import Event, entry_id
from ledger.outbox.holds import LostAct, hold, hold_again, lift, taken
from ledger.projection import state as rows
from ledger.projection.apply import apply
from ledger.projection.entries import (
    WITHOUT_ENTRY,
    again_id,
    entry_of,
    reverted,
    reverted_id,
    subject_of,
)
from ledger.projection.outcomes import acts_of, record_acts, reopen_acts
from ledger.store.prepared import Prepared
from ledger.store.tables.projection import ChainBlockRow, ProjectionCursorRow

blocks: Table = ChainBlockRow.__table__  # type: ignore[attr-defined]
cursors: Table = ProjectionCursorRow.__table__  # type: ignore[attr-defined]

KEPT_BLOCKS = 1_024
"""Hashes kept of blocks without events; those with events are kept for ever, in the history."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that was followed. ``version`` grows with every change of the projection."""

    block_number: int
    block_hash: str
    version: int
    reorgs: int


_CURSOR = Prepared(
    select(cursors.c.block_number, cursors.c.block_hash, cursors.c.version, cursors.c.reorgs).where(
        cursors.c.id == 1
    )
)


def read_cursor(connection: Connection) -> Cursor | None:
    """Where the projection stands; None before the first block."""
    row = _CURSOR.row(connection)
    return None if row is None else Cursor(*row)


def move_cursor(
    connection: Connection, number: int, block_hash: str, *, changed: bool, reorg: bool = False
) -> None:
    """Write the cursor; its version grows when something changed, and never falls."""
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
    connection: Connection, chain_id: int, events: Sequence[Event], end: BlockRef
) -> list[NewEntry]:
    """Apply the events of the blocks up to ``end``."""
    overlay = rows.over_database(connection)
    made: list[tuple[Event, AuditEvent]] = []
    acts = acts_of(connection, events)
    for event in events:
        overlay.put(apply(event, overlay))
        entry = entry_of(event, chain_id, overlay, acts.get(event.tx_hash))
        if entry is not None:
            made.append((event, entry))
    rows.write(connection, overlay.changed())
    store_events(connection, events)
    _keep_hash(connection, end)
    move_cursor(connection, end.number, end.hash, changed=bool(events))
    entries, standing = _new_entries(connection, made)
    lift(connection, events)
    answers = record_acts(connection, events, standing)
    return [NewEntry(entry) for entry in [*entries, *_unknown(connection, answers)]]


def roll_back(
    connection: Connection, chain_id: int, number: int, block_hash: str, now: datetime
) -> list[NewEntry]:
    """Undo everything after block ``number``: the rows are computed again from the history before it."""
    orphaned = [e for e in stored_events(connection) if e.block_number > number]
    connection.execute(delete(rows.EVENTS).where(rows.EVENTS.c.block_number > number))
    connection.execute(delete(blocks).where(blocks.c.number > number))
    overlay = rows.over_nothing()
    for event in stored_events(connection):
        overlay.put(apply(event, overlay))
    rows.replace_all(connection, overlay.changed())
    move_cursor(connection, number, block_hash, changed=True, reorg=True)
    entries = [
        reverted(
            _standing(connection, event, entry_id(chain_id, event.tx_hash, event.log_index)), event, chain_id
        )
        for event in reversed(orphaned)
        if event.name not in WITHOUT_ENTRY
    ]
    hold_again(connection, number)
    hold(connection, [one for event in orphaned if (one := _lost(connection, chain_id, event))], number)
    entries += reopen_acts(connection, number, orphaned, now)
    return [NewEntry(entry) for entry in _unknown(connection, entries)]


def _lost(connection: Connection, chain_id: int, event: Event) -> LostAct | None:
    """What an event took away that the chain no longer has; None where it took nothing."""
    took = taken(event.name, event.args)
    if took is None:
        return None
    entry = _standing(connection, event, entry_id(chain_id, event.tx_hash, event.log_index))
    return LostAct(
        str(entry),
        0,
        event.name,
        took.kind,
        took.target,
        took.detail,
        int(event.args.get("department", 0)),
        acts_of(connection, [event]).get(event.tx_hash),
    )


def stored_hashes(connection: Connection) -> list[tuple[int, str]]:
    """Number and hash of every block remembered, the newest first."""
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


def _keep_hash(connection: Connection, block: BlockRef) -> None:
    connection.execute(delete(blocks).where(blocks.c.number == block.number))
    connection.execute(insert(blocks).values(number=block.number, hash=block.hash))
    connection.execute(delete(blocks).where(blocks.c.number < block.number - KEPT_BLOCKS))


def _new_entries(
    connection: Connection, made: Sequence[tuple[Event, AuditEvent]]
) -> tuple[list[AuditEvent], dict[tuple[str, int], UUID]]:
    """The entries that the log has not, and for every event (transaction, log index) the id of its entry.

    All are new, but for a projection that was lost and is followed again, and for an event that a reorg took away
    and brought back, which gets a second entry after the compensating one.
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
    """The newest entry that recorded an event in the block it stands in: its first, or one made after a reorg."""
    again = [again_id(first, event.block_hash, n) for n in range(_reorgs(connection), 0, -1)]
    known = _known(connection, again)
    return next((identity for identity in again if identity in known), first)


def _was_reverted(connection: Connection, entry: UUID) -> bool:
    """Whether a compensating entry stands against this one, for the block in which it was recorded."""
    leaf = bytes(connection.execute(BY_IDS, {"ids": [entry.bytes]}).one().leaf)
    if not leaf:
        return False
    block_hash = read_event(leaf).facts["block_hash"]
    return bool(_known(connection, [reverted_id(entry, str(block_hash))]))


def _reorgs(connection: Connection) -> int:
    cursor = read_cursor(connection)
    return cursor.reorgs if cursor else 0


def _unknown(connection: Connection, entries: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Those that the log has not."""
    known = _known(connection, [entry.id for entry in entries])
    return [entry for entry in entries if entry.id not in known]


def _known(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    found: set[UUID] = set()
    for at in range(0, len(ids), 500):
        page = [identity.bytes for identity in ids[at : at + 500]]
        found |= {UUID(bytes=bytes(row.event_id)) for row in connection.execute(BY_IDS, {"ids": page})}
    return found
