"""A chain that ends below the blocks that were read, and whoever runs the service says that it was restored so.

A node that is behind looks the same, so nothing is taken back by what nodes say. The statement is an entry of the log, before
those of the events that it takes back. What acts took away in them stays taken away, as after every roll-back
(`ledger.lost.holds`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.chain.client import BlockRef
from ledger.projection.commit import Cursor

RESTORED = "log:chain:restored"


@dataclass(frozen=True, slots=True)
class WentBack:
    """The chain ends with ``head``, was read up to ``read``, and ``kept`` is the newest block of those read that it has."""

    head: BlockRef
    read: Cursor
    kept: BlockRef


def restored_entry(found: WentBack, now: datetime) -> NewEntry:
    """The entry of the statement."""
    facts: dict[str, str | int | bool] = {
        "block": found.head.number,
        "block_hash": found.head.hash,
        "common_block": found.kept.number,
        "read": found.read.block_number,
        "read_hash": found.read.block_hash,
    }
    return NewEntry(Event(id=new_event_id(), type=RESTORED, time=now, facts=facts))
