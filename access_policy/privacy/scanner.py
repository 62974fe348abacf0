"""The pool of scanning processes, and one scan as an iterator of Arrow record batches.

Untrusted files and grantees' predicates meet only inside a worker: a fresh interpreter with a hardened
DuckDB, a memory limit and no way to name a file outside the allowed directories. A worker that dies, hangs
or is cancelled costs its own scan one clean error, and is replaced.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from access_policy.errors import PolicyError
from access_policy.privacy.checked import CheckedFile, KnownFiles
from access_policy.privacy.engine import EngineLimits
from access_policy.privacy.places import Places
from access_policy.privacy.plan import Plan
from access_policy.privacy.process import ScanProcess
from access_policy.privacy.pseudonyms import column_pads, shuffle_key
from access_policy.privacy.scan_errors import ScanCancelled, ScanError, ScannerBusy, ScanTimeout, WorkerLost
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

GRACE_SECONDS = 2.0
"""How long a cancelled worker has to stop before it is killed."""

WATCH_SECONDS = 0.25
"""How often the watchdog looks at the running scans."""

_SOURCE_ERRORS: dict[str, tuple[type[SourceError], str]] = {
    SourceMissing.code: (SourceMissing, "the asset's file is not there"),
    SourceMismatch.code: (SourceMismatch, "the asset's file does not fit its declared schema"),
}


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a finished scan did: rows and batches released, their cells that broke the schema (released as
    null), and the worker's seconds."""

    rows: int
    batches: int
    invalid_cells: int
    seconds: float


class Scanner:
    """A pool of workers, started when first needed (or by ``warm``). Thread-safe.

    At most ``size`` scans run at the service's pace, and beside them at most ``streams`` at the pace of their readers
    (`Scan.stream`): a reader who takes nothing never holds a worker that others wait for. One holder has at most all
    but one of the first, and ``stream_share`` of the second.

    ``directories`` are the only places a source may lie. ``timeout`` bounds one scan from its first byte to
    its last; a watchdog ends it then, also when its reader never comes back. ``wait`` bounds waiting for a free worker;
    both in seconds. Sorts that outgrow the memory limit spill into private directories under ``temporary`` (default:
    the system's). ``cpus`` are the processors of the workers, where they are to be others than the gateway's.
    """

    def __init__(
        self,
        directories: Sequence[Path | str],
        *,
        size: int = 4,
        streams: int = 4,
        stream_share: int = 2,
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
        self._idle: queue.LifoQueue[ScanProcess] = queue.LifoQueue()
        self._drawing = Places(size, max(1, size - 1))
        self._streaming = Places(streams, stream_share)
        self._lock = threading.Lock()
        self._all: set[ScanProcess] = set()
        self._running: set[Scan] = set()
        self._number = 0
        self._closed = threading.Event()
        self._watchdog: threading.Thread | None = None

    def scan(
        self,
        plan: Plan,
        source: Source,
        key: bytes | None = None,
        *,
        timeout: float | None = None,
        holder: str = "",
    ) -> Scan:
        """Run a plan for ``holder``. Returns once the first batch is there, so what fails early fails here.

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
            if self._watchdog is None:
                self._watchdog = threading.Thread(target=self._watch, name="scan-watchdog", daemon=True)
                self._watchdog.start()
        shuffle = shuffle_key(key or b"") if plan.shuffled else b""
        real, file = self._open(source)
        request = ScanRequest(number, plan, replace(source, path=str(real)), pads, shuffle)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        try:
            process = self._acquire(holder)
            return Scan(self, process, request, deadline, file, _Place(self._drawing, holder))
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
            started = [starters.submit(self._acquire, "") for _ in range(wanted)]
        for start in started:
            if start.exception() is None:
                self._release(start.result(), _Place(self._drawing, ""), healthy=True)
        for start in started:
            start.result()

    def process_ids(self) -> tuple[int, ...]:
        """The ids of the live workers."""
        with self._lock:
            return tuple(sorted(p.process.pid for p in self._all if p.alive()))

    def close(self) -> None:
        """End every worker, running scans included."""
        self._closed.set()
        with self._lock:
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

    def _watch(self) -> None:
        """Look after the scans whose readers do not."""
        while not self._closed.wait(WATCH_SECONDS):
            with self._lock:
                running = tuple(self._running)
            for scan in running:
                scan._watched()

    def _acquire(self, holder: str) -> ScanProcess:
        if not self._drawing.take(holder, self._wait):
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
            self._drawing.give(holder)
            raise

    def _spare(self) -> None:
        """Start the worker that the next call needs, in place of one that goes on at its reader's pace."""
        try:
            process = self._start()
        except ScanError:
            return  # Whoever needs it starts it, and is told.
        self._put_back(process, healthy=True)

    def _start(self) -> ScanProcess:
        if self._closed.is_set():
            raise ScannerBusy("closed")
        settings = WorkerSettings(
            tuple(str(directory) for directory in self._allowed),
            tempfile.mkdtemp(dir=self._temporary.name),
            self._limits,
            self._cpus,
        )
        process = ScanProcess(settings)
        process.wait_ready()
        with self._lock:
            self._all.add(process)
        return process

    def _release(self, process: ScanProcess, place: _Place, *, healthy: bool) -> None:
        self._put_back(process, healthy=healthy)
        place.give()

    def _put_back(self, process: ScanProcess, *, healthy: bool) -> None:
        spare = self._idle.qsize() < self._size
        if healthy and spare and process.alive() and not self._closed.is_set():
            self._idle.put(process)
        else:
            self._forget(process)

    def _forget(self, process: ScanProcess) -> None:
        with self._lock:
            self._all.discard(process)
        process.kill()


@dataclass(frozen=True, slots=True)
class _Place:
    """A place that is held, and by whom."""

    places: Places
    holder: str

    def give(self) -> None:
        self.places.give(self.holder)


class Scan(Iterator[pa.RecordBatch]):
    """One running scan: iterate for its batches; use it as a context manager so that it always ends.

    The worker runs ahead of the reader by what the pipe holds, no more. ``schema`` is the Arrow schema of
    every batch; ``summary`` is there once the last batch was read.
    """

    def __init__(
        self,
        scanner: Scanner,
        process: ScanProcess,
        request: ScanRequest,
        deadline: float,
        file: CheckedFile | None,
        place: _Place,
    ) -> None:
        self._scanner = scanner
        self._place = place
        self._turn = threading.RLock()  # whose turn it is at the pipe: the reader's or the watchdog's
        self._over: ScanError | None = None
        self._file = file
        self._process: ScanProcess | None = process
        self._number = request.number
        self._deadline = deadline
        self._cancelled = threading.Event()
        self._rows = 0
        self.summary: ScanSummary | None = None
        with scanner._lock:
            scanner._running.add(self)
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
        if self._over is not None:
            raise self._over
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

    def stream(self) -> None:
        """Go on at the reader's pace: ScannerBusy when no more scans may, otherwise the place among those that others
        wait for is given back."""
        with self._turn:
            if self._process is None:
                return
            scanner, held = self._scanner, self._place
            if not scanner._streaming.take(held.holder):
                raise ScannerBusy
            self._place = _Place(scanner._streaming, held.holder)
            held.give()
        threading.Thread(target=scanner._spare, name="scan-spare", daemon=True).start()

    def close(self) -> None:
        """End the scan, finished or not, and give the worker back."""
        with self._turn:
            self._interrupted()
            if self._file is not None:
                self._file.close()

    def _watched(self) -> None:
        """End the scan when its time is over: at once when its reader does something else, and by the worker's death
        when the reader waits for the rest of a message."""
        late = time.monotonic() - self._deadline
        if late < 0:
            return
        if self._turn.acquire(blocking=False):
            try:
                if self._process is not None:
                    self._over = ScanTimeout()
                    self.close()
            finally:
                self._turn.release()
        elif late > 2 * GRACE_SECONDS and (process := self._process) is not None:
            process.process.kill()

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
        with self._turn:
            if self._over is not None:
                raise self._over
            return self._received()

    def _received(self) -> pa.RecordBatch | None:
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
            with self._scanner._lock:
                self._scanner._running.discard(self)
            self._scanner._release(process, self._place, healthy=healthy)


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
