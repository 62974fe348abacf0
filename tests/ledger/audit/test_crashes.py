"""Crashes: acknowledged entries are found after any kill, torn file, failed system call or full disk, and no
entry is duplicated.

The short forms run in CI; `make drills` runs the long ones.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel

from ledger.audit.formats.errors import LogCorrupt, RollbackDetected
from ledger.audit.formats.events import read_event
from ledger.audit.formats.note import Signer
from ledger.audit.keeping.fsck import fsck
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.log import AuditLog
from ledger.store.engine import StoreUnavailable, open_engine

APPENDER = Path(__file__).with_name("appender.py")
ROOT = Path(__file__).parents[3]
ORIGIN = "civicledger.example/log/4242001/0x" + "a7" * 20 + "/1"


@dataclass
class Crew:
    """Callers whose process is killed and restarted; they repeat what was not acknowledged."""

    url: str
    mark: Path
    callers: int
    key: bytes = field(default_factory=lambda: Ed25519PrivateKey.generate().private_bytes_raw())
    offset: int = 0
    acknowledged: dict[tuple[int, int], int] = field(default_factory=dict)
    failed: int = 0
    _rest: bytes = b""

    def open(self) -> AuditLog:
        engine = open_engine(self.url)
        SQLModel.metadata.create_all(engine)
        signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(self.key))
        return AuditLog.open(engine, signer, highwater=HighWaterMark(self.mark))

    def start(
        self, *prefix: str, stop: int | None = None, limit: int | None = None
    ) -> subprocess.Popen[bytes]:
        first = [0] * self.callers
        for caller, sequence in self.acknowledged:
            first[caller - self.offset] = max(first[caller - self.offset], sequence + 1)
        process = subprocess.Popen(
            [*prefix, sys.executable, str(APPENDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdin is not None
        given = {
            "url": self.url, "mark": str(self.mark), "key": self.key.hex(), "origin": ORIGIN, "first": first,
            "offset": self.offset, "stop": stop, "limit": limit,
        }  # fmt: skip
        process.stdin.write(json.dumps(given).encode() + b"\n")
        process.stdin.close()
        return process

    def listen(self, process: subprocess.Popen[bytes], *, acks: int = 0, seconds: float = 60) -> None:
        """Read acknowledgements until there are ``acks`` new ones, the time limit has passed, or the process
        has ended."""
        assert process.stdout is not None
        begin, heard = time.monotonic(), 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() - begin < seconds and not (acks and heard >= acks):
                if not selector.select(0.05):
                    continue
                data = os.read(process.stdout.fileno(), 65_536)
                if not data:
                    return
                *lines, self._rest = (self._rest + data).split(b"\n")
                heard += sum(self._note(line) for line in lines)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        assert process.stdout is not None
        lines = (self._rest + process.stdout.read()).split(b"\n")
        for line in lines[:-1]:
            self._note(line)
        self._rest = b""
        process.wait()

    def _note(self, line: bytes) -> bool:
        if line == b"failed":
            self.failed += 1
        if not line.startswith(b"ack "):
            return False
        caller, sequence, index = map(int, line.split()[1:])
        before = self.acknowledged.setdefault((caller, sequence), index)
        assert before == index, "the same event was acknowledged at two places"
        return True

    def check(self) -> AuditLog:
        """Every acknowledged entry is at its index, no entry is duplicated, and the database is intact."""
        log = self.open()
        report = fsck(log)
        assert report.ok, report.damage
        found: dict[tuple[int, int], int] = {}
        for start in range(0, log.size, 5000):
            for entry in log.entries(start, 5000):
                event = read_event(entry.leaf)
                name = (int((event.service or "").removeprefix("key-")), event.counts["sequence"])
                assert name not in found, "one event, two entries"
                found[name] = entry.index
        lost = {name for name, index in self.acknowledged.items() if found.get(name) != index}
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged entries are lost"
        return log


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "mark", callers=16)


def kill_rounds(crew: Crew, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    crew.open().engine.dispose()
    for _ in range(rounds):
        process = crew.start()
        crew.listen(process, acks=chance.randint(1, 400), seconds=30)
        time.sleep(chance.random() * 0.02)
        crew.kill(process)
    crew.check().engine.dispose()
    assert len(crew.acknowledged) >= rounds


def test_repeated_kills_lose_no_acknowledged_entry(crew: Crew) -> None:
    kill_rounds(crew, 5, seed=1)


@pytest.mark.needs("postgresql")
def test_repeated_kills_lose_no_acknowledged_entry_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    kill_rounds(Crew(postgres_url, tmp_path / "mark", callers=16), 3, seed=2)


@pytest.mark.drill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2))
def test_forty_kills(crew: Crew, seed: int) -> None:
    kill_rounds(crew, 40, seed=100 + seed)


@pytest.mark.drill
@pytest.mark.needs("postgresql")
@pytest.mark.timeout(1800)
def test_forty_kills_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    kill_rounds(Crew(postgres_url, tmp_path / "mark", callers=16), 40, seed=200)


def thousand_callers(crew: Crew, seconds: float) -> None:
    """1,000 concurrent callers; the process is killed and restarted five times."""
    crew.callers = 1000
    crew.open().engine.dispose()
    for _ in range(6):
        process = crew.start()
        crew.listen(process, acks=1)
        crew.listen(process, seconds=seconds / 6)
        crew.kill(process)
    # A caller may have one more entry in the log than were acknowledged.
    process = crew.start(stop=2 + max(sequence for _, sequence in crew.acknowledged))
    crew.listen(process, seconds=1200)
    assert process.wait(10) == 0, "the callers that were behind have caught up"
    crew.kill(process)
    log = crew.check()
    assert log.size == len(crew.acknowledged), (
        "every entry was acknowledged in the end, and none is there twice"
    )
    log.engine.dispose()


def test_a_thousand_callers_and_five_restarts(crew: Crew) -> None:
    thousand_callers(crew, seconds=3)


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_a_thousand_callers_for_a_minute(crew: Crew) -> None:
    thousand_callers(crew, seconds=60)


def test_two_processes_append_to_one_log(crew: Crew) -> None:
    other = Crew(crew.url, crew.mark.with_name("mark-2"), callers=16, key=crew.key, offset=16)
    crew.open().engine.dispose()
    both = [(one, one.start(stop=40)) for one in (crew, other)]
    for one, process in both:
        one.listen(process, seconds=90)
        one.kill(process)
    crew.acknowledged |= other.acknowledged
    assert len(crew.acknowledged) == 2 * 16 * 40
    crew.check().engine.dispose()


# -- the files are damaged


@pytest.fixture
def killed(crew: Crew) -> tuple[Crew, Path]:
    """A log whose process was killed, so that its last commits are only in the write-ahead log."""
    crew.open().engine.dispose()
    process = crew.start()
    crew.listen(process, acks=120)
    crew.kill(process)
    path = Path(crew.url.removeprefix("sqlite:///"))
    assert Path(f"{path}-wal").stat().st_size > 0
    kept = path.parent / "kept"
    kept.mkdir()
    for name in (path.name, f"{path.name}-wal", crew.mark.name):
        shutil.copy(path.parent / name, kept / name)
    return crew, kept


def damage_wal(crew: Crew, kept: Path, seed: int, rounds: int) -> tuple[int, int]:
    """(opened complete, refused): a log is never silently shorter than what was acknowledged."""
    chance = random.Random(seed)
    path = Path(crew.url.removeprefix("sqlite:///"))
    whole, refused = 0, 0
    for turn in range(rounds):
        for name in (path.name, f"{path.name}-wal", crew.mark.name):
            shutil.copy(kept / name, path.parent / name)
        Path(f"{path}-shm").unlink(missing_ok=True)
        wal = Path(f"{path}-wal")
        data = bytearray(wal.read_bytes())
        if turn % 2:
            data = data[: chance.randrange(len(data))]
        else:
            for _ in range(chance.randint(1, 20)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        wal.write_bytes(data)
        try:
            crew.check().engine.dispose()
            whole += 1
        except (RollbackDetected, LogCorrupt, StoreUnavailable, DatabaseError):
            refused += 1
    return whole, refused


def test_a_torn_or_garbled_write_ahead_log_is_noticed(killed: tuple[Crew, Path]) -> None:
    whole, refused = damage_wal(*killed, seed=3, rounds=16)
    assert refused > 5, f"{whole} opened, {refused} were refused"


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_a_write_ahead_log_torn_in_every_way(killed: tuple[Crew, Path]) -> None:
    damage_wal(*killed, seed=4, rounds=400)


def test_full_disk_refuses_appends_until_space_is_free(crew: Crew) -> None:
    crew.open().engine.dispose()
    path = Path(crew.url.removeprefix("sqlite:///"))
    process = crew.start(stop=30, limit=path.stat().st_size + 150_000)
    crew.listen(process, seconds=90)
    crew.kill(process)
    assert crew.failed, "the limit was hit"
    assert len(crew.acknowledged) == 16 * 30
    crew.check().engine.dispose()


# -- every system call of the writer fails once (strace)

FAULTS = {
    "pwrite64": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO",),
    "fsync": ("EIO",),
    "ftruncate": ("EIO",),
    "openat": ("EIO", "EMFILE"),
    "fcntl": ("EIO",),
    "pread64": ("EIO",),
    "mmap": ("ENOMEM",),
}


def inject(crew: Crew, call: str, how: str, when: int) -> bool:
    """Make the ``when``-th such call of each thread fail, or kill the process there; return whether it was
    reached."""
    trace = crew.mark.with_name("trace")
    process = crew.start(
        "strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:{how}:when={when}",
        stop=12 + max((sequence for _, sequence in crew.acknowledged), default=0),
    )  # fmt: skip
    crew.listen(process, seconds=60)
    try:
        died = process.wait(5) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        died = False
    crew.kill(process)
    reached = died or "INJECTED" in trace.read_text(errors="replace")
    crew.check().engine.dispose()
    return reached


SHORT: list[tuple[str, str, int]] = [
    ("pwrite64", "error=EIO", 9),
    ("pwrite64", "error=ENOSPC", 14),
    ("fdatasync", "error=EIO", 2),
    ("pwrite64", "signal=KILL", 11),
    ("fdatasync", "signal=KILL", 3),
]


@pytest.mark.needs("strace")
@pytest.mark.parametrize(("call", "how", "when"), SHORT)
def test_a_failing_system_call_loses_nothing(crew: Crew, call: str, how: str, when: int) -> None:
    crew.callers = 3
    crew.open().engine.dispose()
    assert inject(crew, call, how, when), "the fault was never reached"


@pytest.mark.drill
@pytest.mark.needs("strace")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("call", FAULTS)
def test_every_system_call_of_the_writer_fails_once(crew: Crew, call: str) -> None:
    crew.callers = 3
    crew.open().engine.dispose()
    for how in [*(f"error={name}" for name in FAULTS[call]), "signal=KILL"]:
        misses = 0
        for when in (*range(1, 13), 14, 17, 20, 24, 30, 40):
            misses = 0 if inject(crew, call, how, when) else misses + 1
            if misses == 3:
                break


def test_the_drill_check_detects_a_lost_acknowledgement(crew: Crew) -> None:
    """The check itself works: it detects an acknowledgement of a missing entry."""
    crew.open().engine.dispose()
    process = crew.start(stop=2)
    crew.listen(process, seconds=60)
    crew.kill(process)
    crew.acknowledged[(3, 99)] = 7
    with pytest.raises(AssertionError, match="1 of 33 acknowledged entries are lost"):
        crew.check()
