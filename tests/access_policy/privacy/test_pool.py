"""The pool: fast when warm, fair when busy, and repaired after the death of any worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution import scanner as scanner_module
from access_policy.privacy.execution.engine import EngineLimits
from access_policy.privacy.execution.pace import Pace
from access_policy.privacy.execution.process import ScanProcess
from access_policy.privacy.execution.scan_errors import (
    ScanCancelled,
    ScanError,
    ScannerBusy,
    ScanTimeout,
    WorkerLost,
)
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.execution.worker import WorkerSettings
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.transforms import Keep, Mask, Pseudonym, Transform

from .conftest import SECRET, Register

BIG_ROWS = 600_000
KEY = derive_grant_key(SECRET, "0x01")
SCHEMA = parse_schema({"fields": [{"name": n, "type": "string"} for n in ("p", "q")]})


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("big") / "big.parquet"
    people = pa.array(range(BIG_ROWS)).cast(pa.string())
    pq.write_table(pa.table({"p": people, "q": people}), path, row_group_size=50_000)
    return Source(str(path), "parquet", SCHEMA)


@pytest.fixture
def pool(big: Source) -> Iterator[Scanner]:
    with Scanner([Path(big.path).parent], size=2, wait=0.3) as scanner:
        yield scanner


def plan_of(query: object, transforms: dict[str, Transform] | None = None) -> Plan:
    return compile_plan(parse_query(query), Permit("0x01", "r", ("p", "q"), None, transforms or {}), SCHEMA)


EVERYTHING = plan_of({})
SLOW = plan_of({}, {"p": Pseudonym(), "q": Pseudonym()})
"""Half a second of hashing and sorting before the first batch."""


def rows(scanner: Scanner, plan: Plan, source: Source) -> int:
    with scanner.scan(plan, source, KEY) as scan:
        return sum(batch.num_rows for batch in scan)


def test_a_pool_that_is_closed_while_workers_start_leaves_none_and_prints_nothing(
    big: Source, capfd: pytest.CaptureFixture[str]
) -> None:
    before = set(_children())
    for delay in (0.02, 0.1, 0.3):
        pool = Scanner([Path(big.path).parent], size=2)
        warming = threading.Thread(target=_warm, args=(pool,))
        warming.start()
        time.sleep(delay)
        pool.close()
        warming.join(20)
    until = time.monotonic() + 5
    while (left := set(_children()) - before) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
    assert capfd.readouterr().err == ""


def _warm(pool: Scanner) -> None:
    with pytest.raises(ScannerBusy):
        pool.warm()


def _children() -> list[str]:
    """The processes that this one started and that have not ended."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split() + [
        one
        for task in Path("/proc/self/task").iterdir()
        for one in (task / "children").read_text().split()
        if task.name != str(os.getpid())
    ]


def test_warm_pool_starts_no_process_for_a_call(pool: Scanner, big: Source) -> None:
    assert pool.process_ids() == ()
    pool.warm()
    before = pool.process_ids()
    assert len(before) == 2
    assert rows(pool, EVERYTHING, big) == BIG_ROWS
    assert pool.process_ids() == before


def test_a_point_read_is_quick(register: Register) -> None:
    plan = register.plan({"where": {"column": "citizen id", "op": "eq", "value": "C007"}, "limit": 1})
    register.read(plan)
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        assert len(register.read(plan)) == 1
        taken.append(time.perf_counter() - started)
    assert sorted(taken)[10] < 0.25  # Milliseconds on an idle machine: benchmarks/data.py measures them.


def test_killed_worker_gives_one_error_and_is_replaced(pool: Scanner, big: Source) -> None:
    with pool.scan(EVERYTHING, big) as scan:
        next(scan)
        for pid in pool.process_ids():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost) as lost:
            list(scan)
    assert lost.value.code == "scan.worker-lost"
    assert rows(pool, EVERYTHING, big) == BIG_ROWS


def test_a_worker_killed_while_idle_is_replaced_without_an_error(pool: Scanner, big: Source) -> None:
    pool.warm()
    killed = pool.process_ids()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while pool.process_ids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rows(pool, EVERYTHING, big) == BIG_ROWS
    assert not set(pool.process_ids()) & set(killed)


def test_a_stopped_worker_costs_its_scan_a_timeout_and_is_replaced(pool: Scanner, big: Source) -> None:
    pool.warm(1)
    (pid,) = pool.process_ids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ScanTimeout):
        pool.scan(EVERYTHING, big, timeout=0.2)
    assert pid not in pool.process_ids()
    assert rows(pool, EVERYTHING, big) == BIG_ROWS


def test_a_slow_scan_ends_at_its_time_and_keeps_its_worker(pool: Scanner, big: Source) -> None:
    pool.warm(1)
    before = pool.process_ids()
    started = time.monotonic()
    with pytest.raises(ScanTimeout) as late:
        pool.scan(SLOW, big, KEY, timeout=0.1)
    assert late.value.code == "scan.timeout"
    assert time.monotonic() - started < 3
    assert rows(pool, plan_of({"limit": 5}), big) == 5
    assert pool.process_ids() == before


def test_cancelling_from_another_thread_stops_within_a_batch(pool: Scanner, big: Source) -> None:
    scan = pool.scan(EVERYTHING, big)
    next(scan)
    threading.Thread(target=scan.cancel).start()
    with pytest.raises(ScanCancelled):
        all(time.sleep(0.01) is None for _ in scan)
    assert scan.summary is None
    assert rows(pool, EVERYTHING, big) == BIG_ROWS
    assert len(pool.process_ids()) == 1


def test_cancelling_after_the_end_does_nothing(pool: Scanner, big: Source) -> None:
    with pool.scan(plan_of({"limit": 3}), big) as scan:
        assert sum(batch.num_rows for batch in scan) == 3
        scan.cancel()
        assert list(scan) == []
        assert scan.summary is not None
    assert rows(pool, plan_of({"limit": 3}), big) == 3


def test_late_cancellation_does_not_stop_another_scan(pool: Scanner, big: Source) -> None:
    """The cancellation may reach the worker when another scan already runs there; that one must not be cut
    short."""
    pool.warm(1)
    (process,) = pool._all
    with pool.scan(EVERYTHING, big) as scan:
        next(scan)
        for number in (0, scan._number - 1, scan._number + 1, 2**40):
            process.interrupt(number)
        assert sum(batch.num_rows for batch in scan) > BIG_ROWS / 2
        assert scan.summary is not None
        assert scan.summary.rows == BIG_ROWS


def test_leaving_a_scan_early_releases_the_worker(pool: Scanner, big: Source) -> None:
    for _ in range(5):
        with pool.scan(EVERYTHING, big) as scan:
            next(scan)
    assert len(pool.process_ids()) == 1


def test_a_slow_reader_holds_the_worker_back(pool: Scanner, big: Source) -> None:
    def spent() -> int:
        fields = Path(f"/proc/{pool.process_ids()[0]}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    with pool.scan(EVERYTHING, big) as scan:
        next(scan)
        time.sleep(0.3)
        before = spent()
        time.sleep(0.3)
        assert spent() - before <= 1  # In hundredths of a second.
        assert sum(batch.num_rows for batch in scan) < BIG_ROWS


def test_busy_pool_refuses_the_call(pool: Scanner, big: Source) -> None:
    with pool.scan(EVERYTHING, big), pool.scan(EVERYTHING, big):
        with pytest.raises(ScannerBusy) as busy:
            pool.scan(EVERYTHING, big)
        assert busy.value.code == "scan.busy"
    assert rows(pool, EVERYTHING, big) == BIG_ROWS


def test_idle_reader_loses_its_worker_at_the_timeout(pool: Scanner, big: Source) -> None:
    forgotten = pool.scan(EVERYTHING, big, timeout=0.5)
    next(forgotten)
    with pool.scan(EVERYTHING, big):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                assert rows(pool, plan_of({"limit": 5}), big) == 5
                break
            except ScannerBusy:
                continue
    with pytest.raises(ScanTimeout):
        list(forgotten)
    with pytest.raises(ScanTimeout):
        next(forgotten)
    assert forgotten.summary is None


def test_one_holder_cannot_use_all_workers(pool: Scanner, big: Source) -> None:
    with pool.scan(EVERYTHING, big, holder="A"):
        with pytest.raises(ScannerBusy):
            pool.scan(EVERYTHING, big, holder="A")
        with pool.scan(plan_of({"limit": 5}), big, holder="B") as other:
            assert sum(batch.num_rows for batch in other) == 5
    with pool.scan(EVERYTHING, big, holder="A") as again:
        next(again)


def spares_started() -> None:
    for thread in threading.enumerate():
        if thread.name == "scan-spare":
            thread.join(30)


def test_a_worker_is_free_after_each_stream(big: Source) -> None:
    """The maximum of concurrent streams leaves a worker for the next call, which neither starts a worker nor
    waits for one."""
    with Scanner([Path(big.path).parent], size=2, streams=2, stream_share=2, spare=1, wait=5) as scanner:
        scanner.warm()
        spares_started()
        ready = set(scanner.process_ids())
        assert len(ready) == 3
        slow = [scanner.scan(EVERYTHING, big, holder=holder) for holder in ("A", "B")]
        for scan in slow:
            scan.stream(Pace())
        began = time.monotonic()
        with scanner.scan(plan_of({"limit": 5}), big, holder="C") as quick:
            assert quick._process is not None
            assert quick._process.process.pid in ready
        assert time.monotonic() - began < 5
        for scan in slow:
            scan.close()
        spares_started()
        assert len(scanner.process_ids()) <= 5


def test_a_call_takes_the_worker_that_is_being_started_for_it(big: Source) -> None:
    with Scanner([Path(big.path).parent], size=1, streams=2, stream_share=2, wait=30) as scanner:
        scanner.warm()
        with scanner.scan(EVERYTHING, big, holder="A") as scan:
            scan.stream(Pace())
            assert rows(scanner, plan_of({"limit": 5}), big) == 5
            spares_started()
            assert len(scanner.process_ids()) == 2


def test_streams_one_after_another_start_no_worker_each(big: Source) -> None:
    """A caller that begins and abandons streams would make the machine start interpreters."""
    with Scanner([Path(big.path).parent], size=2, streams=2, stream_share=2, wait=5) as scanner:
        scanner.warm()
        seen = set(scanner.process_ids())
        for _ in range(8):
            with scanner.scan(EVERYTHING, big, holder="A") as scan:
                scan.stream(Pace())
                assert rows(scanner, plan_of({"limit": 5}), big) == 5
                spares_started()
                seen |= set(scanner.process_ids())
        assert len(seen) <= 4


def test_slow_scans_release_the_workers_to_others(big: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner_module, "KEPT_SECONDS", 0.5)
    with Scanner([Path(big.path).parent], size=1, streams=3, stream_share=2, wait=0.3) as scanner:
        slow = []
        for holder in ("A", "A", "B"):
            slow.append(scanner.scan(EVERYTHING, big, holder=holder))
            slow[-1].stream(Pace())
        for holder in ("A", "B"):
            with scanner.scan(EVERYTHING, big, holder=holder) as more, pytest.raises(ScannerBusy):
                more.stream(Pace())
        assert rows(scanner, plan_of({"limit": 5}), big) == 5
        slow[0].close()
        with scanner.scan(EVERYTHING, big, holder="C") as more:
            more.stream(Pace())
            assert sum(batch.num_rows for batch in more) == BIG_ROWS
        assert sum(batch.num_rows for batch in slow[1]) == BIG_ROWS
        slow[2].close()
        until = time.monotonic() + 5
        while len(scanner.process_ids()) > 1 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(scanner.process_ids()) == 1, "what the streams needed is not kept"


def test_eight_callers_share_two_workers(big: Source) -> None:
    with Scanner([Path(big.path).parent], size=2) as scanner, ThreadPoolExecutor(8) as callers:
        wanted = [str(i * 7001) for i in range(40)]
        plans = [plan_of({"where": {"column": "p", "op": "eq", "value": value}}) for value in wanted]

        def read(plan: Plan) -> list[str]:
            with scanner.scan(plan, big) as scan:
                return [row["q"] for batch in scan for row in batch.to_pylist()]

        assert list(callers.map(read, plans)) == [[value] for value in wanted]
        assert len(scanner.process_ids()) == 2


def test_large_sort_spills_to_the_temporary_directory_and_cleans_up(big: Source, tmp_path: Path) -> None:
    limits = EngineLimits(memory=64 << 20, threads=1)
    with Scanner([Path(big.path).parent], size=1, limits=limits, temporary=tmp_path) as scanner:
        with scanner.scan(SLOW, big, KEY) as scan:
            next(scan)
            spilt = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert sum(path.stat().st_size for path in spilt) > 1 << 20
            assert {path.parent.parent.stat().st_mode & 0o77 for path in spilt} == {0}
        assert rows(scanner, SLOW, big) == BIG_ROWS
    assert list(tmp_path.iterdir()) == []


def test_too_large_sort_fails_with_an_error(big: Source) -> None:
    with Scanner([Path(big.path).parent], size=1, limits=EngineLimits(memory=12 << 20, threads=1)) as scanner:
        with pytest.raises(ScanError) as failed:
            rows(scanner, SLOW, big)
        assert failed.value.code == "scan.failed"
        assert rows(scanner, plan_of({"limit": 2}), big) == 2


@pytest.mark.parametrize("rule", [Keep(), Mask(), Pseudonym()])
def test_a_small_file_that_unpacks_to_gigabytes_costs_only_its_own_scan(
    tmp_path: Path, rule: Transform
) -> None:
    schema = pa.schema([("p", pa.string()), ("q", pa.string())])
    with pq.ParquetWriter(
        tmp_path / "bomb.parquet", schema, compression="zstd", use_dictionary=False
    ) as writer:
        writer.write_table(pa.table({"p": ["p" * (90 << 20)], "q": ["q"]}))
    assert (tmp_path / "bomb.parquet").stat().st_size < 1 << 20
    pq.write_table(pa.table({"p": ["x"], "q": ["y"]}), tmp_path / "good.parquet")
    with Scanner([tmp_path], size=1, limits=EngineLimits(memory=48 << 20)) as scanner:
        with pytest.raises(ScanError) as failed:
            rows(scanner, plan_of({}, {"p": rule}), Source(str(tmp_path / "bomb.parquet"), "parquet", SCHEMA))
        assert failed.value.code in ("scan.failed", "scan.worker-lost")
        assert rows(scanner, EVERYTHING, Source(str(tmp_path / "good.parquet"), "parquet", SCHEMA)) == 1


def test_a_file_that_changes_between_calls_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with Scanner([tmp_path], size=1) as scanner:
        for n in (3, 50, 7):
            pq.write_table(pa.table({"p": ["x"] * n, "q": ["y"] * n}), path)
            assert rows(scanner, EVERYTHING, Source(str(path), "parquet", SCHEMA)) == n
        pq.write_table(pa.table({"p": [1, 2]}), path)
        with pytest.raises(Exception, match="does not fit") as refused:
            rows(scanner, EVERYTHING, Source(str(path), "parquet", SCHEMA))
        assert getattr(refused.value, "code", "") == "source.mismatch"


def test_closing_ends_every_worker(big: Source) -> None:
    scanner = Scanner([Path(big.path).parent], size=2)
    scanner.warm()
    pids = scanner.process_ids()
    scanner.close()
    assert scanner.process_ids() == ()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(ScannerBusy):
        scanner.scan(EVERYTHING, big)


def test_a_worker_ends_with_its_gateway(big: Source) -> None:
    """A killed gateway cannot close anything; its workers see the end of their pipes."""
    scanner = Scanner([Path(big.path).parent], size=1)
    scanner.warm()
    (process,) = scanner._all
    process.control.close()
    process.data.close()
    assert process.process.wait(timeout=5) == 0
    scanner.close()


def test_worker_ends_silently_when_the_gateway_has_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = ScanProcess(WorkerSettings((str(tmp_path),), str(tmp_path), EngineLimits()))
    process.wait_ready()
    process.data.close()
    assert process.process.wait(20) == 0
    process.control.close()
    assert capfd.readouterr().err == ""
