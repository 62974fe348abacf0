"""The running installation: one object that holds what the acts need, and how its parts start and stop.

``wiring`` builds it; ``app`` serves it; ``acts`` use it. It has no rule of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from access_policy.privacy.scanner import Scanner
from api.chain_states import Chain, ChainStates, ChainVersions
from api.newer_heads import NewerHeads
from api.problems import Problem
from api.replay import ReplayMemory
from api.settings import Home, Settings
from api.signatures import SignedCall
from api.turns import Turns
from api.upkeep import Upkeep
from api.witness import Cosigners
from ledger.acceptances import AcceptanceProofs
from ledger.audit.anchor import Anchorer
from ledger.audit.errors import LogClosed, LogUnavailable
from ledger.audit.log import AuditLog
from ledger.audit.openings import OpeningVault
from ledger.audit.receipts import Receipt
from ledger.audit.writer import Committed, GroupCommit, Job, JobResult
from ledger.chain.anchoring import origin_hash
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment
from ledger.chain.errors import ChainError, ChainUnreachable
from ledger.clock import Forgetting, Timekeeper, stamp
from ledger.outbox import PendingRevocations, Relayer
from ledger.outbox.holds import lost
from ledger.projection.follower import Follower
from ledger.projection.queries import ServiceKey, anchors, followed_block, service_key
from ledger.projection.views import KEY_ROLES, words
from ledger.releases import Charges, claim_nonce, forget_nonces, used
from ledger.store.sole import Sole
from ledger.uses_in_log import UsesInLog

T = TypeVar("T")

COMMIT_TIMEOUT_S = 20.0


def nonces_kept_s(settings: Settings) -> float:
    """How long the nonce of a call is kept: longer than its signature can be fresh."""
    return 2.0 * settings.call_max_age_s + 10


@dataclass(slots=True)
class Gateway:
    """An open installation.

    ``admission_delay`` is the seconds between an admission's proposal and its activation;
    ``reading`` is the database without a write lock; ``answer_key`` signs answers under ``answer_key_id``;
    ``pseudonym_secret`` (32 bytes) is where the keys of pseudonyms are derived from, per grant.
    """

    settings: Settings
    home: Home
    engine: Engine
    hold: Sole
    reading: Engine
    log: AuditLog
    writer: GroupCommit
    chain: ChainClient
    deployment: Deployment
    follower: Follower
    relayer: Relayer
    states: ChainStates
    versions: ChainVersions
    acceptances: AcceptanceProofs
    uses: UsesInLog
    revocations: PendingRevocations
    anchorer: Anchorer
    cosign: Cosigners
    upkeep: Upkeep
    relayer_address: str
    admission_delay: int
    scanner: Scanner
    vault: OpeningVault
    answer_key: Ed25519PrivateKey = field(repr=False)
    answer_key_id: str
    pseudonym_secret: bytes = field(repr=False)
    trust: dict[str, object]
    replays: ReplayMemory
    turns: Turns
    time: Timekeeper
    nonces: Forgetting
    newer: NewerHeads

    def now(self) -> datetime:
        """The present, UTC, by the installation's clock: it never falls."""
        return self.time.utc()

    def commit(self, job: Job[T]) -> Committed[T]:
        """Run a job in the writer's transaction and wait until it is durable; Problem ``log.unavailable`` if not."""
        try:
            pending: Future[Committed[T]] = self.writer.submit(job)
            return pending.result(COMMIT_TIMEOUT_S)
        except (LogUnavailable, LogClosed, FutureTimeout) as failed:
            raise Problem(
                "log.unavailable", "the audit log did not acknowledge the entry; nothing was released"
            ) from failed

    def commit_call(self, call: SignedCall, job: Job[T]) -> Committed[T]:
        """The same for a signed call: its nonce is spent in the same transaction; Problem ``call.replayed``."""

        def once(connection: Connection) -> JobResult[T]:
            if not self.claim(connection, call):
                raise Problem("call.replayed", "this signature's nonce was used before")
            return job(connection)

        return self.commit(once)

    def claim(self, connection: Connection, call: SignedCall) -> bool:
        """Spend a call's nonce in the writer's transaction; False when it was spent before."""
        before = self.nonces.before()
        if before is not None:
            forget_nonces(connection, datetime.fromtimestamp(before, UTC))
        keep = timedelta(seconds=nonces_kept_s(self.settings))
        return claim_nonce(connection, call.key_id, call.nonce, self.now(), keep)

    def receipt_of(self, entry_id: str) -> Receipt:
        """The receipt of an entry by its event id, under the newest checkpoint."""
        index = self.log.find(UUID(entry_id))
        if index is None:
            raise Problem("log.unavailable", "the entry is not in the log")
        return self.log.receipt(index)

    def service_key(self, department: int, public_key: str) -> ServiceKey | None:
        """A service key in force of an active department, None otherwise; may raise the chain's errors.

        The projection only proposes, and knows what is on its way: the chain says whether the key is in force, and its
        roles.
        """
        key, now = bytes.fromhex(public_key), self.now()
        with self.reading.connect() as connection:
            found = service_key(connection, department, key, now)
        if found is None:
            return None
        state = self.states.key(department, key)
        if not state.in_force(now):
            return None
        return replace(
            found,
            roles=words(KEY_ROLES, state.roles),
            not_before=state.not_before,
            not_after=state.not_after,
        )

    def is_registered(self, department: int, public_key: str) -> bool:
        """Whether a service key is in force."""
        return self.service_key(department, public_key) is not None

    def used(self, connection: Connection, grants: Collection[str]) -> dict[str, Charges]:
        """Uses so far per grant: what was charged, and never less than the log tells; grants never used are absent."""
        self.uses.follow(connection)
        found, told = used(connection, sorted(grants)), self.uses.of(grants)
        return {
            grant: Charges(
                max(one.used for one in (found.get(grant), told.get(grant)) if one),
                min(one.first for one in (found.get(grant), told.get(grant)) if one),
            )
            for grant in found.keys() | told.keys()
        }

    def why_ended(self, call: SignedCall, grant_id: str, chain: Chain = ()) -> str | None:
        """Why what a call was permitted may not go on: the code of the first reason, None when it may.

        The grant stands on the chain, with no revocation waiting in the outbox, and the caller's key is in force.
        ``chain`` is that of a delegated grant, which does not stand without.
        """
        with self.reading.connect() as connection:
            denied = self.revocations.of(connection).get(grant_id)
        if denied is not None:
            return f"grant.{denied}"
        why = self.states.of({grant_id: chain})[grant_id].why(self.now())
        if why is not None:
            return f"grant.{why}"
        return None if self.is_registered(call.department, call.public_key) else "caller.key-ended"

    def must_be_newest(self) -> None:
        """Problem ``audit.rollback`` when a caller has shown a head of this log that is newer than the log."""
        if self.newer.found is not None:
            raise Problem(
                "audit.rollback",
                f"a caller has seen {self.newer.found.size} entries signed by this log, which has {self.log.size}:"
                " an older state was restored; nothing is released",
            )

    def must_reach_chain(self) -> None:
        """Problem ``chain.unreachable`` when the chain was out of reach too long, or contradicts the log."""
        if not self.anchorer.releases_allowed():
            raise Problem(
                "chain.unreachable",
                "the chain is out of reach or contradicts the log; nothing new is released",
            )

    def must_be_able_to_release(self) -> None:
        """Problem where data must not leave: besides the chain's (`must_reach_chain`), ``clock.behind`` or
        ``clock.ahead`` while the machine's clock is in doubt, ``anchor.failing`` when the log was not anchored for too
        long."""
        self.must_reach_chain()
        if (doubt := self.time.doubt()) is not None:
            raise Problem(doubt.code, f"{doubt}; nothing is released")
        if self.anchorer.overdue():
            raise Problem("anchor.failing", "the log could not be anchored for too long; nothing is released")

    def reaches_chain(self) -> bool:
        """Whether the follower reached the chain when it last asked: a node that hangs is not waited for by everybody."""
        return not isinstance(self.follower.failure, ChainUnreachable)

    def _head(self) -> tuple[int, int | None]:
        """Number and time of the newest block; of the last one that was followed, without its time, where the chain
        does not answer."""
        if self.reaches_chain():
            try:
                head = self.chain.head()
                return head.number, head.timestamp
            except ChainError:
                pass
        with self.reading.connect() as connection:
            return followed_block(connection), None

    def anchored(self) -> dict[str, Any] | None:
        """The newest head of the log that the chain holds and the projection has followed; None before the first."""
        origin = origin_hash(self.log.origin)
        with self.reading.connect() as connection:
            heads = [head for head in anchors(connection) if head.origin == origin and head.size]
        if not heads:
            return None
        [head] = heads
        return {
            "size": head.size,
            "root": head.root,
            "block": head.block_number,
            "time": head.time.isoformat(),
        }

    def _clock(self) -> dict[str, Any]:
        """Whether the machine's clock is believed; what it says where it is not."""
        doubt = self.time.doubt()
        if doubt is None:
            return {"state": "ok"}
        return {"state": doubt.code, "says": stamp(doubt.said), "known": stamp(doubt.known)}

    def status(self) -> dict[str, Any]:
        """What anybody may know: chain, contracts, log, mode and version. While the chain does not answer, ``reached``
        is false and ``block`` the last one that was followed."""
        block, block_time = self._head()
        checkpoint = self.log.checkpoint()
        with self.reading.connect() as connection:
            held = [one.to_json() for one in lost(connection) if one.held]
        return {
            "service": "civicledger",
            "version": version("civicledger"),
            "mode": self.home.mode,
            "time": self.now().isoformat(),
            "clock": self._clock(),
            "chain": {
                "id": self.chain.chain_id,
                "reached": block_time is not None,
                "block": block,
                "block_time": block_time,
                "embedded": not self.home.rpc_url,
                "contracts": dict(self.deployment.addresses),
                "admission_delay": self.admission_delay,
            },
            "log": {
                "origin": self.log.origin,
                "size": checkpoint.size,
                "checkpoint": str(checkpoint),
                "keys": self.log.key_history(self.log.origin, checkpoint.size),
                "anchored": self.anchored(),
                "newer_seen": None if self.newer.found is None else str(self.newer.found),
                "upkeep": self.upkeep.status(),
                "witnesses": self.cosign.status(),
            },
            "held": held,
            "gateway_key": self.answer_key.public_key().public_bytes_raw().hex(),
        }
