"""Rebuilding the projection from block 0: the same rows from the same events, without the audit log.

A rebuild writes no entries: those of the past stand in the log already. It stops at the block up to which the
projection had been followed, so that what came later still makes its entries; in an empty database it runs up to
the head.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete

from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.events import Event
from ledger.projection import state as rows
from ledger.projection.apply import apply
from ledger.projection.commit import blocks, move_cursor, read_cursor, store_events
from ledger.projection.rows import ProjectionError
from ledger.store.engine import reader

RANGE = 1_000
"""Blocks asked for at a time."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did: the last block, how many events, and how long it took in seconds."""

    block_number: int
    events: int
    seconds: float


def rebuild(
    client: ChainClient, engine: Engine, deployment: Deployment, *, to_block: int | None = None
) -> Rebuilt:
    """Build the projection anew from the deployment's first block, and put it in place in one transaction.

    Readers see the old rows or the new ones, never a mixture. ``to_block``: the cursor's block by default, the
    head in an empty database.
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
        _put_in_place(connection, overlay, events, end)
    return Rebuilt(last, len(events), time.monotonic() - began)


def read_events(client: ChainClient, deployment: Deployment, last: int) -> list[Event]:
    """Every event of the deployment up to block ``last``, in chain order."""
    decoder = deployment.decoder()
    times: dict[int, int] = {}
    found: list[Event] = []
    for first in range(deployment.block, last + 1, RANGE):
        for log in client.logs(first, min(first + RANGE - 1, last), decoder.addresses):
            if log.block_number not in times:
                times[log.block_number] = client.block(log.block_number).timestamp
            found.append(decoder.decode(log, times[log.block_number]))
    return found


def _put_in_place(connection: Connection, overlay: rows.Overlay, events: list[Event], end: BlockRef) -> None:
    rows.replace_all(connection, overlay.changed())
    connection.execute(delete(rows.EVENTS))
    store_events(connection, events)
    connection.execute(delete(blocks))
    connection.execute(blocks.insert().values(number=end.number, hash=end.hash))
    move_cursor(connection, end.number, end.hash, changed=True)


def differences(one: Engine, other: Engine) -> list[str]:
    """What two databases project differently: one line for each row, at most 20 for each table; [] if nothing."""
    with reader(one).connect() as left, reader(other).connect() as right:
        here, there = rows.fingerprints(left), rows.fingerprints(right)
        return [
            line
            for name in here
            if here[name] != there[name]
            for line in rows.different_rows(left, right, name)
        ]
