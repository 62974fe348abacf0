"""An open installation: its parts by name, for the server and for an operator's commands.

``wiring`` builds it. It has no logic. Calls and acts do not depend on it: each takes the parts that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from access_policy.privacy.execution.scanner import Scanner
from api.acts.acceptance import Acceptances
from api.acts.govern import Acts
from api.acts.outcomes import ActOutcomes
from api.acts.source_records import SourceRecords
from api.acts.upload import Uploads
from api.calls.access_requests import AccessRequests
from api.calls.analyses import Access
from api.calls.log_bundles import LogBundles
from api.calls.log_entries import LogEntries
from api.calls.log_proofs import LogProofs
from api.calls.log_search import LogSearch
from api.calls.read import Reads
from api.calls.release_records import ReleaseRecords
from api.calls.releases import Releases
from api.calls.standings import Standings
from api.runtime.callers import Callers
from api.runtime.commits import Commits
from api.runtime.cosigners import Cosigners
from api.runtime.newer_heads import NewerHeads
from api.runtime.read_nonces import ReplayMemory
from api.runtime.readiness import Readiness
from api.runtime.settings import Home, Settings
from api.runtime.status import ServiceStatus, Workers
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.writer import GroupCommit
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.clock import Timekeeper
from ledger.store.sole import Sole


@dataclass(frozen=True, slots=True)
class Database:
    """The database of the installation: ``reading`` takes no write lock, ``writer`` is the only writer to the
    log, and ``hold`` is the lock that excludes every other service."""

    engine: Engine
    reading: Engine
    writer: GroupCommit
    hold: Sole


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """The signing key of answers, and its id."""

    answers: Ed25519PrivateKey = field(repr=False)
    answers_id: str


@dataclass(frozen=True, slots=True)
class CallParts:
    """The parts of signed calls."""

    reads: Reads
    releases: Releases
    records: ReleaseRecords
    requests: AccessRequests
    standings: Standings
    access: Access


@dataclass(frozen=True, slots=True)
class LogParts:
    """The parts that show the log: proofs to everyone, everything else to auditors."""

    proofs: LogProofs
    search: LogSearch
    entries: LogEntries
    bundles: LogBundles


@dataclass(frozen=True, slots=True)
class ActParts:
    """The parts that accept acts, acceptances and files."""

    acts: Acts
    outcomes: ActOutcomes
    acceptances: Acceptances
    uploads: Uploads
    sources: SourceRecords


@dataclass(frozen=True, slots=True)
class Gateway:
    """An open installation."""

    settings: Settings
    home: Home
    database: Database
    clock: Timekeeper
    chain: ChainClient
    deployment: Deployment
    log: AuditLog
    vault: OpeningVault
    workers: Workers
    cosign: Cosigners
    newer: NewerHeads
    callers: Callers
    replays: ReplayMemory
    commits: Commits
    calls: CallParts
    scanner: Scanner
    audit: LogParts
    acts: ActParts
    service: ServiceStatus
    ready: Readiness
    keys: ServiceKeys
    trust: dict[str, object]

    @property
    def reading(self) -> Engine:
        """The database without a write lock."""
        return self.database.reading

    def now(self) -> datetime:
        """The current time (UTC) of the installation's clock, which never goes back."""
        return self.clock.utc()

    def status(self) -> dict[str, Any]:
        """`ServiceStatus.document`."""
        return self.service.document()
