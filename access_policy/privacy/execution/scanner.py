"""The pool of scanning processes.

Untrusted files and grantees' predicates are processed only in a worker: a new interpreter with a hardened DuckDB, a memory
limit, and access to the allowed directories only. A worker that ends, hangs or is cancelled gives its own scan one error, and
is replaced.
"""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from access_policy.privacy.execution.checked import CheckedFile, CheckedParts, KnownFiles
from access_policy.privacy.execution.engine import EngineLimits
from access_policy.privacy.execution.pace import preemptible
from access_policy.privacy.execution.places import Places
from access_policy.privacy.execution.process import ScanProcess
from access_policy.privacy.execution.quality import QualityReport, Together
from access_policy.privacy.execution.scan import Place, Scan
from access_policy.privacy.execution.scan_errors import (
    ScanError,
    ScannerBusy,
    WorkerLost,
)
from access_policy.privacy.execution.worker import QualityRequest, ScanRequest, WorkerSettings
from access_policy.privacy.plan import Plan
from access_policy.privacy.pseudonyms import column_pads, shuffle_key
from access_policy.privacy.source import (
    Source,
    SourceChanged,
    SourceForbidden,
    SourceMissing,
    confine,
)
from access_policy.terms.transforms import Pseudonym

WATCH_SECONDS = 0.25
"""The seconds between two checks of the running scans."""

AHEAD_SECONDS = 0.05
"""How often a call that waits for a starting worker checks whether the start failed (seconds)."""

KEPT_SECONDS = 30.0
"""How many seconds surplus workers are kept after one of them became free: a start takes half a second of processor time,
which repeated short streams would otherwise need each time."""


class Scanner:
    """A pool of workers that are started at their first use (or by ``warm``). Thread-safe.

    At most ``size`` scans run at the service's pace, and in addition at most ``streams`` at the pace of their readers
    (`Scan.stream`), so that a slow reader does not hold a worker that others need. One holder has at most all but one of the
    places at the service's pace, and ``stream_share`` of those at readers' pace. Several holders together cannot exclude
    another: every waiting holder gets a place at the service's pace before any holder gets a second one, and a scan longer than
    BUFFERING_SECONDS moves to a place at readers' pace or ends as ``scan.busy``; at readers' pace, a newcomer gets the place of
    `preemptible`. Workers are started when earlier ones move to readers' pace or end, and ``spare`` of them in advance, so
    that calls need not wait for a start.

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
        spare: int = 0,
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
        self._size, self._spare = size, spare
        self._timeout = timeout
        self._wait = wait
        self._files = KnownFiles()
        self._idle: queue.LifoQueue[ScanProcess] = queue.LifoQueue()
        self._buffering = Places(size, max(1, size - 1))
        self._streaming = Places(streams, stream_share)
        self._lock = threading.Lock()
        self._all: set[ScanProcess] = set()
        self._running: set[Scan] = set()
        self._number = 0
        # The number of workers that are being started in advance, and of calls that wait for one of them.
        self._coming = self._awaited = 0
        self._came_free = float("-inf")
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
        """Run a plan for ``holder``. It returns after the first batch, so early failures are raised here.

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
        shuffle = shuffle_key(key or b"") if plan.shuffled else b""
        real, file = self._open(source)
        request = ScanRequest(self._next(), plan, real, pads, shuffle)
        return self._begin(request, file, holder, self._timeout if timeout is None else timeout)

    def check_quality(
        self, source: Source, *, holder: str = "", together: Together | None = None
    ) -> QualityReport:
        """Compare an uploaded file of ``holder`` with its schema, with the limits and errors of a scan.

        With ``together``, each of the files was compared before; now they are checked as one table.
        """
        real, file = self._open(source)
        request = QualityRequest(self._next(), real, together)
        with self._begin(request, file, holder, self._timeout) as scan:
            for _ in scan:
                raise WorkerLost("sent rows of a file that it was to look at")
            assert scan.summary is not None
            try:
                return QualityReport.from_json(scan.summary.quality)
            except (KeyError, TypeError, ValueError):
                raise WorkerLost("did not say what the file is like") from None

    def _next(self) -> int:
        """The number of the next request; starts the watchdog if necessary."""
        with self._lock:
            self._number += 1
            if self._watchdog is None:
                self._watchdog = threading.Thread(target=self._watch, name="scan-watchdog", daemon=True)
                self._watchdog.start()
            return self._number

    def _begin(
        self,
        request: ScanRequest | QualityRequest,
        file: CheckedFile | CheckedParts | None,
        holder: str,
        timeout: float,
    ) -> Scan:
        try:
            process = self._acquire(holder)
            deadline = time.monotonic() + timeout
            return Scan(self, process, request, deadline, file, Place(self._buffering, holder))
        except BaseException:
            if file is not None:
                file.close()
            raise

    def _open(self, source: Source) -> tuple[Source, CheckedFile | CheckedParts | None]:
        """The source with its real paths, and the open files or stamps that are checked during the scan."""
        digests = [file.sha256 for file in source.files if file.sha256 is not None]
        if len(digests) not in (0, len(source.files)):
            raise ValueError("the digests of all files are known, or of none")
        try:
            real = [confine(path, self._allowed) for path in source.paths]
        except SourceForbidden:
            if not digests:
                raise
            raise SourceChanged("something else stands in the place of the asset's file") from None
        except SourceMissing:
            if not source.further:
                raise
            raise SourceChanged("a part of the asset's data is not there") from None
        checked: CheckedFile | CheckedParts | None = None
        if source.further and digests:
            checked = CheckedParts(self._files, list(zip(real, digests, strict=True)))
        elif digests:
            checked = self._files.open(real[0], digests[0])
        files = [replace(file, path=str(path)) for file, path in zip(source.files, real, strict=True)]
        return source.over(files), checked

    def warm(self, workers: int | None = None) -> None:
        """Start workers now (all of them by default), so that the first calls need not wait for a start."""
        wanted = self._size if workers is None else min(workers, self._size)
        with ThreadPoolExecutor(max(wanted, 1)) as starters:
            started = [starters.submit(self._acquire, "") for _ in range(wanted)]
        for start in started:
            if start.exception() is None:
                self._release(start.result(), Place(self._buffering, ""), healthy=True)
        for start in started:
            start.result()
        if self._spare:
            self._look_ahead()

    def process_ids(self) -> tuple[int, ...]:
        """The ids of the live workers."""
        with self._lock:
            return tuple(sorted(p.process.pid for p in self._all if p.alive()))

    @property
    def busy(self) -> int:
        """How many scans run now."""
        with self._lock:
            return len(self._running)

    def close(self) -> None:
        """End all workers and running scans."""
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
        """Check the time limits of running scans until the pool is closed."""
        while not self._closed.wait(WATCH_SECONDS):
            with self._lock:
                running = tuple(self._running)
            for scan in running:
                scan._watched()
            self._end_kept()

    def _end_kept(self) -> None:
        if time.monotonic() - self._came_free < KEPT_SECONDS:
            return
        while self._idle.qsize() > self._size + self._spare:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return
            self._forget(process)

    def _acquire(self, holder: str) -> ScanProcess:
        if not self._buffering.take(holder, self._wait):
            raise ScannerBusy
        try:
            while True:
                process = self._free()
                if process is None:
                    return self._start()
                if process.alive():
                    return process
                self._forget(process)
        except BaseException:
            self._buffering.give(holder)
            raise

    def _free(self) -> ScanProcess | None:
        """A free worker, or one that is being started and that no other call waits for; None otherwise."""
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            with self._lock:
                if self._coming <= self._awaited:
                    return None
                self._awaited += 1
        try:
            while self._coming:
                try:
                    return self._idle.get(timeout=AHEAD_SECONDS)
                except queue.Empty:
                    continue
            return None
        finally:
            with self._lock:
                self._awaited -= 1

    def _stream_place(self, holder: str) -> bool:
        """Take a place at readers' pace for this holder; if none is free, another scan may be ended for it."""
        if self._streaming.take(holder):
            return True
        if self._streaming.has_share(holder):
            return False
        with self._lock:
            running = tuple(self._running)
        for other, why in preemptible(running, holder):
            if other.preempt(why) and self._streaming.take(holder):
                return True
        return False

    def _look_ahead(self) -> None:
        """Start the workers that the next calls need, one after the other, on a separate thread."""
        with self._lock:
            ready = self._idle.qsize() + self._coming
            short = self._buffering.free + self._spare - ready
            if short <= 0 or self._closed.is_set():
                return
            self._coming += short
        threading.Thread(target=self._start_ahead, args=(short,), name="scan-spare", daemon=True).start()

    def _start_ahead(self, workers: int) -> None:
        for _ in range(workers):
            try:
                self._put_back(self._start(), healthy=True)
            except (ScanError, OSError):
                pass  # the call that needs the worker starts it and gets the error
            finally:
                with self._lock:
                    self._coming -= 1

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
        with self._lock:
            closed = self._closed.is_set()
            if not closed:
                self._all.add(process)  # before it is ready, so that closing the pool ends it too
        try:
            if not closed:
                process.wait_ready()
                return process
        except WorkerLost:
            with self._lock:
                self._all.discard(process)
            if not self._closed.is_set():
                raise
        process.kill()
        raise ScannerBusy("closed")

    def _release(self, process: ScanProcess, place: Place, *, healthy: bool) -> None:
        self._put_back(process, healthy=healthy)
        place.give()
        if not healthy:
            self._look_ahead()

    def _put_back(self, process: ScanProcess, *, healthy: bool) -> None:
        if healthy and process.alive() and not self._closed.is_set():
            self._came_free = time.monotonic()
            self._idle.put(process)
        else:
            self._forget(process)

    def _forget(self, process: ScanProcess) -> None:
        with self._lock:
            self._all.discard(process)
        process.kill()
