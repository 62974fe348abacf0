"""The input and the result of an append: new entries, their rows, and a committed batch."""

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

    ``fresh`` states that the event's id is newly generated, so no earlier entry of that id is searched for.
    """

    event: Event
    openings: Sequence[Opening] = ()
    fresh: bool = False


@dataclass(slots=True)
class PreparedEntry:
    """A new entry with its leaf, leaf hash and id (16 bytes), computed before the log is locked.

    ``fresh`` as in `NewEntry`.
    """

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
        """The values of the columns of ``audit_entry``, in the order of the table."""
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
    """One appended batch: the growth of the tree, the signed checkpoint, and the index and leaf of each entry.

    ``indices`` and ``leaves`` are in the order of the given entries. An entry whose id was already in the log, or
    earlier in the batch, has the index and leaf of the first one.
    """

    growth: Growth
    signed: SignedCheckpoint
    indices: tuple[int, ...]
    leaves: tuple[bytes, ...]

    def receipt(self, position: int) -> Receipt:
        """The receipt of the entry at ``position`` of the given entries, made without I/O.

        An entry that was in the log before this batch may need other nodes: then `ProofError` is raised.
        """
        index = self.indices[position]
        proof = inclusion_proof(index, self.growth.size, self.growth.node)
        return Receipt(index, self.leaves[position], tuple(proof), str(self.signed))
