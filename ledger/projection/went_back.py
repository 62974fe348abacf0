"""A chain that ends below the blocks that were read, and the operator's statement that it was restored.

A node that is late gives the same answers, so events are not undone because of nodes alone. The statement is an entry of
the log, before the entries that undo the events. Denials by the undone acts continue, as after every roll-back
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
    """The chain's newest block is ``head``, the cursor was at ``read``, and ``kept`` is the newest read block in the chain."""

    head: BlockRef
    read: Cursor
    kept: BlockRef


def restored_entry(found: WentBack, now: datetime) -> NewEntry:
    """The log entry of the operator's statement."""
    facts: dict[str, str | int | bool] = {
        "block": found.head.number,
        "block_hash": found.head.hash,
        "common_block": found.kept.number,
        "read": found.read.block_number,
        "read_hash": found.read.block_hash,
    }
    return NewEntry(Event(id=new_event_id(), type=RESTORED, time=now, facts=facts))
