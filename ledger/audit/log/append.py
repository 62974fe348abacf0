"""What goes into the log, and what comes back: new entries, their rows, and the outcome of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.audit.formats.checkpoint import SignedCheckpoint
from ledger.audit.formats.events import Event
from ledger.audit.formats.merkle import Growth, inclusion_proof, leaf_hash
from ledger.audit.log.openings import Opening, must_fit
from ledger.audit.verify.receipts import Receipt


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An event to append, with the openings of its commitments.

    ``fresh``: the event's id was drawn for it just now, so nobody needs to look for an earlier entry of that id.
    """

    event: Event
    openings: Sequence[Opening] = ()
    fresh: bool = False


@dataclass(slots=True)
class PreparedEntry:
    """A new entry with its leaf, hash and id; made before the log is locked. ``fresh``: the log has no such id."""

    event: Event
    leaf: bytes
    hash: bytes
    event_id: bytes
    openings: Sequence[Opening]
    fresh: bool

    @classmethod
    def of(cls, entry: NewEntry) -> PreparedEntry:
        """Canonicalise and hash; raises `EventInvalid`."""
        leaf = entry.event.canonical()
        must_fit(entry.event, {opening.name: opening for opening in entry.openings}, whole=True)
        return cls(entry.event, leaf, leaf_hash(leaf), entry.event.id.bytes, entry.openings, entry.fresh)

    def row(self, index: int) -> tuple[Any, ...]:
        """The columns of ``audit_entry``, in their order."""
        event = self.event
        return (
            index,
            self.hash,
            self.event_id,
            event.microseconds,
            event.type,
            event.department,
            event.service or event.officer,
            event.asset,
            bytes.fromhex(event.grant[2:]) if event.grant else None,
            event.purpose,
            event.decision,
            self.leaf,
        )


@dataclass(frozen=True, slots=True)
class Appended:
    """One committed batch: how the tree grew, under which signed checkpoint, and where each entry stands.

    ``indices`` and ``leaves`` follow the order in which the entries were given; an entry whose id was in the log
    already has its first index, below ``growth.old_size`` or earlier in the batch.
    """

    growth: Growth
    signed: SignedCheckpoint
    indices: tuple[int, ...]
    leaves: tuple[bytes, ...]

    def receipt(self, position: int) -> Receipt:
        """The receipt of the entry given at ``position``; for one this batch appended, without any I/O."""
        index = self.indices[position]
        proof = inclusion_proof(index, self.growth.size, self.growth.node)
        return Receipt(index, self.leaves[position], tuple(proof), str(self.signed))
