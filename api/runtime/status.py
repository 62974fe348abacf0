"""The public status of a running service: its chain, its log, its workers and its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from api.protocol.version import installed
from api.runtime.cosigners import Cosigners
from api.runtime.following import Following
from api.runtime.newer_heads import NewerHeads
from api.runtime.newest_block import NewestBlock
from api.runtime.seated_council import seated_council
from api.runtime.settings import Home
from api.runtime.upkeep import Upkeep
from ledger.audit.log.log import AuditLog
from ledger.audit.outside.anchor import Anchorer
from ledger.audit.outside.anchoring import origin_hash
from ledger.chain.client import ChainClient
from ledger.chain.deployment import FIRST_EDITION, Deployment
from ledger.chain.edition import FirstEdition
from ledger.clock import Timekeeper, stamp
from ledger.grants.use_recorder import UseRecorder
from ledger.lost.holds import lost
from ledger.outbox import Relayer
from ledger.projection.follower import Follower
from ledger.projection.queries import anchors, followed_block
from ledger.worker import Worker


@dataclass(frozen=True, slots=True)
class Workers:
    """The periodic workers of the service."""

    follower: Follower
    relayer: Relayer
    anchorer: Anchorer
    recorder: UseRecorder
    upkeep: Upkeep

    @property
    def by_name(self) -> Mapping[str, Worker]:
        """The workers by their names in the status."""
        return {
            "chain": self.follower.work,
            "acts": self.relayer.work,
            "anchors": self.anchorer.work,
            "uses": self.recorder.work,
        }


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The parts from which the status is read. ``gateway_key`` is the public key of answers, in hex;
    ``admission_delay`` the seconds between an admission's proposal and its activation."""

    home: Home
    reading: Engine
    clock: Timekeeper
    chain: ChainClient
    deployment: Deployment
    admission_delay: int
    newest_block: NewestBlock
    following: Following
    workers: Workers
    log: AuditLog
    newer: NewerHeads
    cosign: Cosigners
    gateway_key: str

    def _head(self) -> tuple[int, int | None]:
        """Number and time of the newest block; the number of the last followed block, without a time, if the chain
        does not answer in time."""
        if self.following.reaches_chain() and (head := self.newest_block.ask()) is not None:
            return head.number, head.timestamp
        with self.reading.connect() as connection:
            return followed_block(connection), None

    def anchored(self) -> dict[str, Any] | None:
        """The newest head of the log that the chain has and the projection has followed; None before the first."""
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

    def work(self) -> dict[str, str | None]:
        """For each worker the code of what fails. A projection that is out of date without a failure (a node that
        lags) is recognised by its age. Under contracts of the first edition only anchors are sent."""
        found = {name: worker.problem for name, worker in self.workers.by_name.items()}
        if self.deployment.edition == FIRST_EDITION:
            return dict.fromkeys(found, FirstEdition.code) | {"anchors": found["anchors"]}
        if found["chain"] is None and (behind := self.following.why_behind()) is not None:
            found["chain"] = behind.code
        return found

    def _clock(self) -> dict[str, Any]:
        """Whether the machine's clock is trusted, and its time if it is not."""
        doubt = self.clock.doubt()
        if doubt is None:
            return {"state": "ok"}
        return {"state": doubt.code, "says": stamp(doubt.said), "known": stamp(doubt.known)}

    def document(self) -> dict[str, Any]:
        """The public status: chain, contracts, log, mode and version. While the chain does not answer, ``reached``
        is false and ``block`` is the last followed block."""
        block, block_time = self._head()
        agreement, checkpoint = self.chain.agreement, self.log.checkpoint()
        with self.reading.connect() as connection:
            held = [one.to_json() for one in lost(connection) if one.held]
            seated, followed = seated_council(connection), followed_block(connection)
        return {
            "service": "civicledger",
            "version": installed()[1],
            "mode": self.home.mode,
            "time": self.clock.utc().isoformat(),
            "clock": self._clock(),
            "work": self.work(),
            "workers": {name: worker.status() for name, worker in self.workers.by_name.items()},
            "chain": {
                "id": self.chain.chain_id,
                "reached": block_time is not None,
                "block": block,
                "block_time": block_time,
                "followed": followed,
                "level_at": self.following.level_at(),
                "nodes": agreement and agreement.to_json(),
                "confirmations": self.following.depth,
                "embedded": not self.home.rpc_url,
                "contracts": dict(self.deployment.addresses),
                "edition": self.deployment.edition,
                "admission_delay": self.admission_delay,
            },
            "log": {
                "origin": self.log.origin,
                "size": checkpoint.size,
                "checkpoint": str(checkpoint),
                "keys": self.log.key_history(self.log.origin, checkpoint.size),
                "anchored": self.anchored(),
                "newer_seen": None if self.newer.found is None else str(self.newer.found),
                "upkeep": self.workers.upkeep.status(),
                "witnesses": self.cosign.status(),
            },
            "council": seated,
            "uses": self.workers.recorder.behind().to_json(),
            "held": held,
            "gateway_key": self.gateway_key,
        }
