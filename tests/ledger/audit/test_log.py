"""Reading the log: proofs, searches, tiles; and the refusal to continue a log whose history was replaced."""

from __future__ import annotations

import random
import sqlite3
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.audit.formats.checkpoint import Head, Origin, open_checkpoint
from ledger.audit.formats.errors import AuditError, KeyNotCurrent, LogCorrupt, NoSuchEntry, RollbackDetected
from ledger.audit.formats.merkle import leaf_hash, root_of_hashes, verify_consistency, verify_inclusion
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.epochs import CouncilDecision, open_epoch
from ledger.audit.keeping.export import export_bundle
from ledger.audit.keeping.keys import rotate_key
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.log.search import CursorInvalid, Query
from ledger.audit.log.tiles import parse_tile_path, tile_path
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import verify_bundle
from ledger.audit.verify.receipts import Receipt, verify_receipt
from ledger.store.engine import open_engine, reader

SOME = 700


@pytest.fixture
def filled(log: AuditLog, engine: Engine, make: Any) -> AuditLog:
    """700 entries in batches of uneven size: two full tiles and a partial one."""
    rest = SOME
    for step in (1, 2, 253, 1, 255, 100, 88):
        with engine.begin() as conn:
            appended = log.append(conn, [make.entry() for _ in range(step)])
        log.committed(appended)
        rest -= step
    assert rest == 0
    return log


def hashes_of(log: LogReader) -> list[bytes]:
    return [leaf_hash(entry.leaf) for entry in log.entries(0, 10_000)]


def test_every_entry_is_proved_in_the_head_and_in_earlier_trees(filled: AuditLog) -> None:
    hashes = hashes_of(filled)
    assert root_of_hashes(hashes) == filled.root
    random.seed(5)
    for index in [*random.sample(range(SOME), 60), 0, 255, 256, 511, 512, SOME - 1]:
        verify_inclusion(filled.root, SOME, index, hashes[index], filled.inclusion(index))
        size = random.randint(index + 1, SOME)
        verify_inclusion(
            root_of_hashes(hashes[:size]), size, index, hashes[index], filled.inclusion(index, size)
        )
    for old in [0, 1, 255, 256, 257, 512, 513, SOME - 1, SOME, *random.sample(range(SOME), 30)]:
        assert filled.root_at(old) == root_of_hashes(hashes[:old])
        verify_consistency(old, SOME, filled.root_at(old), filled.root, filled.consistency(old))


def test_missing_entries_are_reported_as_missing(filled: AuditLog) -> None:
    for wrong in (
        lambda: filled.entry(SOME),
        lambda: filled.inclusion(SOME),
        lambda: filled.consistency(1, SOME + 1),
    ):
        with pytest.raises(NoSuchEntry):
            wrong()


def test_a_second_process_reads_the_same(filled: AuditLog, database_url: str) -> None:
    other = LogReader(open_engine(database_url))
    assert other.state() == filled.state()
    other.receipt(300).check_inclusion()
    other.engine.dispose()


def test_readers_cannot_write(engine: Engine, filled: AuditLog) -> None:
    with reader(engine).connect() as conn, pytest.raises(DBAPIError):
        conn.execute(text("UPDATE audit_state SET size = 0"))
    with engine.begin() as conn:
        conn.execute(text("UPDATE audit_state SET pruned = 0"))


# -- searching


def test_searches_answer_the_auditors_questions(filled: AuditLog) -> None:
    def all_of(query: Query) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = filled.search(query, cursor=cursor, limit=7)
            found += [hit.index for hit in page.hits]
            cursor = page.cursor
            if cursor is None:
                return found

    bodies = [Receipt(e.index, e.leaf, (), "").event for e in filled.entries(0, SOME)]
    since = filled.entry(100)
    moment = bodies[100]["time"]
    assert since.index == 100
    from datetime import datetime

    start = datetime.fromisoformat(moment)
    for query, matches in (
        (Query(department=3, decision="deny"), lambda b: b["department"] == 3 and b["decision"] == "deny"),
        (Query(actor="key-2", since=start), lambda b: b["service"] == "key-2" and b["time"] >= moment),
        (Query(asset="2.2"), lambda b: b["asset"] == "2.2"),
        (Query(grant="0x" + "12" * 32, purpose="dpv:ServiceProvision", until=start), lambda b: b["time"] < moment),
        (Query(type_prefix="chain:"), lambda b: False),
        (Query(type_prefix="gateway:read", since=start, until=start + timedelta(seconds=3)),
         lambda b: b in bodies[100:103]),
    ):  # fmt: skip
        assert all_of(query) == [i for i, body in enumerate(bodies) if matches(body)]


def test_foreign_cursor_is_refused(filled: AuditLog) -> None:
    for cursor in ("", "x", "-1", "1; DROP TABLE audit_entry", "9" * 40):
        with pytest.raises(CursorInvalid):
            filled.search(Query(), cursor=cursor)


# -- tiles


def test_tiles_are_those_of_the_specification(filled: AuditLog) -> None:
    hashes = hashes_of(filled)
    assert filled.tile_bytes(0, 1) == b"".join(hashes[256:512])
    assert filled.tile_bytes(0, 2, 188) == b"".join(hashes[512:700])
    assert filled.tile_bytes(0, 2, 5) == b"".join(hashes[512:517])
    assert filled.tile_bytes(1, 0, 2) == root_of_hashes(hashes[:256]) + root_of_hashes(hashes[256:512])
    bundle = filled.tile_bytes("entries", 2, 188)
    assert bundle[2 : 2 + int.from_bytes(bundle[:2], "big")] == filled.entry(512).leaf
    for level, n, width in ((0, 2, 189), (0, 3, 1), (1, 0, 256), (2, 0, 1), ("entries", 2, 256), (0, 0, 0)):
        with pytest.raises(LookupError):
            filled.tile_bytes(level, n, width)


def test_tile_paths_have_one_spelling() -> None:
    for level, n, width, path in (
        (0, 0, 256, "tile/0/000"),
        (1, 1234067, 256, "tile/1/x001/x234/067"),
        ("entries", 5, 17, "tile/entries/005.p/17"),
    ):
        assert tile_path(level, n, width) == path
        assert parse_tile_path(path) == (level, n, width)
    for wrong in (
        "tile/0/0",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/../1",
    ):
        with pytest.raises(LookupError):
            parse_tile_path(wrong)


def test_damaged_tile_is_reported_as_damage(filled: AuditLog, engine: Engine, database_url: str) -> None:
    with engine.begin() as conn:
        data = bytearray(
            conn.execute(text("SELECT data FROM audit_tile WHERE level = 0 AND n = 0")).scalar_one()
        )
        data[9 * 32] ^= 1
        conn.execute(text("UPDATE audit_tile SET data = :d WHERE level = 0 AND n = 0"), {"d": bytes(data)})
    fresh = LogReader(engine)
    with pytest.raises(LogCorrupt, match="does not prove entry 8"):
        fresh.inclusion(8)
    fresh.inclusion(600)


# -- receipts


def test_receipt_verifies_as_a_separate_file(filled: AuditLog, trust_of: Any) -> None:
    receipt = filled.receipt(123)
    text_form = str(receipt)
    assert text_form.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert Receipt.parse(text_form) == receipt
    verdict = verify_receipt(text_form, trust_of(filled))
    assert (verdict.word, verdict.index, verdict.event["department"]) == ("verified", 123, 1 + 124 % 6)
    assert verify_receipt(text_form).lines()[0] == "self-consistent only; anchor not checked"


def test_any_changed_byte_of_a_receipt_is_refused(filled: AuditLog, trust_of: Any) -> None:
    trust = trust_of(filled)
    data = str(filled.receipt(123)).encode()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ (1 << at % 7)]) + data[at + 1 :]
        try:
            given = changed.decode()
        except UnicodeDecodeError:
            continue
        assert not verify_receipt(given, trust).ok, f"byte {at} may be anything"
    assert not verify_receipt(data.decode() + "\n", trust).ok
    assert not verify_receipt(data.decode()[:-1], trust).ok


def test_a_receipt_of_another_installation_is_refused(filled: AuditLog, trust_of: Any) -> None:
    trust = trust_of(filled)
    for origin in (str(Origin(4_242_002, "0x" + "a7" * 20)), str(Origin(4_242_001, "0x" + "a8" * 20))):
        stranger = Signer.generate(origin)
        receipt = filled.receipt(5)
        note = stranger.sign(f"{origin}\n".encode() + receipt.signed.note.text.partition(b"\n")[2])
        forged = Receipt(
            5, receipt.leaf, receipt.proof,
            f"{origin}\n" + receipt.checkpoint.split("\n\n")[0].partition("\n")[2] + "\n\n" + note,
        )  # fmt: skip
        assert verify_receipt(forged).ok
        assert verify_receipt(forged, trust).findings[0].code == "trust.origin"


# -- only the recorded history is continued


def test_a_restored_older_database_is_refused(tmp_path: Path, signer: Signer, make: Any) -> None:
    path, old = tmp_path / "ledger.db", tmp_path / "yesterday.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 5)
    backup(path, old)
    append(log, make, 3)
    log.engine.dispose()
    replace(old, path)
    with pytest.raises(RollbackDetected, match="stands at size 8, the database only at 5"):
        new_log(path, signer, tmp_path)


def test_a_same_size_fork_is_refused(tmp_path: Path, signer: Signer, make: Any) -> None:
    path, fork = tmp_path / "ledger.db", tmp_path / "fork.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 5)
    backup(path, fork)
    append(log, make, 3)
    other = AuditLog.open(open_engine(f"sqlite:///{fork}"), signer)
    append(other, make, 3)
    other.engine.dispose()
    log.engine.dispose()
    replace(fork, path)
    with pytest.raises(RollbackDetected, match="are not those of the high-water mark"):
        new_log(path, signer, tmp_path)


def test_a_database_behind_the_chain_is_refused_even_without_a_mark(
    tmp_path: Path, signer: Signer, make: Any
) -> None:
    path = tmp_path / "ledger.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 5)
    for head in (Head(9, b"\x01" * 32), Head(5, b"\x01" * 32), Head(3, b"\x01" * 32)):
        with pytest.raises(RollbackDetected, match="chain"):
            AuditLog.open(log.engine, signer, anchored=head)
    AuditLog.open(log.engine, signer, anchored=Head(3, log.root_at(3)))


def test_a_database_replaced_under_a_running_writer_is_refused(
    tmp_path: Path, signer: Signer, make: Any
) -> None:
    path = tmp_path / "ledger.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 4)
    with log.engine.begin() as conn:
        before = conn.execute(text("SELECT size, root, frontier, note FROM audit_state")).mappings().one()
    append(log, make, 1)
    put_back = text("UPDATE audit_state SET size = :size, root = :root, frontier = :frontier, note = :note")
    with log.engine.begin() as conn:
        conn.execute(put_back, dict(before))
    with pytest.raises(RollbackDetected, match="head last seen"):
        append(log, make, 1)


def test_an_unreadable_mark_is_refused_and_a_torn_one_survived(
    tmp_path: Path, signer: Signer, make: Any
) -> None:
    path = tmp_path / "ledger.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 2)
    append(log, make, 1)
    mark = tmp_path / "mark"
    data = bytearray(mark.read_bytes())
    whole = HighWaterMark(mark).read([signer.key])
    assert whole is not None
    assert whole.size == 3
    for slot in (0, 1):
        torn = bytearray(data)
        torn[slot * 4096 + 40 : slot * 4096 + 80] = bytes(40)
        mark.write_bytes(torn)
        left = HighWaterMark(mark).read([signer.key])
        assert left is not None
        assert left.size in (2, 3)
    mark.write_bytes(b"\xff" * 8192)
    with pytest.raises(RollbackDetected, match="unreadable"):
        new_log(path, signer, tmp_path)


def test_log_works_with_a_clock_set_back(filled: AuditLog, engine: Engine, make: Any) -> None:
    early = make.event(time=make.event().time - timedelta(days=400))
    from ledger.audit.log.append import NewEntry

    with engine.begin() as conn:
        filled.committed(filled.append(conn, [NewEntry(early)]))
    assert filled.receipt(SOME).check_inclusion().size == SOME + 1


# -- rotation and epochs


def test_proofs_hold_across_a_key_rotation(
    filled: AuditLog, make: Any, trust_of: Any, tmp_path: Path
) -> None:
    before, old_trust = filled.receipt(10), trust_of(filled)
    new = rotate_key(filled, Signer.generate(filled.origin))
    append(new, make, 4)
    assert verify_receipt(before, old_trust).ok
    after, new_trust = new.receipt(SOME + 2), trust_of(new)
    assert verify_receipt(after, new_trust).ok
    assert verify_receipt(after, old_trust).ok, "the old key named the new one"
    assert verify_receipt(before, new_trust).findings[0].code == "trust.key"
    assert verify_receipt(new.receipt(10), new_trust).ok, "a fresh receipt of the same entry"
    export_bundle(new, tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle", old_trust).word == "verified"
    assert verify_bundle(tmp_path / "bundle", new_trust).word == "verified"
    for key in (Signer.generate(filled.origin), filled.signer):
        with pytest.raises(KeyNotCurrent):
            AuditLog.open(filled.engine, key)
    with pytest.raises(KeyNotCurrent):
        append(filled, make, 1)
    twice = rotate_key(new, Signer.generate(filled.origin))
    assert verify_receipt(twice.receipt(1), old_trust).ok


def test_a_new_epoch_continues_after_a_lossy_restore(filled: AuditLog, make: Any, tmp_path: Path) -> None:
    origin = Origin.parse(filled.origin)
    lost = Head(900, b"\x07" * 32)
    kept = Head(SOME, filled.root)
    signer = Signer.generate(str(origin.next()))
    mark = HighWaterMark(tmp_path / "mark-2")
    decision = CouncilDecision(kept, lost, "disk lost, last backup restored", "0xfeed")
    new = open_epoch(filled, origin, signer, decision, highwater=mark, vault=filled.vault)
    append(new, make, 3)
    assert new.size == SOME + 4
    entry = Receipt(0, new.entry(SOME).leaf, (), "").event
    assert (entry["type"], entry["facts"]["lost_size"]) == ("log:epoch:opened", 900)
    assert new.checkpoint().checkpoint.origin.endswith("/2")
    open_checkpoint(str(new.checkpoint()), signer.key)
    with pytest.raises(KeyNotCurrent):
        AuditLog.open(filled.engine, filled.signer)
    AuditLog.open(filled.engine, signer, highwater=mark)
    export_bundle(new, tmp_path / "epoch2")
    assert verify_bundle(tmp_path / "epoch2").ok
    bad = CouncilDecision(Head(SOME, b"\x01" * 32), lost, "", "")
    third = Signer.generate(str(origin.next().next()))
    with pytest.raises(AuditError, match="vouches"):
        open_epoch(new, origin.next(), third, bad, highwater=mark)


# -- pieces


def new_log(path: Path, signer: Signer, folder: Path) -> AuditLog:
    from sqlmodel import SQLModel

    engine = open_engine(f"sqlite:///{path}")
    SQLModel.metadata.create_all(engine)
    return AuditLog.open(engine, signer, highwater=HighWaterMark(folder / "mark"))


def append(log: AuditLog, make: Any, count: int) -> None:
    with log.engine.begin() as conn:
        appended = log.append(conn, [make.entry() for _ in range(count)])
    log.committed(appended)


def backup(path: Path, target: Path) -> None:
    with sqlite3.connect(path) as source, sqlite3.connect(target) as copy:
        source.backup(copy)


def replace(source: Path, target: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)
    source.replace(target)


def cause_of(failed: Future[Any]) -> BaseException | None:
    """The reason why the log could not be written is in the operator's log; the caller gets only the code."""
    error = failed.exception()
    assert error is not None
    return error.__cause__


def test_restoring_while_the_writer_runs_stops_the_writer(tmp_path: Path, signer: Signer, make: Any) -> None:
    path, old = tmp_path / "ledger.db", tmp_path / "yesterday.db"
    log = new_log(path, signer, tmp_path)
    append(log, make, 5)
    backup(path, old)
    with GroupCommit(log.engine, log) as writer:
        writer.append(make.entry()).result()
        with sqlite3.connect(old) as source, sqlite3.connect(path, timeout=30) as live:
            source.backup(live)
        failed = writer.append(make.entry())
        assert "head last seen" in str(cause_of(failed))
        assert "high-water mark" in str(cause_of(writer.append(make.entry())))
