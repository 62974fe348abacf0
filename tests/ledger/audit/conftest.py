"""Real parts for the tests of the log: databases of both kinds, a city's log with its keys, a chain of pieces."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.events import Event
from ledger.audit.formats.note import COSIGNATURE, Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import Opening, OpeningVault, commit
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import Trust
from ledger.store.engine import open_engine

ORIGIN = Origin(4_242_001, "0x" + "a7" * 20)
CONTRACT_OF_GRANTS = "0x" + "1e" * 20
START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
GRANT = "0x" + "12" * 32


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    SQLModel.metadata.create_all(engine)
    yield engine
    engine.dispose()


@dataclass
class Maker:
    """Makes events like a city's gateway, each a second after the one before."""

    made: int = 0
    ids: Callable[[], uuid.UUID] = field(default=uuid.uuid4)

    def event(self, **changes: Any) -> Event:
        self.made += 1
        values: dict[str, Any] = {
            "id": self.ids(),
            "type": "gateway:read:decided",
            "time": START + timedelta(seconds=self.made),
            "department": 1 + self.made % 6,
            "service": f"key-{self.made % 5}",
            "asset": f"{1 + self.made % 6}.{1 + self.made % 9}",
            "grant": GRANT,
            "candidates": (GRANT,),
            "decision": "deny" if self.made % 4 == 0 else "permit",
            "reasons": ("purpose.mismatch",) if self.made % 4 == 0 else (),
            "engine": "policy/1.0",
            "terms_hash": "0x" + "34" * 32,
            "plan_hash": "0x" + "56" * 32,
            "purpose": "dpv:ServiceProvision",
            "counts": {"rows": self.made},
        }
        return Event(**(values | changes))

    def entry(self, **changes: Any) -> NewEntry:
        return NewEntry(self.event(**changes))

    def about(self, subject: str, **changes: Any) -> NewEntry:
        """An entry whose query literal is a citizen's id."""
        opening: Opening = commit("query.id", subject, subject)
        return NewEntry(self.event(commitments={opening.name: opening.digest}, **changes), (opening,))


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def signer() -> Signer:
    return Signer.generate(str(ORIGIN))


@pytest.fixture
def witness_signers() -> list[Signer]:
    return [
        Signer.generate(f"witness.example/{name}", COSIGNATURE) for name in ("health", "education", "audit")
    ]


@pytest.fixture
def mark_path(tmp_path: Path) -> Path:
    return tmp_path / "highwater"


@pytest.fixture
def log(engine: Engine, signer: Signer, mark_path: Path) -> AuditLog:
    return AuditLog.open(
        engine, signer, highwater=HighWaterMark(mark_path), vault=OpeningVault(bytes(range(32)))
    )


@pytest.fixture
def writer(engine: Engine, log: AuditLog) -> Iterator[GroupCommit]:
    with GroupCommit(engine, log) as writer:
        yield writer


@pytest.fixture
def trust_of() -> Callable[..., Trust]:
    """A trust file for a log, with the other members that an auditor may have."""

    def make_trust(log: AuditLog, **more: Any) -> Trust:
        return Trust(
            origin=log.origin,
            log_key=log.signer.key,
            chain_id=ORIGIN.chain_id,
            ledger_contract=CONTRACT_OF_GRANTS,
            anchor_contract=ORIGIN.contract,
            **more,
        )

    return make_trust
