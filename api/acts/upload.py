"""Receives the data of an asset: the file, or one of the parts, whose SHA-256 the steward signed."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedWriter
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from access_policy.privacy.execution.quality import QualityReport, Together
from access_policy.privacy.execution.scan_errors import ScanError, ScannerBusy
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.source import Source, SourceChanged
from api.acts.expected_files import ExpectedFile, ExpectedFiles
from api.calls.evidence import Evidence, commit_to, entry_about
from api.runtime.commits import Commits
from api.runtime.errors import SOON_S, RefusedError
from api.runtime.next_versions import GIVEN_UP
from api.runtime.signed_call import SignedCall
from api.runtime.stored_files import INCOMING, intact, keep_spellings, put_in_place
from languages.texts import in_both
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.openings import commit
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper
from ledger.ids import asset_text
from ledger.outbox import Relayer, find
from ledger.outbox.store import file_came

_log = logging.getLogger(__name__)


async def receive_file(
    data: Path, expected: ExpectedFile, chunks: AsyncIterator[bytes], run: Callable[..., Awaitable[None]]
) -> Path:
    """Stream the body to a temporary file in the directory ``data``, at most the signed size; returns its path. The
    caller removes or moves it. ``run`` does work in a thread.

    RefusedError ``digest.mismatch`` if the body is not the file that was signed.
    """
    await run(partial(data.mkdir, exist_ok=True))
    path = data / f"{INCOMING}{uuid4().hex}"
    sha, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > expected.size:
                    break
                await run(_take, chunk, file, sha)
            await run(_to_disk, file)
        if size != expected.size or sha.hexdigest() != expected.sha256:
            raise RefusedError(
                "digest.mismatch", in_both("the body that arrived is not the one that was signed")
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _take(chunk: bytes, file: BufferedWriter, sha: hashlib._Hash) -> None:
    sha.update(chunk)
    file.write(chunk)


def _to_disk(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Uploads:
    """Checks, stores and logs a received file."""

    files: ExpectedFiles
    scanner: Scanner
    commits: Commits
    relayer: Relayer
    clock: Timekeeper

    def keep(self, call: SignedCall, asset: str, path: Path, expected: ExpectedFile) -> dict[str, Any]:
        """Move a received file to its place, with its entry in the log; RefusedError if it is no longer expected."""
        if self.files.expected(call, asset, expected.size) != expected:
            raise RefusedError(
                "source.mismatch", in_both("another version was recorded while the file arrived")
            )
        received_file = Source(str(path), expected.signed.format, expected.signed.schema)
        quality = self._quality(received_file, str(call.department))
        if not quality.whole:
            detail = "the file lacks columns of the schema, or has lines of another shape"
            raise RefusedError("source.unreadable", detail, quality.to_json())
        with _one_at_a_time(expected.asset):
            return self._kept(call, path, expected, quality)

    def _kept(
        self, call: SignedCall, path: Path, expected: ExpectedFile, quality: QualityReport
    ) -> dict[str, Any]:
        """Compare the file with the other parts of its table, move it to its place, and log it; with the last part
        the act is sent to the chain. No other file of the asset is processed meanwhile."""
        complete, damaged = expected.completes, frozenset[Path]()
        if expected.signed.further:
            quality, damaged = self._fits_others(call, expected, path, complete, quality)
            complete = complete and not damaged
        put_in_place(path, expected.place, expected.sha256)
        if complete:
            keep_spellings(expected.files.spellings, quality.spellings)
        opening = commit(
            "source",
            {
                "sha256": expected.sha256,
                "bytes": expected.size,
                "rows": quality.rows,
                "defects": sum(count for _, _, count in quality.counts),
            },
        )
        event = Event(
            id=new_event_id(),
            type="department:source:received",
            time=self.clock.utc(),
            department=call.department,
            service=call.key_id,
            asset=asset_text(expected.asset),
            commitments={opening.name: opening.digest},
            facts={"version": expected.version, "metadata": expected.metadata_hash},
        )
        about = commit_to(call)

        def received(connection: Connection) -> JobResult[None]:
            if expected.act is not None:
                _release_act(connection, expected.act, complete)
            return JobResult(None, [entry_about(event, about, opening)])

        done = self.commits.commit_call(call, received)
        if expected.act is not None:
            self.relayer.notify()
        return {
            "asset": asset_text(expected.asset),
            "version": expected.version,
            **({} if expected.act is None else {"act": expected.act}),
            "sha256": expected.sha256,
            "bytes": expected.size,
            **({"missing": len(damaged.union(expected.files.unfit()))} if expected.signed.further else {}),
            "quality": quality.to_json(),
            **Evidence(done.receipts[0], about).members(),
        }

    def _fits_others(
        self,
        call: SignedCall,
        expected: ExpectedFile,
        path: Path,
        complete: bool,
        quality: QualityReport,
    ) -> tuple[QualityReport, frozenset[Path]]:
        """The report of a part, with the spellings of the whole table if it is complete, and the other parts that
        differ from what was signed. Those are skipped, since each must be handed in again, one after the other.
        RefusedError if its columns are not those of the other parts."""
        together: Together = "spellings" if complete else "types"
        source, damaged = expected.with_it(path), frozenset[Path]()
        try:
            found = self._quality(source, str(call.department), together)
        except SourceChanged:
            sound = [file for file in source.files if file.sha256 and intact(Path(file.path), file.sha256)]
            damaged = frozenset(Path(file.path) for file in source.files if file not in sound)
            if not damaged or not sound:
                raise
            complete = False
            found = self._quality(source.over(sound), str(call.department), "types")
        if not found.whole:
            detail = "declared columns do not have the same type in every part, or are missing in one"
            raise RefusedError("parts.types", detail, found.to_json())
        return replace(quality, spellings=found.spellings) if complete else quality, damaged

    def _quality(self, source: Source, holder: str, together: Together | None = None) -> QualityReport:
        """The quality report of the file, made by a scanning process: the service itself does not parse files of
        others."""
        try:
            return self.scanner.check_quality(source, holder=holder, together=together)
        except ScannerBusy as busy:
            raise RefusedError(
                busy.code,
                in_both("every scanning process is busy; the file was not kept"),
                retry_after_s=SOON_S,
            ) from busy
        except ScanError as failed:
            _log.warning(
                "a file of department %s could not be checked: %s %s", holder, failed.code, failed.cause
            )
            raise RefusedError("source.unchecked", f"{failed}; the file was not kept") from failed


@contextmanager
def _one_at_a_time(asset: int) -> Iterator[None]:
    """Files of one asset are processed one after the other: each is compared with those before it."""
    with _placing.setdefault(asset, threading.Lock()):
        yield


_placing: dict[int, threading.Lock] = {}
"""One lock for each asset with an upload: a slow check of one asset delays no other."""


def _release_act(connection: Connection, act: str, complete: bool) -> None:
    """Let the outbox send the act that named this file when all its files are stored; RefusedError if the act has
    failed meanwhile."""
    if complete and file_came(connection, act):
        return
    record = find(connection, act)
    if record is None or record.state in GIVEN_UP:
        code = "act.refused" if record is not None and record.state == "failed" else "act.expired"
        raise RefusedError(
            code, in_both("the act that names this file came to nothing while the file arrived")
        )
