"""The benchmark of the audit log: ``python -m benchmarks.audit [--json] [--entries N] [--postgres URL]``.

Appends are acknowledged after the commit is on disk, with the full event model. ``events_per_s_1024`` is measured with 1,024
callers on an event loop, each of which makes its next event after the acknowledgement of the last. The reference for appending
is the insertion of the same rows with bare ``sqlite3`` in transactions of 1,024, interleaved with the log; the reference for
verifying is hashing the leaves and inner nodes only. Proofs, verification and memory are measured at ``--entries`` entries
(default: a million). pymerkle has its own tree format and is only an external reference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlmodel import SQLModel

from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.append import NewEntry, PreparedEntry
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.log.tiles import entry_table
from ledger.audit.log.writer import GroupCommit
from ledger.audit.verify import verify_bundle
from ledger.store.engine import open_engine

CALLERS = 1024
GRANTS = ["0x" + sha256(b"%d" % i).hexdigest() for i in range(40)]
ORIGIN = Origin(4_242_001, "0x" + "a7" * 20)


def event(number: int) -> Event:
    """A full event of a read, about 520 bytes."""
    return Event(
        id=new_event_id(),
        type="gateway:read:decided",
        time=datetime.now(UTC),
        department=1 + number % 6,
        service=f"key-{number % 50}",
        asset=f"{1 + number % 6}.{1 + number % 90}",
        grant=GRANTS[number % 40],
        decision="permit" if number % 9 else "deny",
        reasons=() if number % 9 else ("purpose.mismatch",),
        engine="policy/1.0",
        terms_hash=GRANTS[(number + 1) % 40],
        plan_hash=GRANTS[(number + 2) % 40],
        purpose="dpv:ServiceProvision",
        counts={"rows": number % 5000},
    )


@contextmanager
def fresh(url: str, folder: Path) -> Iterator[tuple[AuditLog, GroupCommit]]:
    """A new log in an empty database."""
    engine = open_engine(url)
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(
        engine, Signer.generate(str(ORIGIN)), highwater=HighWaterMark(folder / f"mark-{uuid4()}")
    )
    with GroupCommit(engine, log) as writer:
        yield log, writer
    engine.dispose()


@contextmanager
def postgres(given: str | None) -> Iterator[str | None]:
    """The URL of a PostgreSQL: the given one, or that of a temporary cluster with fsync; None if PostgreSQL is missing."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if given or not binaries:
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="civic-pg-"))
    switch = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if switch:
        shutil.chown(home, "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [*switch, str(binaries[-1] / program), "-D", str(home / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=home)

    run("initdb", "-U", "civic", "-A", "trust", "-N")
    run("pg_ctl", "-w", "-l", str(home / "log"), "-o", f"-k {home} -c listen_addresses=''", "start")
    try:
        yield f"postgresql://civic@/postgres?host={home}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def single_append(writer: GroupCommit, rounds: int) -> list[float]:
    """The times of appends by a single caller, in milliseconds."""
    taken = []
    for number in range(rounds):
        entry = NewEntry(event(number))
        begin = time.perf_counter()
        writer.append(entry).result()
        taken.append((time.perf_counter() - begin) * 1e3)
    return taken


def crowd(writer: GroupCommit, total: int) -> float:
    """The events per second with 1,024 callers in a closed loop."""

    async def caller(turns: int) -> None:
        for number in range(turns):
            await writer.record(NewEntry(event(number)))

    async def everybody() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(caller(total // CALLERS) for _ in range(CALLERS)))
        return total // CALLERS * CALLERS / (time.perf_counter() - begin)

    return asyncio.run(everybody())


def floor_append(path: Path, total: int) -> float:
    """The events per second of inserting the same rows with bare sqlite3 (WAL, FULL, 1,024 in a transaction), without tree,
    columns or checks."""
    conn = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000"):
        conn.execute(f"PRAGMA {pragma}")
    conn.execute(
        "CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, hash BLOB, id BLOB UNIQUE, leaf BLOB)"
    )
    at = conn.execute("SELECT count(*) FROM entry").fetchone()[0]
    prepared = [PreparedEntry.of(NewEntry(event(n))) for n in range(total)]
    begin = time.perf_counter()
    for first in range(0, total, CALLERS):
        conn.execute("BEGIN IMMEDIATE")
        rows = [
            (at + first + i, e.hash, e.event_id, e.leaf)
            for i, e in enumerate(prepared[first : first + CALLERS])
        ]
        conn.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", rows)
        conn.execute("COMMIT")
    taken = time.perf_counter() - begin
    conn.close()
    return total / taken


def fill(log: AuditLog, entries: int) -> None:
    """Append entries until the log has this size."""
    done = log.size
    while done < entries:
        some = min(4096, entries - done)
        with log.engine.connect() as conn:
            conn.begin()
            appended = log.append(conn, [NewEntry(event(n)) for n in range(some)])
            conn.commit()
        log.committed(appended)
        done += some


def proofs(log: LogReader, rounds: int) -> list[float]:
    """The times of inclusion proofs at random indexes of the present tree, in milliseconds."""
    size = log.size
    taken = []
    for number in range(rounds):
        index = int.from_bytes(sha256(b"%d" % number).digest()[:8], "big") % size
        begin = time.perf_counter()
        log.inclusion(index)
        taken.append((time.perf_counter() - begin) * 1e3)
    return taken


_FIRST_PROOF = """
import json, sys, time
from ledger.audit.log.reading import LogReader
from ledger.store.engine import open_engine, reader
log = LogReader(open_engine(sys.argv[1]))
size = int(sys.argv[2])
reader(log.engine).connect().close()
begin = time.perf_counter()
log.inclusion(size // 3)
print((time.perf_counter() - begin) * 1e3)
"""

_MEMORY = """
import sys
sys.path.insert(0, ".")
from pathlib import Path
from benchmarks.audit import NewEntry, event, AuditLog, open_engine, proofs
from ledger.audit.formats.note import Signer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2]))
log = AuditLog.open(open_engine(sys.argv[1]), Signer(sys.argv[3], key))
for _ in range(8):
    with log.engine.connect() as conn:
        conn.begin()
        appended = log.append(conn, [NewEntry(event(n)) for n in range(1024)])
        conn.commit()
    log.committed(appended)
proofs(log, 2000)
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
"""


def in_a_new_process(code: str, *arguments: str) -> float:
    """Run code in a new interpreter; returns the number that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def hashing_floor(leaves: list[bytes]) -> float:
    """The leaves per second when only leaves and inner nodes are hashed."""
    begin = time.perf_counter()
    row = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(row) > 1:
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
    return len(leaves) / (time.perf_counter() - begin)


def pymerkle_point(leaves_count: int) -> tuple[float, float]:
    """Appends per second, and milliseconds of an inclusion proof, of pymerkle's SQLite tree with one commit."""
    from pymerkle import SqliteTree

    with tempfile.TemporaryDirectory() as folder:
        tree = SqliteTree(f"{folder}/tree.db", algorithm="sha256")
        leaves = [event(n).canonical() for n in range(leaves_count)]
        begin = time.perf_counter()
        tree.append_entries(leaves, chunksize=CALLERS)
        rate = leaves_count / (time.perf_counter() - begin)
        begin = time.perf_counter()
        for number in range(1, 21):
            tree.prove_inclusion(1 + number * (leaves_count // 21))
        proof_ms = (time.perf_counter() - begin) / 20 * 1e3
        tree.con.close()
    return rate, proof_ms


def percentile(values: list[float], share: float) -> float:
    """The value below which this share (0 to 1) of the values is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def best(measure: Callable[[], float], rounds: int) -> list[float]:
    return [measure() for _ in range(rounds)]


def measure(entries: int, database: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures and ratios."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("appending on SQLite")
        url = f"sqlite:///{folder}/append.db"
        with fresh(url, folder) as (_, writer):
            figures["append_p50_ms"] = statistics.median(single_append(writer, 400))
            ours, floor = [], []
            for turn in range(4):
                ours.append(crowd(writer, 24 * CALLERS))
                floor.append(floor_append(folder / f"floor{turn % 1}.db", 24 * CALLERS))
        figures["events_per_s_1024"] = statistics.median(ours)
        figures["sqlite_floor_per_s"] = statistics.median(floor)
        ratios["append_vs_sqlite_floor"] = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
        if database:
            say("appending on PostgreSQL")
            with fresh(database, folder) as (_, writer):
                figures["pg_append_p50_ms"] = statistics.median(single_append(writer, 200))
                figures["pg_events_per_s_1024"] = statistics.median(
                    best(lambda: crowd(writer, 16 * CALLERS), 3)
                )
        say(f"filling to {entries} entries")
        url = f"sqlite:///{folder}/big.db"
        with fresh(url, folder) as (log, _):
            fill(log, 20_000)
            key = log.signer._private.private_bytes_raw().hex()
            log.engine.dispose()
            figures["rss_mb_20k"] = in_a_new_process(_MEMORY, url, key, log.origin)
            log.verify_head()
            fill(log, entries)
            say("proving")
            proofs(log, 50)
            taken = proofs(log, 3000)
            figures["inclusion_p50_ms_1m"] = statistics.median(taken)
            figures["inclusion_p99_ms_1m"] = percentile(taken, 0.99)
            figures["first_proof_ms_1m"] = statistics.median(
                in_a_new_process(_FIRST_PROOF, url, str(entries)) for _ in range(5)
            )
            say("exporting")
            begin = time.perf_counter()
            export_bundle(log, folder / "bundle")
            figures["export_per_s"] = log.size / (time.perf_counter() - begin)
            say("verifying")
            sample = [entry.leaf for entry in log.entries(0, 262_144)][
                : 1 << (min(entries, 262_144).bit_length() - 1)
            ]
            rates, floors = [], []
            for _ in range(3):
                begin = time.perf_counter()
                verdict = verify_bundle(folder / "bundle")
                rates.append(verdict.leaves_hashed / (time.perf_counter() - begin))
                assert verdict.ok, verdict.lines()
                floors.append(hashing_floor(sample))
            figures["verify_leaves_per_s"] = statistics.median(rates)
            ratios["verify_vs_sha256_floor"] = statistics.median(
                a / b for a, b in zip(rates, floors, strict=True)
            )
            figures["rss_mb_1m"] = in_a_new_process(_MEMORY, url, key, log.origin)
            figures["database_bytes_per_entry"] = os.path.getsize(folder / "big.db") / log.size
        ratios["rss_1m_vs_20k"] = figures["rss_mb_1m"] / figures["rss_mb_20k"]
        say("pymerkle")
        rate, proof_ms = pymerkle_point(20_000)
        figures["pymerkle_append_per_s"] = rate
        figures["pymerkle_proof_ms_20k"] = proof_ms
        ratios["append_vs_pymerkle"] = figures["events_per_s_1024"] / rate
        ratios["proof_vs_pymerkle"] = proof_ms / figures["inclusion_p50_ms_1m"]
        figures["entry_columns"] = len(entry_table.columns)
        figures["entries"] = entries
        figures["own_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"benchmark": "audit", "figures": figures, "ratios": ratios}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--postgres", default=os.environ.get("CIVIC_TEST_POSTGRES"))
    given = parser.parse_args()

    def say(text: str) -> None:
        if not given.json:
            print(text, file=sys.stderr)

    with postgres(given.postgres) as database:
        result = measure(given.entries, database, say)
    for part in ("figures", "ratios"):
        result[part] = {name: round(value, 4) for name, value in result[part].items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
