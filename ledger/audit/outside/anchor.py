"""Anchoring: recording the log's head on chain, and stopping releases when the chain contradicts the log.

A head is anchored every 60 s or 10,000 entries, whichever comes first, and one second after a governance act, so that
acts within that second share an anchor. Without new entries nothing is anchored. The contract checks the consistency
proof and refuses a head that does not extend the anchored one. `releases_allowed` becomes false when the chain was
unreachable for longer than the configured outage. `overdue` becomes true when the chain is reachable but a due anchor
was not recorded for that long. In both cases the gateway stops releasing data, as X-Road does when its timestamps fail;
all other operations continue.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import insert, select, update

from ledger.audit.formats.checkpoint import Head, SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import AuditError, RollbackDetected
from ledger.audit.formats.merkle import verify_consistency
from ledger.audit.formats.note import b64
from ledger.audit.log.log import AuditLog
from ledger.audit.log.publish import keep
from ledger.audit.log.reading import LogReader, checkpoint_table
from ledger.audit.outside.header_proof import HeaderProofUnavailable
from ledger.audit.verify.receipts import Receipt
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditAnchor
from ledger.worker import STILL_AFTER_S, Worker

anchor_table = table_of(AuditAnchor)

_PROOFS_AT_ONCE = 20

_log = logging.getLogger(__name__)


class AnchorUnavailable(AuditError):
    """The chain is unreachable, or it did not record the head. Raised by implementations of `AnchorPort`."""

    code = "audit.anchor_unavailable"


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """The head of the log on the chain: size, root (32 bytes), the contract's epoch, and the block of the query."""

    size: int
    root: bytes
    epoch: int
    block: int

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)


@dataclass(frozen=True, slots=True)
class AnchorReference:
    """The transaction and block that recorded a head: hashes as 0x and 64 hex digits, and the block number."""

    tx_hash: str
    block_number: int
    block_hash: str


class AnchorPort(Protocol):
    """The interface of the AuditAnchor contract for `Anchorer`.

    All methods raise `AnchorUnavailable` when the chain is unreachable. ``proof_of`` returns the proof up to the block
    header in the form of `ledger.audit.verify.anchors` ({header, nodes, transaction, log}), or None when the node has
    none.
    """

    def latest(self) -> AnchoredHead:
        """The anchored head of this log; before the first anchor, size 0 and the root of the empty tree."""

    def submit(self, old: Head, new: SignedCheckpoint, proof: list[bytes]) -> AnchorReference:
        """Anchor ``new`` with the consistency proof from ``old``; return after the transaction was mined.

        A head that is already on chain is looked up and not sent again.
        """

    def proof_of(self, reference: AnchorReference, size: int) -> dict[str, Any] | None:
        """The proof that the block recorded the head of this size."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """The limits for anchoring and for stopping releases: seconds (``_s``) and numbers of entries."""

    every_s: float = 60.0
    every_entries: int = 10_000
    coalesce_s: float = 1.0
    outage_s: float = 300.0


class Anchorer:
    """Anchors one log through one port. `step` anchors when it is due; `start` runs `step` on a thread."""

    def __init__(
        self,
        log: AuditLog,
        port: AnchorPort,
        cadence: Cadence | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        cosign: Callable[[SignedCheckpoint], SignedCheckpoint] | None = None,
        still_after_s: float = STILL_AFTER_S,
    ) -> None:
        """``cosign`` may collect witnesses' cosignatures on a head before it is anchored."""
        self._log = log
        self._port = port
        self._cadence = cadence or Cadence()
        self._clock = clock
        self._cosign = cosign
        self._reached = clock()
        self._anchored_at = clock()
        self._anchored_size = 0
        self._act_at: float | None = None
        self._refused: RollbackDetected | None = None
        self._due_since: float | None = None
        self._lock = threading.Lock()
        self.work = Worker("audit-anchor", self._round, still_after_s=still_after_s)

    def check(self) -> AnchoredHead:
        """Compare the log with the chain now. Raises `RollbackDetected` when the log does not contain the anchored head,
        and `AnchorUnavailable`."""
        anchored = self._port.latest()
        self._reached = self._clock()
        try:
            self._log.require(anchored.head, "chain")
        except RollbackDetected as error:
            self._refused = error
            raise
        self._refused = None  # a log that was changed and restored agrees with the chain again
        self._anchored_size = anchored.size
        return anchored

    def governance_act(self) -> None:
        """A governance act was logged: anchor within `Cadence.coalesce_s`."""
        with self._lock:
            if self._act_at is None:
                self._act_at = self._clock()

    def releases_allowed(self) -> bool:
        """False when the chain was unreachable for longer than the outage limit, or contradicts the log."""
        return self._refused is None and self._clock() - self._reached <= self._cadence.outage_s

    def overdue(self) -> bool:
        """Whether an anchor has been due for longer than the outage limit: the chain refuses or does not mine it."""
        since = self._due_since
        return since is not None and self._clock() - since > self._cadence.outage_s

    def due(self) -> bool:
        """Whether an anchor is due now."""
        size = self._log.size
        if size <= self._anchored_size:
            return False
        now = self._clock()
        return (
            now - self._anchored_at >= self._cadence.every_s
            or size - self._anchored_size >= self._cadence.every_entries
            or (self._act_at is not None and now - self._act_at >= self._cadence.coalesce_s)
        )

    def step(self) -> AnchorReference | None:
        """Anchor if due; None when nothing is due. Raises `AnchorUnavailable` or `RollbackDetected`; it then stays due."""
        if not self.due():
            return None
        if self._due_since is None:
            self._due_since = self._clock()
        return self.anchor_now()

    def anchor_now(self) -> AnchorReference | None:
        """Anchor the current head; None when it is already on chain. Raises as `step`."""
        with self._lock:  # a later act may not be in this head: it needs another anchor
            act_at, self._act_at = self._act_at, None
        try:
            return self._anchored_now()
        except BaseException:
            with self._lock:
                self._act_at = act_at if act_at is not None else self._act_at
            raise

    def _anchored_now(self) -> AnchorReference | None:
        anchored = self.check()
        new = self._log.checkpoint()
        if new.size == anchored.size and (not new.size or self._recorded(new.size)):
            self._done(new.size)
            return None
        if self._log.highwater is not None:
            mark = self._log.highwater.read(self._log.verifier_keys())
            if mark is not None:
                self._log.require(mark.checkpoint.head, "high-water mark")
        proof = self._log.consistency(anchored.size, new.size)
        verify_consistency(anchored.size, new.size, anchored.root, new.root, proof)
        if self._cosign is not None:
            new = self._cosign(new)
        reference = self._port.submit(anchored.head, new, proof)
        self._reached = self._clock()
        self._record(new, reference)
        self._done(new.size)
        self.complete_proofs()
        return reference

    def complete_proofs(self) -> int:
        """Fetch the missing header proofs of stored anchors; returns how many were completed."""
        with self._log.engine.connect() as conn:
            waiting = conn.execute(
                select(anchor_table).where(
                    anchor_table.c.proof == "", anchor_table.c.epoch == self._log.epoch
                ).order_by(anchor_table.c.size.desc()).limit(_PROOFS_AT_ONCE)
            ).mappings().all()  # fmt: skip
        completed = 0
        for row in waiting:
            reference = AnchorReference(row["tx_hash"], row["block_number"], row["block_hash"])
            try:
                proof = self._port.proof_of(reference, row["size"])
            except (AnchorUnavailable, HeaderProofUnavailable) as error:
                _log.warning("no proof of the anchor at %d yet: %s", row["size"], error)
                continue
            if proof is None:
                continue
            at = (anchor_table.c.size == row["size"], anchor_table.c.epoch == row["epoch"])
            with self._log.engine.begin() as conn:
                conn.execute(update(anchor_table).where(*at).values(proof=json.dumps(proof)))
            completed += 1
        return completed

    def start(self) -> None:
        """Run `step` on a thread until `close`."""
        self.work.start()

    def close(self, timeout: float = 10.0) -> None:
        """Stop the thread after the current submission; waits at most ``timeout`` seconds."""
        self.work.close(timeout)

    def _round(self) -> float:
        self.step()
        if self._refused or self._clock() - self._reached > self._cadence.outage_s / 4:
            self.check()
        return min(self._cadence.coalesce_s, 1.0) / 2

    def _recorded(self, size: int) -> bool:
        at = (anchor_table.c.size == size, anchor_table.c.epoch == self._log.epoch)
        with self._log.engine.connect() as conn:
            return conn.execute(select(anchor_table.c.size).where(*at)).first() is not None

    def _done(self, size: int) -> None:
        self._anchored_at, self._anchored_size = self._clock(), size
        self._due_since = None

    def _record(self, new: SignedCheckpoint, reference: AnchorReference) -> None:
        row = {
            "size": new.size,
            "epoch": self._log.epoch,
            "root": new.root,
            "tx_hash": reference.tx_hash,
            "block_number": reference.block_number,
            "block_hash": reference.block_hash,
            "proof": "",
        }
        with self._log.engine.begin() as conn:
            keep(conn, new)
            at = (anchor_table.c.size == new.size, anchor_table.c.epoch == self._log.epoch)
            if conn.execute(select(anchor_table.c.size).where(*at)).first() is None:
                conn.execute(insert(anchor_table), row)
            else:
                conn.execute(update(anchor_table).where(*at).values(row))


def stored_anchors(log: LogReader, size: int, origin: str) -> list[dict[str, Any]]:
    """The anchors of this epoch up to ``size``, in the form of bundles and receipts."""
    epoch = int(origin.rpartition("/")[2])
    with log.engine.connect() as conn:
        rows = (
            conn.execute(
                select(anchor_table)
                .where(anchor_table.c.size <= size, anchor_table.c.epoch == epoch)
                .order_by(anchor_table.c.size)
            )
            .mappings()
            .all()
        )
    return [
        {
            "size": row["size"],
            "root": b64(row["root"]),
            "block_number": row["block_number"],
            "block_hash": row["block_hash"],
            "proof": json.loads(row["proof"]) if row["proof"] else None,
        }
        for row in rows
    ]


def anchored_receipt(log: LogReader, index: int) -> Receipt | None:
    """The receipt of an entry under the first anchored head that covers it, with the anchor; None without such a head.

    Entries of earlier epochs are covered by anchors of the current epoch.
    """
    with log.engine.connect() as conn:
        row = conn.execute(
            select(anchor_table.c.size, anchor_table.c.epoch, checkpoint_table.c.note)
            .join(
                checkpoint_table,
                (checkpoint_table.c.size == anchor_table.c.size)
                & (checkpoint_table.c.epoch == anchor_table.c.epoch),
            )
            .where(anchor_table.c.size > index)
            .order_by(anchor_table.c.epoch.desc(), anchor_table.c.size)
            .limit(1)
        ).one_or_none()
    if row is None:
        return None
    signed = read_checkpoint(row.note)
    anchor = stored_anchors(log, signed.size, signed.checkpoint.origin)[-1]
    receipt = log.receipt(index, signed)
    return replace(receipt, anchor=anchor if anchor["proof"] else None)
