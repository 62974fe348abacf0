"""A starting service asks its witnesses: a newer head of a witness shows that an older state was restored."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from sqlmodel import SQLModel

from api.runtime.cosigners import Cosigners
from api.witness import witness_app
from ledger.audit.formats.errors import RollbackDetected
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.formats.note import COSIGNATURE, Signer, VerifierKey
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.outside.witness import Witness, WitnessState
from ledger.audit.verify.keychain import KeyChain
from ledger.store.engine import open_engine

ORIGIN = f"civicledger.example/log/7/0x{'ab' * 20}/1"
AFTER = ORIGIN[:-1] + "2"


@pytest.fixture
def signer() -> Signer:
    return Signer.generate(ORIGIN)


@pytest.fixture
def witness(signer: Signer, tmp_path: Path) -> Iterator[dict[str, VerifierKey]]:
    """The address and key of a witness that listens on a real socket and watches this log and its next epoch."""
    after = signer.renamed(AFTER)
    keeper = Witness(
        Signer.generate("witness.example", COSIGNATURE),
        {ORIGIN: KeyChain.of(signer.key), AFTER: KeyChain.of(after.key)},
        WitnessState(tmp_path / "witness"),
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(witness_app(keeper), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield {url: keeper.key}
        server.should_exit = True
        thread.join(10)


def log_of(file: Path, signer: Signer) -> AuditLog:
    engine = open_engine(f"sqlite:///{file}")
    SQLModel.metadata.create_all(engine)
    return AuditLog.open(engine, signer)


def grow(log: AuditLog, entries: int) -> None:
    for _ in range(entries):
        event = Event(id=new_event_id(), type="test:entry:made", time=datetime.now(UTC))
        with log.engine.begin() as connection:
            appended = log.append(connection, [NewEntry(event)])
        log.committed(appended)


def test_service_does_not_start_if_a_witness_knows_a_newer_head(
    witness: dict[str, VerifierKey], signer: Signer, tmp_path: Path
) -> None:
    log = log_of(tmp_path / "log.sqlite", signer)
    grow(log, 2)
    log.engine.dispose()
    shutil.copy(tmp_path / "log.sqlite", tmp_path / "older.sqlite")
    asked = Cosigners(log, witness)
    asked.must_not_know_more(log)
    grow(log, 3)
    asked(log.checkpoint())
    asked.must_not_know_more(log)
    older = log_of(tmp_path / "older.sqlite", signer)
    with pytest.raises(RollbackDetected, match=r"witness witness\.example stands at size 5"):
        Cosigners(older, witness).must_not_know_more(older)
    grow(older, 3)
    with pytest.raises(RollbackDetected, match="are not those of the witness"):
        Cosigners(older, witness).must_not_know_more(older)


def test_service_does_not_start_if_a_witness_knows_a_later_epoch(
    witness: dict[str, VerifierKey], signer: Signer, tmp_path: Path
) -> None:
    log = log_of(tmp_path / "log.sqlite", signer)
    grow(log, 2)
    later = log_of(tmp_path / "later.sqlite", signer.renamed(AFTER))
    grow(later, 1)
    Cosigners(later, witness)(later.checkpoint())
    Cosigners(later, witness).must_not_know_more(later)
    with pytest.raises(RollbackDetected, match="the epoch after this log's"):
        Cosigners(log, witness).must_not_know_more(log)


def test_silent_witness_does_not_prevent_the_start(signer: Signer, tmp_path: Path) -> None:
    log = log_of(tmp_path / "log.sqlite", signer)
    grow(log, 1)
    key = Signer.generate("witness.example", COSIGNATURE).key
    Cosigners(log, {"http://127.0.0.1:9": key}).must_not_know_more(log)
