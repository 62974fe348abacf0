"""One running scan as an iterator of Arrow record batches. It holds a place, which it may have to give up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from access_policy.errors import PolicyError
from access_policy.privacy.execution.checked import OUT_OF_RESOURCES, CheckedFile, CheckedParts
from access_policy.privacy.execution.pace import Pace
from access_policy.privacy.execution.places import Places
from access_policy.privacy.execution.process import ScanProcess
from access_policy.privacy.execution.scan_errors import (
    Preempted,
    ScanCancelled,
    ScanError,
    ScannerBusy,
    ScanTimeout,
    WorkerLost,
)
from access_policy.privacy.execution.worker import QualityRequest, ScanRequest
from access_policy.privacy.source import (
    PartsDiffer,
    SourceChanged,
    SourceError,
    SourceMismatch,
    SourceMissing,
)

if TYPE_CHECKING:
    from access_policy.privacy.execution.scanner import Scanner

GRACE_SECONDS = 2.0
"""How many seconds a cancelled worker has to stop before it is killed."""

BUFFERING_SECONDS = 5.0
"""How many seconds a scan may hold a worker while a holder without one is waiting."""

TURN_SECONDS = 0.2
"""How many seconds `preempt` waits for the lock of the scan's pipe."""

_SOURCE_ERRORS: dict[str, tuple[type[SourceError], str]] = {
    SourceMissing.code: (SourceMissing, "the asset's file is not there"),
    SourceMismatch.code: (SourceMismatch, "the asset's file does not fit its declared schema"),
    PartsDiffer.code: (PartsDiffer, "the parts of the asset's data do not have the same types"),
}


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """The result of a finished scan: rows and batches released, invalid cells (released as null), and the worker's seconds.
    ``quality`` is the report of a quality check."""

    rows: int
    batches: int
    invalid_cells: int
    seconds: float
    quality: Any = None


@dataclass(frozen=True, slots=True)
class Place:
    """A held place with its holder."""

    places: Places
    holder: str

    def give(self) -> None:
        self.places.give(self.holder)


class Scan(Iterator[pa.RecordBatch]):
    """One running scan: iterate over its batches, and use it as a context manager so that it always ends.

    The worker is ahead of the reader by at most the content of the pipe. ``schema`` is the Arrow schema of all batches;
    ``summary`` is set after the last batch was read.
    """

    def __init__(
        self,
        scanner: Scanner,
        process: ScanProcess,
        request: ScanRequest | QualityRequest,
        deadline: float,
        file: CheckedFile | CheckedParts | None,
        place: Place,
    ) -> None:
        self._scanner = scanner
        self._place = place
        self._moving = threading.Lock()  # prevents a change of the place while the scan ends
        self.pace: Pace | None = None
        self._began = time.monotonic()
        self._turn = threading.RLock()  # the lock of the pipe, for the reader and the watchdog
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
                file.give(lambda handle: send_handle(process.data, handle, process.process.pid))
        except SourceError:
            self._end(healthy=False)  # the worker waits for parts that were not sent
            raise
        except OSError as refused:
            self._end(healthy=False)
            if refused.errno in OUT_OF_RESOURCES:
                raise
            raise WorkerLost("did not take the request") from None
        # For a plan, a worker sends at least one batch, which may be empty.
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
        """Stop the scan, from any thread; its reader gets ScanCancelled. After the end this does nothing."""
        self._cancelled.set()
        process = self._process
        if process is not None:
            process.interrupt(self._number)

    @property
    def holder(self) -> str:
        """The holder for whom the scan runs."""
        return self._place.holder

    def stream(self, pace: Pace) -> None:
        """Continue at the reader's pace, which ``pace`` measures, and return the place at the service's pace. Raises
        ScannerBusy when no place at readers' pace is available."""
        with self._turn:
            if self._over is not None:
                raise self._over
            if self._process is not None and not self._moved():
                raise ScannerBusy
            self.pace = pace

    def preempt(self, why: Preempted) -> bool:
        """End the scan at its reader's pace for another caller. False when it is being served now, or when no byte was sent
        yet, because a failure before the first byte would not be charged."""
        if not self._turn.acquire(timeout=TURN_SECONDS):
            return False
        try:
            if self._process is None or self.pace is None or not self.pace.begun:
                return False
            self._over = why
            self.close()
        finally:
            self._turn.release()
        self.pace.end(why)
        return True

    def _moved(self) -> bool:
        """Move the scan to a place at readers' pace; returns whether it has one."""
        scanner = self._scanner
        with self._moving:
            held = self._place
            if self._process is None or held.places is scanner._streaming:
                return True
            if self._over is not None or not scanner._stream_place(held.holder):
                return False
            self._place = Place(scanner._streaming, held.holder)
            held.give()
        scanner._look_ahead()
        return True

    def close(self) -> None:
        """End the scan, finished or not, and return the worker."""
        with self._turn:
            self._interrupted()
            if self._file is not None:
                self._file.close()

    def _watched(self) -> None:
        """End the scan after its time limit: directly if the reader is not using the pipe, otherwise by killing the worker."""
        late = time.monotonic() - self._deadline
        if late < 0:
            self._watched_buffering()
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

    def _watched_buffering(self) -> None:
        """Release a worker that was held for too long while a holder without one waits; nothing was charged yet."""
        scanner = self._scanner
        if (
            time.monotonic() - self._began < BUFFERING_SECONDS
            or self._place.places is not scanner._buffering
            or not scanner._buffering.wanted_beside(self.holder)
            or self._moved()
        ):
            return
        with self._moving:  # a returned worker may run another scan
            if self._process is not None and self._place.places is scanner._buffering:
                self._over = ScannerBusy()
                self._process.process.kill()  # the reader of its pipe detects it

    def __enter__(self) -> Scan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> pa.RecordBatch | None:
        """The next batch, or None at the end; raises the error of the scan.

        The file is checked after receiving: if it is unchanged since it was hashed, the batch was read from the signed file.
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
            # The worker has ended or sends invalid messages (it reads untrusted files), so it is removed.
            self._end(healthy=False)
            raise self._over or WorkerLost("ended during a scan") from None
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
        with self._moving:
            process, self._process = self._process, None
        if process is not None:
            with self._scanner._lock:
                self._scanner._running.discard(self)
            self._scanner._release(process, self._place, healthy=healthy)


def _drain(data: Connection) -> bool:
    """Read the pipe of a cancelled worker to the end of its scan; False when it does not stop in time."""
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        while data.poll(max(0.0, deadline - time.monotonic())):
            if data.recv_bytes()[:1] != b"B":
                return True
    except (EOFError, OSError):
        return False
    return False
