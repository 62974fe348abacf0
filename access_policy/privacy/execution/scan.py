"""One running scan as an iterator of Arrow record batches, in a place that it may have to give up."""

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
    GaveWay,
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
"""How long a cancelled worker has to stop before it is killed."""

DRAWING_SECONDS = 5.0
"""How long a scan may hold a worker that somebody waits for who has none."""

TURN_SECONDS = 0.2
"""How long the turn at the pipe of a scan that is to give way is waited for."""

_SOURCE_ERRORS: dict[str, tuple[type[SourceError], str]] = {
    SourceMissing.code: (SourceMissing, "the asset's file is not there"),
    SourceMismatch.code: (SourceMismatch, "the asset's file does not fit its declared schema"),
    PartsDiffer.code: (PartsDiffer, "the parts of the asset's data do not have the same types"),
}


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a finished scan did: rows and batches released, their cells that broke the schema (released as
    null), and the worker's seconds. ``quality`` is the report of a scan that only looked at its file."""

    rows: int
    batches: int
    invalid_cells: int
    seconds: float
    quality: Any = None


@dataclass(frozen=True, slots=True)
class Place:
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
        request: ScanRequest | QualityRequest,
        deadline: float,
        file: CheckedFile | CheckedParts | None,
        place: Place,
    ) -> None:
        self._scanner = scanner
        self._place = place
        self._moving = threading.Lock()  # the place does not change while the scan ends
        self.pace: Pace | None = None
        self._began = time.monotonic()
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
                file.give(lambda handle: send_handle(process.data, handle, process.process.pid))
        except SourceError:
            self._end(healthy=False)  # it waits for the parts that do not come
            raise
        except OSError as refused:
            self._end(healthy=False)
            if refused.errno in OUT_OF_RESOURCES:
                raise
            raise WorkerLost("did not take the request") from None
        # A worker sends at least one batch, if an empty one, of a plan.
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

    @property
    def holder(self) -> str:
        """For whom it runs."""
        return self._place.holder

    def stream(self, pace: Pace) -> None:
        """Go on at the reader's pace, which ``pace`` is told: ScannerBusy when no more scans may, otherwise the place
        among those that others wait for is given back."""
        with self._turn:
            if self._over is not None:
                raise self._over
            if self._process is not None and not self._moved():
                raise ScannerBusy
            self.pace = pace

    def give_way(self, why: GaveWay) -> bool:
        """End the scan at the pace of its reader for somebody else's sake; False when it is being served just now, or when
        nothing has left: what fails before the first byte is not charged."""
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
        """Whether its place is, or now comes to be, one among those at the pace of readers."""
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
            self._watched_drawing()
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

    def _watched_drawing(self) -> None:
        """Let a worker go that is held for long while somebody waits who has none: nothing has been charged yet."""
        scanner = self._scanner
        if (
            time.monotonic() - self._began < DRAWING_SECONDS
            or self._place.places is not scanner._drawing
            or not scanner._drawing.wanted_beside(self.holder)
            or self._moved()
        ):
            return
        with self._moving:  # a worker that was given back is another scan's
            if self._process is not None and self._place.places is scanner._drawing:
                self._over = ScannerBusy()
                self._process.process.kill()  # whoever reads from it finds out

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
    """Read a cancelled worker's pipe to the end of its scan; False when it does not stop in time."""
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        while data.poll(max(0.0, deadline - time.monotonic())):
            if data.recv_bytes()[:1] != b"B":
                return True
    except (EOFError, OSError):
        return False
    return False
