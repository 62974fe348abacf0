"""The pool of scanning processes, and one scan as an iterator of Arrow record batches.

Untrusted files and grantees' predicates meet only inside a worker: a fresh interpreter with a hardened
DuckDB, a memory limit and no way to name a file outside the allowed directories. A worker that dies, hangs
or is cancelled costs its own scan one clean error, and is replaced.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from access_policy.errors import PolicyError
from access_policy.privacy.checked import CheckedFile, KnownFiles
from access_policy.privacy.engine import EngineLimits
from access_policy.privacy.plan import Plan
from access_policy.privacy.pseudonyms import column_pads, shuffle_key
from access_policy.privacy.source import (
    Source,
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceMismatch,
    SourceMissing,
    confine,
)
from access_policy.privacy.transforms import Pseudonym
from access_policy.privacy.worker import ScanRequest, WorkerSettings

START_SECONDS = 20.0
"""How long a worker may take to come up."""

GRACE_SECONDS = 2.0
"""How long a cancelled worker has to stop before it is killed."""

_SOURCE_ERRORS: dict[str, tuple[type[SourceError], str]] = {
    SourceMissing.code: (SourceMissing, "the asset's file is not there"),
    SourceMismatch.code: (SourceMismatch, "the asset's file does not fit its declared schema"),
}


class ScanError(PolicyError):
    """A scan failed while running. The message is constant: engine errors quote data values.

    ``cause`` names the kind of failure for the operator's log; it never holds a value.
    """

    code = "scan.failed"
    text = "the scan failed; no more is said here, so that an error cannot carry data"

    def __init__(self, cause: str = "") -> None:
        super().__init__(self.text)
        self.cause = cause


class ScanTimeout(ScanError):
    """The scan did not end in the time it was given."""

    code = "scan.timeout"
    text = "the scan did not end in time: ask for fewer rows, or again later"


class ScanCancelled(ScanError):
    """Somebody cancelled the scan (a revocation, a caller that went away)."""

    code = "scan.cancelled"
    text = "the scan was cancelled"


class WorkerLost(ScanError):
    """The worker process ended in the middle of the scan; the pool replaces it."""

    code = "scan.worker-lost"
    text = "the scanning process ended before the scan did; the call can be sent again"


class ScannerBusy(ScanError):
    """No worker came free in time."""

    code = "scan.busy"
    text = "every scanning process is busy: send the call again later"


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a finished scan did: rows and batches released, their cells that broke the schema (released as
    null), and the worker's seconds."""

    rows: int
    batches: int
    invalid_cells: int
    seconds: float


class _Process:
    """The gateway's end of one worker."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._temporary = settings.temporary
        self.data, data = Pipe()
        control, self.control = Pipe(duplex=False)
        code = "from access_policy.privacy.worker import main; import sys; main(*map(int, sys.argv[1:]))"
        with data, control:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(data.fileno()), str(control.fileno())],
                pass_fds=(data.fileno(), control.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # A terminal's interrupt is for the gateway, which ends its workers by closing their pipes.
                start_new_session=True,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TZ": "UTC"},
            )
        self.data.send(settings)

    def wait_ready(self) -> None:
        try:
            if self.data.poll(START_SECONDS) and self.data.recv_bytes(16) == b"R":
                return
        except (EOFError, OSError):
            pass
        self.kill()
        raise WorkerLost("did not start")

    def alive(self) -> bool:
        return self.process.poll() is None

    def interrupt(self, number: int) -> None:
        try:
            self.control.send_bytes(number.to_bytes(8, "big"))
        except OSError:
            return  # The worker is gone; whoever reads its data pipe finds out.

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.data.close()
        self.control.close()
        shutil.rmtree(self._temporary, ignore_errors=True)


class Scanner:
    """A pool of at most ``size`` workers, started when first needed (or by ``warm``). Thread-safe.

    ``directories`` are the only places a source may lie. ``timeout`` bounds one scan from its first byte to
    its last, a slow reader included; ``wait`` bounds waiting for a free worker; both in seconds. Sorts that
    outgrow the memory limit spill into private directories under ``temporary`` (default: the system's).
    ``cpus`` are the processors of the workers, where they are to be others than the gateway's.
    """

    def __init__(
        self,
        directories: Sequence[Path | str],
        *,
        size: int = 4,
        limits: EngineLimits | None = None,
        timeout: float = 120.0,
        wait: float = 10.0,
        temporary: Path | str | None = None,
        cpus: frozenset[int] = frozenset(),
    ) -> None:
        self._allowed = tuple(Path(directory).resolve(strict=True) for directory in directories)
        self._temporary = tempfile.TemporaryDirectory(
            prefix="civic-scan-", dir=temporary, ignore_cleanup_errors=True
        )
        self._limits = limits or EngineLimits()
        self._cpus = cpus
        self._size = size
        self._timeout = timeout
        self._wait = wait
        self._files = KnownFiles()
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._places = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._all: set[_Process] = set()
        self._number = 0
        self._closed = False

    def scan(
        self, plan: Plan, source: Source, key: bytes | None = None, *, timeout: float | None = None
    ) -> Scan:
        """Run a plan. Returns once the first batch is there, so what fails early fails here.

        ``key`` is the grant's pseudonym key (``derive_grant_key``), needed when ``plan.needs_key``. Raises
        SourceError (``source.forbidden``, ``source.missing``, ``source.mismatch``, ``source.changed``) or ScanError
        (``scan.failed``, ``scan.timeout``, ``scan.busy``, ``scan.worker-lost``). Of a source with a digest only what
        has this digest is read; a change during the scan ends it with ``source.changed``.
        """
        if plan.needs_key and (key is None or len(key) < 32):
            raise ValueError(
                "this plan makes pseudonyms or shuffles rows: it needs the grant's key of 32 bytes"
            )
        pads = {
            column.name: column_pads(key or b"", column.name)
            for column in plan.columns + plan.looked_at
            if isinstance(column.transform, Pseudonym)
        }
        with self._lock:
            self._number += 1
            number = self._number
        shuffle = shuffle_key(key or b"") if plan.shuffled else b""
        real, file = self._open(source)
        request = ScanRequest(number, plan, replace(source, path=str(real)), pads, shuffle)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        try:
            return Scan(self, self._acquire(), request, deadline, file)
        except BaseException:
            if file is not None:
                file.close()
            raise

    def _open(self, source: Source) -> tuple[Path, CheckedFile | None]:
        if source.sha256 is None:
            return confine(source.path, self._allowed), None
        try:
            real = confine(source.path, self._allowed)
        except SourceForbidden:
            raise SourceChanged("something else stands in the place of the asset's file") from None
        return real, self._files.open(real, source.sha256)

    def warm(self, workers: int | None = None) -> None:
        """Start workers now (all of them by default), so that the first calls find them ready."""
        wanted = self._size if workers is None else min(workers, self._size)
        with ThreadPoolExecutor(max(wanted, 1)) as starters:
            started = [starters.submit(self._acquire) for _ in range(wanted)]
        for start in started:
            if start.exception() is None:
                self._release(start.result(), healthy=True)
        for start in started:
            start.result()

    def process_ids(self) -> tuple[int, ...]:
        """The ids of the live workers."""
        with self._lock:
            return tuple(sorted(p.process.pid for p in self._all if p.alive()))

    def close(self) -> None:
        """End every worker, running scans included."""
        with self._lock:
            self._closed = True
            everyone, self._all = self._all, set()
        for process in everyone:
            process.process.kill()
            process.process.wait()
        self._temporary.cleanup()

    def __enter__(self) -> Scanner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _acquire(self) -> _Process:
        if not self._places.acquire(timeout=self._wait):
            raise ScannerBusy
        try:
            while True:
                try:
                    process = self._idle.get_nowait()
                except queue.Empty:
                    return self._start()
                if process.alive():
                    return process
                self._forget(process)
        except BaseException:
            self._places.release()
            raise

    def _start(self) -> _Process:
        if self._closed:
            raise ScannerBusy("closed")
        settings = WorkerSettings(
            tuple(str(directory) for directory in self._allowed),
            tempfile.mkdtemp(dir=self._temporary.name),
            self._limits,
            self._cpus,
        )
        process = _Process(settings)
        process.wait_ready()
        with self._lock:
            self._all.add(process)
        return process

    def _release(self, process: _Process, *, healthy: bool) -> None:
        if healthy and process.alive() and not self._closed:
            self._idle.put(process)
        else:
            self._forget(process)
        self._places.release()

    def _forget(self, process: _Process) -> None:
        with self._lock:
            self._all.discard(process)
        process.kill()


class Scan(Iterator[pa.RecordBatch]):
    """One running scan: iterate for its batches; use it as a context manager so that it always ends.

    The worker runs ahead of the reader by what the pipe holds, no more. ``schema`` is the Arrow schema of
    every batch; ``summary`` is there once the last batch was read.
    """

    def __init__(
        self,
        scanner: Scanner,
        process: _Process,
        request: ScanRequest,
        deadline: float,
        file: CheckedFile | None,
    ) -> None:
        self._scanner = scanner
        self._file = file
        self._process: _Process | None = process
        self._number = request.number
        self._deadline = deadline
        self._cancelled = threading.Event()
        self._rows = 0
        self.summary: ScanSummary | None = None
        try:
            process.data.send(request)
            if file is not None:
                send_handle(process.data, file.handle, process.process.pid)
        except OSError:
            self._end(healthy=False)
            raise WorkerLost("did not take the request") from None
        # A worker sends at least one batch, if an empty one.
        self._ahead: pa.RecordBatch | None = self._receive()
        self.schema: pa.Schema = self._ahead.schema if self._ahead is not None else pa.schema([])

    def __next__(self) -> pa.RecordBatch:
        if self._cancelled.is_set() and self.summary is None:
            self.close()
            raise ScanCancelled
        batch, self._ahead = self._ahead, None
        if batch is None and self._process is not None:
            batch = self._receive()
        if batch is None:
            raise StopIteration
        return batch

    def cancel(self) -> None:
        """Stop the scan from any thread; its reader gets ScanCancelled. Does nothing once it has ended."""
        self._cancelled.set()
        process = self._process
        if process is not None:
            process.interrupt(self._number)

    def close(self) -> None:
        """End the scan, finished or not, and give the worker back."""
        self._interrupted()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Scan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> pa.RecordBatch | None:
        """The next batch, or None when the scan has ended; raise its error otherwise.

        What was received was read before now: when the file still stands as it was hashed, it was read from that.
        """
        batch: pa.RecordBatch | None = None
        failed: PolicyError | None = None
        try:
            batch = self._message()
        except (ScanError, SourceError) as error:
            failed = error
        try:
            if self._file is not None:
                self._file.must_be_unchanged()
        except SourceChanged:
            self.close()
            raise
        finally:
            if self._process is None and self._file is not None:
                self._file.close()
        if failed is not None:
            raise failed
        return batch

    def _message(self) -> pa.RecordBatch | None:
        process = self._process
        assert process is not None
        try:
            if not process.data.poll(max(0.0, self._deadline - time.monotonic())):
                self._interrupted()
                raise ScanTimeout
            message = process.data.recv_bytes()
            if message[:1] == b"B":
                batch = pa.ipc.open_stream(pa.py_buffer(message)[1:]).read_next_batch()
                self._rows += batch.num_rows
                return batch
            document = json.loads(message[1:])
            summary = ScanSummary(**document) if message[:1] == b"E" else None
            code, cause = str(document.get("code")), str(document.get("cause", ""))
        except (EOFError, OSError, pa.ArrowException, ValueError, TypeError, AttributeError):
            # Gone, or not speaking as a worker does (it reads files that others wrote): out with it.
            self._end(healthy=False)
            raise WorkerLost("ended during a scan") from None
        self._end(healthy=True)
        if self._cancelled.is_set():
            raise ScanCancelled
        if summary is not None and summary.rows == self._rows:
            self.summary = summary
            return None
        if code in _SOURCE_ERRORS:
            kind, text = _SOURCE_ERRORS[code]
            raise kind(text)
        raise ScanError(cause)

    def _interrupted(self) -> None:
        process = self._process
        if process is not None:
            process.interrupt(self._number)
            self._end(healthy=_drain(process.data))

    def _end(self, *, healthy: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._scanner._release(process, healthy=healthy)


def _drain(data: Connection) -> bool:
    """Read a cancelled worker's pipe to the end of its scan; False when it does not stop in time."""
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        while data.poll(max(0.0, deadline - time.monotonic())):
            if data.recv_bytes()[:1] != b"B":
                return True
    except (EOFError, OSError):
        return False
    return False
