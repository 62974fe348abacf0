"""Openings and erasure: values outside the log, found by subject, and deleted when required."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ledger.audit.formats.errors import EventInvalid
from ledger.audit.formats.events import read_event
from ledger.audit.keeping.erasure import FreedPagesRemain, erase_subject
from ledger.audit.keeping.export import export_bundle
from ledger.audit.keeping.fsck import fsck
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import (
    NotReplayable,
    Opening,
    OpeningVault,
    VaultKeyWrong,
    commit,
    commit_all,
    commit_each,
    commitments_of,
)
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import verify_bundle
from ledger.audit.verify.receipts import verify_receipt
from ledger.store.engine import reader

WANG, LI = "310101199001011234", "310101198502022345"


@pytest.fixture
def vault(log: AuditLog) -> OpeningVault:
    assert log.vault is not None
    return log.vault


def test_a_commitment_is_the_digest_of_an_rfc_9901_disclosure() -> None:
    opening = commit("query.id", WANG, WANG)
    salt, name, value = json.loads(base64.urlsafe_b64decode(opening.disclosure + "=="))
    assert (name, value) == ("query.id", WANG)
    assert len(base64.urlsafe_b64decode(salt + "==")) == 16
    digest = hashlib.sha256(opening.disclosure.encode("ascii")).digest()
    assert opening.digest == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert commit("query.id", WANG).digest != opening.digest, "salted"


def test_values_are_found_by_their_subject_and_opened(
    writer: GroupCommit, engine: Engine, vault: OpeningVault, make: Any
) -> None:
    subjects = [WANG, LI, WANG, LI, WANG]
    for subject in subjects:
        writer.append(make.about(subject)).result()
    commitments, openings = commit_all({"request": "GET /v1", "response": [1, {"行": "二"}]})
    event = make.event(commitments=commitments)
    writer.append(NewEntry(event, openings)).result()
    with reader(engine).connect() as conn:
        assert vault.entries_of(conn, WANG) == [0, 2, 4]
        assert vault.entries_of(conn, WANG, after=2) == [4]
        assert vault.entries_of(conn, LI, limit=1) == [1]
        assert vault.entries_of(conn, "nobody") == []
        assert vault.open(conn, 5, event) == {"request": "GET /v1", "response": [1, {"行": "二"}]}


def test_opening_of_another_commitment_is_refused(writer: GroupCommit, make: Any) -> None:
    opening = commit("query.id", WANG, WANG)
    event = make.event(commitments={"query.id": opening.digest})
    with pytest.raises(EventInvalid):
        writer.append(NewEntry(event, [commit("query.id", LI, LI)]))
    with pytest.raises(EventInvalid):
        writer.append(NewEntry(event, [Opening("query", opening.disclosure, WANG)]))


def test_after_erasure_proofs_hold_and_nothing_can_be_replayed(
    writer: GroupCommit, engine: Engine, log: AuditLog, vault: OpeningVault, make: Any, tmp_path: Path
) -> None:
    for subject in (WANG, LI, WANG):
        writer.append(make.about(subject)).result()
    before = log.receipt(0)
    events = [read_event(entry.leaf) for entry in log.entries(0)]
    done = erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20, department=7)
    assert done.value == 2
    assert fsck(log, vault=vault).ok
    with reader(engine).connect() as conn:
        assert vault.entries_of(conn, WANG) == []
        assert vault.open(conn, 1, events[1]) == {"query.id": LI}
        for index in (0, 2):
            with pytest.raises(NotReplayable, match="not replayable"):
                vault.open(conn, index, events[index])
    assert verify_receipt(before).ok
    assert verify_receipt(log.receipt(0)).ok
    entry = log.receipt(3).event
    assert (entry["type"], entry["counts"]) == ("log:openings:erased", {"openings": 2})
    assert WANG not in json.dumps(entry)
    export_bundle(log, tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle").ok


def test_the_subject_can_be_written_about_again_after_erasure(
    writer: GroupCommit, engine: Engine, vault: OpeningVault, make: Any
) -> None:
    writer.append(make.about(WANG)).result()
    erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20)
    writer.append(make.about(WANG)).result()
    with reader(engine).connect() as conn:
        assert vault.entries_of(conn, WANG) == [2]


def sealed_of(engine: Engine, index: int) -> tuple[bytes, bytes]:
    with reader(engine).connect() as conn:
        row = conn.execute(
            text(
                "SELECT o.sealed, s.wrapped FROM audit_opening o JOIN audit_subject s ON s.tag = o.tag"
                f" WHERE o.idx = {index}"
            )
        ).one()
        return bytes(row[0]), bytes(row[1])


def files_with(folder: Path, needles: list[bytes]) -> list[str]:
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    )


def test_erased_values_are_not_in_the_files(tmp_path: Path, signer: Any, make: Any) -> None:
    from sqlmodel import SQLModel

    from ledger.store.engine import open_engine

    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine)
    vault = OpeningVault(bytes(32))
    log = AuditLog.open(engine, signer, vault=vault)
    with GroupCommit(engine, log) as writer:
        for i in range(60):
            writer.append(make.about(WANG if i % 3 == 0 else LI)).result()
        sealed, wrapped = sealed_of(engine, 30)
        kept = sealed_of(engine, 31)
        assert files_with(tmp_path, [sealed, wrapped]), "it is in the files before"
        erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20)
    assert files_with(tmp_path, [sealed, wrapped]) == []
    assert files_with(tmp_path, [kept[0]]) == ["ledger.db"]
    engine.dispose()


def test_no_value_is_stored_in_plain_text(tmp_path: Path, signer: Any, make: Any) -> None:
    from sqlmodel import SQLModel

    from ledger.store.engine import open_engine

    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(engine, signer, vault=OpeningVault(bytes(32)))
    with GroupCommit(engine, log) as writer:
        for _ in range(20):
            writer.append(make.about(WANG)).result()
        encoded = base64.b64encode(WANG.encode())[:16]
        assert files_with(tmp_path, [WANG.encode(), encoded]) == []


def test_older_backup_decrypts_nothing_erased_after_rewrapping(
    writer: GroupCommit, engine: Engine, vault: OpeningVault, make: Any
) -> None:
    writer.append(make.about(WANG)).result()
    event = read_event(writer._log.entry(0).leaf)
    _, wrapped_before = sealed_of(engine, 0)
    successor = OpeningVault(b"\x01" * 32, index_key=vault.index_key)
    assert vault.rewrap(engine, successor) == 1
    assert vault.rewrap(engine, successor) == 0, "a run that broke off is repeated"
    assert sealed_of(engine, 0)[1] != wrapped_before
    with reader(engine).connect() as conn:
        assert successor.open(conn, 0, event) == {"query.id": WANG}
        assert successor.entries_of(conn, WANG) == [0]
        with pytest.raises(VaultKeyWrong):
            vault.open(conn, 0, event)
    reopened = OpeningVault(b"\x01" * 32, index_key=vault.index_key)
    with reader(engine).connect() as conn:
        assert reopened.open(conn, 0, event) == {"query.id": WANG}


def test_reader_that_blocks_clearing_is_reported(tmp_path: Path, signer: Any, make: Any) -> None:
    from sqlmodel import SQLModel

    from ledger.store.engine import open_engine

    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    SQLModel.metadata.create_all(engine)
    vault = OpeningVault(bytes(32))
    log = AuditLog.open(engine, signer, vault=vault)
    with GroupCommit(engine, log) as writer:
        writer.append(make.about(WANG)).result()
        with reader(engine).connect() as conn, engine.connect() as clearing:
            conn.execute(text("SELECT count(*) FROM audit_opening"))
            clearing.exec_driver_sql("PRAGMA busy_timeout=100")
            clearing.rollback()
            clearing.close()
            with pytest.raises(FreedPagesRemain):
                erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20)
        again = erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20)
        assert again.value == 0, "it was done the first time; now it is cleared as well"


def several(make: Any, *subjects: str) -> tuple[Any, NewEntry]:
    """An entry about several subjects: a separate opening for each, and the shared part under a key of the
    entry."""
    digests, own = commit_each("persons", [([subject], subject) for subject in subjects])
    number = make.event().id
    openings = (
        commit("persons", digests, f"entry:{number}"),
        commit("decision", {}, f"entry:{number}"),
        *own,
    )
    event = make.event(commitments=commitments_of(openings))
    return event, NewEntry(event, openings)


def test_erasing_one_of_several_subjects_keeps_the_others(
    writer: GroupCommit, engine: Engine, log: AuditLog, vault: OpeningVault, make: Any
) -> None:
    both, entry = several(make, WANG, LI)
    writer.append(entry).result()
    alone, other = several(make, LI, "310101199503033456")
    writer.append(other).result()
    assert set(both.commitments) == {"persons", "decision"}
    with reader(engine).connect() as conn:
        assert vault.open(conn, 0, both)["persons/1"] == [LI]
        assert (vault.entries_of(conn, WANG), vault.entries_of(conn, LI)) == ([0], [0, 1])
    assert erase_subject(writer, engine, vault, WANG, officer="0x" + "0f" * 20).value == 3
    with reader(engine).connect() as conn:
        assert list(vault.openings(conn, 0)) == ["persons/1"], "what was said of both is gone as well"
        assert (vault.entries_of(conn, WANG), vault.entries_of(conn, LI)) == ([], [0, 1])
        with pytest.raises(NotReplayable):
            vault.open(conn, 0, both)
        assert vault.open(conn, 1, alone)["persons/0"] == [LI]
    assert fsck(log, vault=vault).ok


def test_nested_opening_not_listed_by_its_parent_is_refused(writer: GroupCommit, make: Any) -> None:
    event, entry = several(make, WANG, LI)
    for forged in (commit("persons/1", [WANG], LI), commit("persons/7", [LI], LI)):
        with pytest.raises(EventInvalid):
            writer.append(NewEntry(event, [*entry.openings, forged]))
    with pytest.raises(EventInvalid):
        writer.append(NewEntry(event, [one for one in entry.openings if one.name != "persons"]))
