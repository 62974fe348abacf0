"""One scanning process: it reads requests from its gateway, runs plans, and returns Arrow batches.

``access_policy.privacy.execution.scanner`` starts it in a new interpreter with two inherited pipes. The gateway sends pickled
values to the worker. The worker, which parses untrusted files, answers only with tagged bytes: ``B`` an Arrow IPC stream of
one batch, ``E`` a JSON summary, ``X`` a JSON error code.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from access_policy.privacy.execution.engine import EngineLimits, must_be_alike, open_hardened, physical_types
from access_policy.privacy.execution.private_memory import keep_memory_private
from access_policy.privacy.execution.quality import Together, quality_of, together_of
from access_policy.privacy.plan import Plan
from access_policy.privacy.schema import AssetSchema
from access_policy.privacy.source import Source, SourceError, SourceFile, SourceFormat, SourceMissing
from access_policy.privacy.sql import Statement, render_plan
from access_policy.terms.rows import And, Compare
from access_policy.terms.transforms import Keep

BATCH_ROWS = 32_768
FEW_ROWS = 4_096
MOST_PARSED = 256
"""The most cached parsed statements of a worker."""

MOST_TYPES = 4_000
"""The most files whose columns and types a worker caches."""

BESIDE_ENGINE = 4 << 30
"""The bytes that a worker may map in addition to the engine's limit; the system enforces it. A worker uses some 100 MB, but
allocators map more than a gigabyte in advance. This is the last limit if the engine miscounts with a hostile file."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings that a worker receives before its first request. Empty ``cpus`` means the processors of the gateway."""

    directories: tuple[str, ...]
    temporary: str
    limits: EngineLimits
    cpus: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One plan over one source, with the HMAC pads of its pseudonymised columns and the key of a shuffled plan's order
    (kept out of ``repr``)."""

    number: int
    plan: Plan
    source: Source
    pads: dict[str, tuple[bytes, bytes]] = field(repr=False)
    shuffle: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class QualityRequest:
    """A source to compare with its schema; with ``together``, its files are compared with each other."""

    number: int
    source: Source
    together: Together | None = None


class GatewayGone(Exception):
    """The gateway has closed its end of the pipes."""


class Cancelled(Exception):
    """The gateway cancelled this scan; the batches sent so far are not a complete answer."""


class Worker:
    """The loop of one process over its two pipes."""

    def __init__(self, data: Connection, control: Connection) -> None:
        self._data = data
        self._control = control
        settings: WorkerSettings = data.recv()
        most = settings.limits.memory + BESIDE_ENGINE
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (files, files)
        )  # all parts of a table are open at the same time
        self._links = Path(settings.temporary, "sources")
        self._links.mkdir(
            mode=0o700, exist_ok=True
        )  # without parents: the pool may be closed and its directory removed
        self._directories = (*settings.directories, str(self._links))
        self._temporary, self._limits = settings.temporary, settings.limits
        self._engine = self._opened()
        self._types: dict[tuple[str, int, int], dict[str, str]] = {}
        self._parsed: dict[str, duckdb.Statement] = {}
        self._lock = threading.Lock()
        self._running: tuple[int, duckdb.DuckDBPyConnection] | None = None
        self._cancelled: set[int] = set()
        self._data.send_bytes(b"R")

    def serve(self) -> None:
        """Answer requests until the gateway closes the pipes."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            try:
                request: ScanRequest | QualityRequest = self._data.recv()
                digests = [file.sha256 for file in request.source.files if file.sha256]
                opened = [recv_handle(self._data) for _ in digests]
            except EOFError:
                return
            cursor = self._engine.cursor()
            failed = True
            with self._lock:
                self._running = (request.number, cursor)
            try:
                with ExitStack() as stack:
                    for handle in opened:
                        stack.callback(os.close, handle)
                    if opened:
                        request = replace(request, source=self._linked(request.source, opened, stack))
                    if isinstance(request, QualityRequest):
                        self._check(request, cursor)
                    else:
                        self._answer(request, cursor)
                failed = False
            except Cancelled:
                self._report(b"X", {"code": "scan.cancelled"})
            except SourceError as error:
                self._report(b"X", {"code": error.code})
            except (duckdb.Error, pa.ArrowException, OSError, MemoryError, RuntimeError, ValueError) as error:
                # The message is not sent, because the engine's messages contain data values. (The Arrow reader raises the
                # engine's errors as OSError, and C++ errors as RuntimeError or ValueError.)
                self._report(b"X", {"code": "scan.failed", "cause": type(error).__name__})
            finally:
                with self._lock:
                    self._running = None
                    self._cancelled.discard(request.number)
                cursor.close()
                if failed:
                    self._must_be_usable()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        return open_hardened(self._directories, self._temporary, self._limits)

    def _must_be_usable(self) -> None:
        """Replace the engine if it is unusable: after an internal error, which a hostile file can cause, it refuses all
        statements."""
        try:
            self._engine.execute("SELECT 1")
        except duckdb.Error:
            self._parsed.clear()
            self._engine.close()
            self._engine = self._opened()

    def _check(self, request: QualityRequest, cursor: duckdb.DuckDBPyConnection) -> None:
        started = time.perf_counter()
        if request.together is None:
            report = quality_of(request.source, cursor).to_json()
        else:
            report = together_of(request.source, cursor, request.together).to_json()
        nothing_sent = {"rows": 0, "batches": 0, "invalid_cells": 0}
        self._report(b"E", nothing_sent | {"seconds": time.perf_counter() - started, "quality": report})

    def _answer(self, request: ScanRequest, cursor: duckdb.DuckDBPyConnection) -> None:
        started = time.perf_counter()
        source = request.source
        statement = render_plan(
            request.plan,
            source.read_from,
            source.format,
            source.schema,
            self._physical(source, cursor),
            request.pads,
            request.shuffle,
        )
        rows = batches = invalid = 0
        first = True
        with self._run(statement, cursor, expects_few_rows(request.plan, source.schema)) as reader:
            for batch in reader:
                if request.number in self._cancelled:
                    raise Cancelled
                counts = batch.column(batch.num_columns - 1)
                invalid += pc.sum(counts).as_py() or 0
                released = batch.select(list(range(batch.num_columns - 1)))
                if first or released.num_rows:
                    self._send(b"B", _ipc(released))
                    batches += 1
                rows += released.num_rows
                first = False
            if first:
                schema = pa.schema(list(reader.schema)[:-1])
                self._send(b"B", _ipc(pa.RecordBatch.from_pylist([], schema=schema)))
        summary = {"rows": rows, "batches": batches, "invalid_cells": invalid}
        self._report(b"E", summary | {"seconds": time.perf_counter() - started})

    def _run(
        self, statement: Statement, cursor: duckdb.DuckDBPyConnection, few: bool
    ) -> pa.RecordBatchReader:
        """Run a statement. A relation streams its rows, but the engine binds it twice; small results are a third faster without
        a relation, and faster still with a cached parsed statement. The texts contain no values, so there are few of them."""
        if few:
            parsed = self._parsed.get(statement.text)
            if parsed is None:
                if len(self._parsed) >= MOST_PARSED:
                    self._parsed.clear()
                [parsed] = cursor.extract_statements(statement.text)
                self._parsed[statement.text] = parsed
            return cursor.execute(parsed, statement.parameters).to_arrow_reader(BATCH_ROWS)
        return cursor.sql(statement.text, params=statement.parameters).to_arrow_reader(BATCH_ROWS)

    def _linked(self, source: Source, opened: Sequence[int], stack: ExitStack) -> Source:
        """The source with paths of links to the open files that the gateway hashed and sent.

        The name of a link is the digest, so the engine's caches by path are caches by content.
        """
        self._links.mkdir(mode=0o700, exist_ok=True)
        files: list[SourceFile] = []
        for file, handle in zip(source.files, opened, strict=True):
            link = self._links / f"{file.sha256}.{source.format}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"/dev/fd/{handle}")
            stack.callback(link.unlink, missing_ok=True)
            files.append(replace(file, path=str(link)))
        return source.over(files)

    def _physical(self, source: Source, cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """The types of the columns, which are the same in all files."""
        found = [self._types_of(path, source.format, cursor) for path in source.paths]
        must_be_alike(found, source.schema)
        return found[0]

    def _types_of(
        self, path: str, file_format: SourceFormat, cursor: duckdb.DuckDBPyConnection
    ) -> dict[str, str]:
        try:
            stat = os.stat(path)
        except OSError:
            raise SourceMissing("the asset's file is not there") from None
        key = (path, stat.st_mtime_ns, stat.st_size)
        if key not in self._types:
            if len(self._types) > MOST_TYPES:
                self._types.clear()
            self._types[key] = physical_types(cursor, path, file_format)
        return self._types[key]

    def _listen(self) -> None:
        """Cancel the requests that the gateway names, and end the process when the gateway ends, even during a scan."""
        while True:
            try:
                number = int.from_bytes(self._control.recv_bytes(8), "big")
            except (EOFError, OSError):
                os._exit(0)
            with self._lock:
                self._cancelled.add(number)
                if self._running is not None and self._running[0] == number:
                    self._running[1].interrupt()

    def _report(self, tag: bytes, document: dict[str, object]) -> None:
        self._send(tag, json.dumps(document).encode())

    def _send(self, tag: bytes, payload: bytes | memoryview) -> None:
        try:
            self._data.send_bytes(tag + payload)
        except OSError:
            raise GatewayGone from None


def expects_few_rows(plan: Plan, schema: AssetSchema) -> bool:
    """Whether a result is small enough to be held in memory: a short limit, or the rows of one person."""
    if plan.limit is not None and plan.limit <= FEW_ROWS:
        return True
    parts = plan.where.parts if isinstance(plan.where, And) else (plan.where,)
    kept = {column.name for column in plan.columns + plan.looked_at if column.transform == Keep()}
    return any(
        isinstance(part, Compare)
        and part.op == "eq"
        and part.column == schema.person_key
        and part.column in kept
        for part in parts
    )


def _ipc(batch: pa.RecordBatch) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(sink.getvalue())


def main(data_fd: int, control_fd: int) -> None:
    """Serve on two inherited pipes. No core dumps: a worker's memory holds keys and personal data."""
    keep_memory_private()
    sys.excepthook = _name_only
    # The engine warns that a result held in memory is copied once; this is used only where it is faster.
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    os.environ["TZ"] = "UTC"
    time.tzset()
    with suppress(GatewayGone, EOFError):
        Worker(Connection(data_fd), Connection(control_fd)).serve()
    # With a normal exit of the interpreter, the engine would report its types as leaked in the operator's log.
    os._exit(0)


def _name_only(kind: type[BaseException], _error: BaseException, _trace: TracebackType | None) -> None:
    """Print only the kind of an error to the operator's log, because a traceback contains values."""
    print(f"civic scanning process ended by {kind.__name__}", file=sys.stderr)
