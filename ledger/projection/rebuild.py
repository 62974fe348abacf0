"""Rebuilding the projection from the first block: the same events give the same rows. The audit log is not written.

A rebuild writes no entries, because the log has them already. It ends at the cursor's block, so that the follower makes
the entries of later blocks. In an empty database it ends at the head.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, select

from ledger.audit.formats.events import read_event
from ledger.audit.log.reading import known_entries
from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.events import Event, EventDecoder
from ledger.lost.holds import log_facts
from ledger.projection import state as rows
from ledger.projection.apply import apply
from ledger.projection.commit import blocks, event_row, move_cursor, read_cursor, store_events
from ledger.projection.entries import recorded_event
from ledger.projection.rows import ProjectionError
from ledger.store.engine import reader

RANGE = 1_000
"""The number of blocks in one request to the node."""


class LogAhead(ProjectionError):
    """The log has events that the chain does not have and that were not reverted."""

    code = "projection.log-ahead"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild: the last block, the number of events, and the duration in seconds."""

    block_number: int
    events: int
    seconds: float


def rebuild(
    client: ChainClient, engine: Engine, deployment: Deployment, *, to_block: int | None = None
) -> Rebuilt:
    """Build the projection from the deployment's first block and replace the stored one in one transaction.

    Readers see either the old or the new rows. ``to_block`` defaults to the cursor's block, in an empty database to the
    head. Raises `LogAhead` when the log has events of blocks that are not in the chain: only the follower can revert them
    and keep their denials.
    """
    began = time.monotonic()
    with reader(engine).connect() as connection:
        cursor = read_cursor(connection)
    last = to_block if to_block is not None else cursor.block_number if cursor else client.head().number
    end = client.block(last)
    events = read_events(client, deployment, last)
    overlay = rows.over_nothing()
    for event in events:
        overlay.put(apply(event, overlay))
    if client.block(last).hash != end.hash:
        raise ProjectionError("the chain was reorganised meanwhile", hint="rebuild again")
    with engine.begin() as connection:
        _must_have_what_the_log_has(connection, client, events)
        _put_in_place(connection, overlay, events, end)
    return Rebuilt(last, len(events), time.monotonic() - began)


def _must_have_what_the_log_has(connection: Connection, client: ChainClient, events: Sequence[Event]) -> None:
    log_known = log_facts(connection)
    if log_known is None:
        return
    entries = [entry.bytes for entry in log_known.recorded_after(connection, -1)]
    recorded = {
        (event.block_number, event.block_hash)
        for _, leaf in known_entries(connection, entries).values()
        for event in ([recorded_event(read_event(leaf))] if leaf else [])
    }
    head = client.head().number
    for number, block_hash in sorted(recorded - {(event.block_number, event.block_hash) for event in events}):
        if number > head or client.block(number).hash != block_hash:
            raise LogAhead(
                f"the log has events of block {number} {block_hash}, which is not in the chain",
                hint="start the service, which takes them back; where the chain was restored: civic chain restored",
            )


def read_events(client: ChainClient, deployment: Deployment, last: int) -> list[Event]:
    """All events of the deployment up to block ``last``, in chain order."""
    decoder = EventDecoder(deployment.addresses)
    found: list[Event] = []
    end = ""
    for first in range(deployment.block, last + 1, RANGE):
        read = client.segment(first, min(first + RANGE - 1, last), decoder.addresses)
        if end and read.blocks[0].parent_hash != end:
            raise ProjectionError("the chain was reorganised meanwhile", hint="ask again")
        end = read.blocks[-1].hash
        times = {block.number: block.timestamp for block in read.blocks}
        found += [decoder.decode(log, times[log.block_number]) for log in read.logs]
    return found


def _put_in_place(connection: Connection, overlay: rows.Overlay, events: list[Event], end: BlockRef) -> None:
    rows.replace_all(connection, overlay.changed())
    connection.execute(delete(rows.EVENTS))
    store_events(connection, events)
    connection.execute(delete(blocks))
    connection.execute(blocks.insert().values(number=end.number, hash=end.hash))
    move_cursor(connection, end.number, end.hash, changed=True)


def differences(one: Engine, other: Engine) -> list[str]:
    """The differences between two projections: one line for each row, at most 20 for each table; empty if there is none."""
    with reader(one).connect() as left, reader(other).connect() as right:
        here, there = rows.fingerprints(left), rows.fingerprints(right)
        return [
            line
            for name in here
            if here[name] != there[name]
            for line in rows.different_rows(left, right, name)
        ]


def departures(connection: Connection, client: ChainClient, deployment: Deployment) -> Iterator[str]:
    """The differences between a stored projection and one computed from the chain's events up to its cursor.

    Yields one line for each row, also for cursor and history. Raises the errors of the chain.
    """
    cursor = read_cursor(connection)
    if cursor is None:
        return
    head = client.head().number
    if cursor.block_number > head or client.block(cursor.block_number).hash != cursor.block_hash:
        yield f"projection_cursor: block {cursor.block_number} {cursor.block_hash} is not one of the chain"
    events = read_events(client, deployment, min(cursor.block_number, head))
    overlay = rows.over_nothing()
    for event in events:
        overlay.put(apply(event, overlay))
    wanted = overlay.changed()
    for name, table in rows.PROJECTED.items():
        yield from _departing(connection, table, wanted.get(name, []))
    yield from _departing(connection, rows.EVENTS, [event_row(event) for event in events])
    for number, block_hash in connection.execute(select(blocks.c.number, blocks.c.hash)):
        if number > head or client.block(number).hash != block_hash:
            yield f"chain_block {number}: {block_hash} is not its hash"


def _departing(connection: Connection, table: Table, wanted: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    keys = [column.name for column in table.primary_key]
    missing = {tuple(row[key] for key in keys): row for row in wanted}
    for found in connection.execute(select(table)).mappings():
        key = tuple(found[name] for name in keys)
        row = missing.pop(key, None)
        if row is None:
            yield f"{table.name} {_named(key)}: no event of the chain makes this row"
            continue
        changed = [name for name in row if found[name] != row[name]]
        if changed:
            yield f"{table.name} {_named(key)}: {', '.join(changed)} is not what the chain's events say"
    for key in missing:
        yield f"{table.name} {_named(key)} is missing"


def _named(key: tuple[Any, ...]) -> str:
    return " ".join(str(part) for part in key)
