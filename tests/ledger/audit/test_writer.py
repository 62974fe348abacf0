"""Group commit: durable before answered, each job separate, one entry per event id, on both engines."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlmodel import SQLModel

from ledger.audit.formats.errors import EventConflict, EventInvalid, LogClosed, LogUnavailable
from ledger.audit.formats.merkle import leaf_hash, root_of_hashes
from ledger.audit.log.append import NewEntry
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.store.engine import open_engine, reader


@pytest.fixture
def charges(engine: Engine) -> Engine:
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE charge (nonce VARCHAR(40) PRIMARY KEY, uses INTEGER)"))
    return engine


def spend(nonce: str, entry: NewEntry) -> Any:
    def job(conn: Connection) -> JobResult[str]:
        conn.execute(text("INSERT INTO charge VALUES (:nonce, 1)"), {"nonce": nonce})
        return JobResult(f"spent {nonce}", [entry])

    return job


def spent(engine: Engine) -> int:
    with reader(engine).connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM charge")).scalar_one())


def check_tree(log: AuditLog) -> None:
    entries = log.entries(0, 100_000)
    assert [entry.index for entry in entries] == list(range(log.size))
    assert all(leaf_hash(entry.leaf) == entry.leaf_hash for entry in entries)
    assert root_of_hashes([entry.leaf_hash for entry in entries]) == log.root


def test_an_answer_is_in_the_log_with_its_receipt(writer: GroupCommit, log: AuditLog, make: Any) -> None:
    done = writer.append(make.entry()).result()
    (receipt,) = done.receipts
    assert receipt.check_inclusion().checkpoint == log.checkpoint().checkpoint
    assert log.entry(0).leaf == receipt.leaf


def test_a_job_commits_its_rows_with_its_entry(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    done = writer.submit(spend("n1", make.entry())).result()
    assert (done.value, done.indices, done.repeated) == ("spent n1", (0,), False)
    assert (spent(charges), log.size) == (1, 1)


def test_failed_job_is_rolled_back_alone(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    gate = threading.Event()

    def hold(conn: Connection) -> JobResult[None]:
        gate.wait(10)
        return JobResult(None)

    blocking = writer.submit(hold)
    good = [writer.submit(spend(f"n{i}", make.entry())) for i in range(3)]
    twice = writer.submit(spend("n1", make.entry()))
    broken = writer.submit(lambda conn: 1 / 0)  # type: ignore[arg-type,return-value]
    after = writer.submit(spend("n9", make.entry()))
    gate.set()
    blocking.result()
    assert [f.result().indices for f in good] == [(0,), (1,), (2,)]
    assert type(twice.exception()).__name__ == "IntegrityError"
    assert isinstance(broken.exception(), ZeroDivisionError)
    assert after.result().indices == (3,)
    assert (spent(charges), log.size) == (4, 4)
    check_tree(log)


def test_the_same_event_twice_is_one_entry_and_one_charge(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    entry = make.entry()
    first = writer.submit(spend("n1", entry)).result()
    again = writer.submit(spend("n2", entry)).result()
    assert (again.repeated, again.indices) == (True, first.indices)
    assert again.receipts[0].leaf == first.receipts[0].leaf
    assert (spent(charges), log.size) == (1, 1)


def test_repeated_event_in_one_batch_is_one_entry(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    gate = threading.Event()

    def hold(conn: Connection) -> JobResult[None]:
        gate.wait(10)
        return JobResult(None)

    writer.submit(hold)
    entry = make.entry()
    jobs = [writer.submit(spend(f"n{i}", entry)) for i in range(4)] + [writer.append(entry)]
    gate.set()
    found = [job.result() for job in jobs]
    assert {f.indices for f in found} == {(0,)}
    assert [f.repeated for f in found[:4]] == [False, True, True, True]
    assert (spent(charges), log.size) == (1, 1)


def test_some_old_and_some_new_events_in_one_job_are_refused(
    writer: GroupCommit, log: AuditLog, make: Any
) -> None:
    old, new = make.entry(), make.entry()
    writer.append(old).result()
    with pytest.raises(EventConflict):
        writer.submit(lambda conn: JobResult(None, [old, new])).result()
    assert log.size == 1


def test_invalid_event_fails_only_its_caller(writer: GroupCommit, log: AuditLog, make: Any) -> None:
    with pytest.raises(EventInvalid):
        writer.append(make.entry(type="nonsense"))
    bad = writer.submit(lambda conn: JobResult(None, [make.entry(department=-1)]))
    assert isinstance(bad.exception(), EventInvalid)
    assert writer.append(make.entry()).result().indices == (0,)


def test_concurrent_callers_get_distinct_indices(writer: GroupCommit, log: AuditLog, make: Any) -> None:
    entries = [make.entry() for _ in range(900)]
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda e: writer.append(e).result(), entries))
    assert sorted(d.indices[0] for d in done) == list(range(900))
    for d in done[::37]:
        d.receipts[0].check_inclusion()
    check_tree(log)


def test_broken_transaction_fails_the_batch_and_the_log_recovers(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    def sabotage(conn: Connection) -> JobResult[None]:
        conn.exec_driver_sql("ROLLBACK")
        return JobResult(None, [make.entry()])

    with pytest.raises(LogUnavailable):
        writer.submit(sabotage).result()
    assert (spent(charges), log.size) == (0, 0)
    assert writer.submit(spend("n1", make.entry())).result().indices == (0,)


def test_close_writes_the_queue_and_refuses_new_jobs(engine: Engine, log: AuditLog, make: Any) -> None:
    writer = GroupCommit(engine, log)
    queued = [writer.append(make.entry()) for _ in range(50)]
    writer.close()
    assert [f.result().indices[0] for f in queued] == list(range(50))
    with pytest.raises(LogClosed):
        writer.append(make.entry())


def test_overloaded_writer_refuses_with_a_code(engine: Engine, log: AuditLog, make: Any) -> None:
    gate = threading.Event()
    with GroupCommit(engine, log, max_queued=3) as writer:
        running = threading.Event()

        def hold(conn: Connection) -> JobResult[None]:
            running.set()
            gate.wait(10)
            return JobResult(None)

        writer.submit(hold)
        running.wait(10)
        kept = [writer.append(make.entry()) for _ in range(3)]
        with pytest.raises(LogUnavailable, match="overloaded"):
            writer.append(make.entry())
        gate.set()
        assert all(f.result() for f in kept)


def test_two_writers_on_one_log_make_one_sequence(
    database_url: str, engine: Engine, log: AuditLog, make: Any, mark_path: Any
) -> None:
    other_engine = open_engine(database_url)
    other = AuditLog.open(other_engine, log.signer, highwater=HighWaterMark(mark_path), vault=log.vault)
    with GroupCommit(engine, log) as one, GroupCommit(other_engine, other) as two:
        futures = [writer.append(make.entry()) for _ in range(150) for writer in (one, two)]
        done = [future.result() for future in futures]
    assert sorted(d.indices[0] for d in done) == list(range(300))
    check_tree(log)
    check_tree(other)
    for d in done[::29]:
        d.receipts[0].check_inclusion()
    other_engine.dispose()


def test_append_in_an_own_transaction(engine: Engine, log: AuditLog, make: Any) -> None:
    entries = [make.entry() for _ in range(3)]
    with engine.begin() as conn:
        appended = log.append(conn, entries)
    log.committed(appended)
    assert appended.indices == (0, 1, 2)
    appended.receipt(1).check_inclusion()
    with engine.connect() as conn:
        conn.begin()
        log.append(conn, [make.entry()])
        conn.rollback()
    assert log.size == 3
    with engine.begin() as conn:
        log.committed(log.append(conn, [make.entry()]))
    check_tree(log)


def test_callers_on_an_event_loop_get_the_same_answers(
    writer: GroupCommit, charges: Engine, log: AuditLog, make: Any
) -> None:
    async def scenario() -> None:
        entries = [make.entry() for _ in range(200)]
        done = await asyncio.gather(*(writer.record(entry) for entry in entries))
        assert sorted(d.indices[0] for d in done) == list(range(200))
        spent_one = await writer.run(spend("n1", make.entry()))
        assert spent_one.value == "spent n1"
        with pytest.raises(ZeroDivisionError):
            await writer.run(lambda conn: 1 / 0)  # type: ignore[arg-type,return-value]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.run(lambda conn: JobResult(time.sleep(0.3))), 0.01)
        assert (await writer.record(make.entry())).indices == (201,)

    asyncio.run(scenario())
    check_tree(log)


@pytest.mark.needs("postgresql")
def test_lost_connection_fails_the_batch_and_the_log_recovers(
    postgres_url: str, signer: Any, make: Any
) -> None:
    engine = open_engine(postgres_url)
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(engine, signer)

    def cut(conn: Connection) -> JobResult[None]:
        conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return JobResult(None, [make.entry()])

    with GroupCommit(engine, log) as writer:
        writer.append(make.entry()).result()
        with pytest.raises(LogUnavailable):
            writer.submit(cut).result()
        assert writer.append(make.entry()).result().indices == (1,)
    check_tree(log)
    engine.dispose()
