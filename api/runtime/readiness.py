"""Whether the service can decide calls and log them now, for a load balancer.

The reasons are those for which calls are refused (`Withholding`), and the outcome of three attempts: an empty batch of the
log, a file on each disk, and the newest block. Nothing that is found is described beyond its code.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from api.runtime.asked_once import AskedOnce
from api.runtime.cosigners import Cosigners
from api.runtime.marks import mark_file
from api.runtime.newest_block import NewestBlock
from api.runtime.settings import Home, Settings
from api.runtime.status import ServiceStatus
from api.runtime.withholding import Withholding
from ledger.audit.formats.errors import LogUnavailable
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.errors import ChainUnreachable
from ledger.errors import LedgerError
from ledger.failures import ResourcesSpent, failure_code
from ledger.store.engine import StoreUnavailable
from ledger.worker import StandsStill

WITHIN_S = 0.8
"""How long the attempts are waited for, all together, in seconds. Kubernetes gives up after one second."""

KEPT_S = 0.5
"""How long a report is given to later callers too, in seconds: many probes cost no more than two a second."""

PROBE = b"\0" * 4096
"""What is written to a disk to see whether it takes data, and removed."""


class Finding(NamedTuple):
    """A fault: the part of the service, and the stable code."""

    part: str
    code: str

    def to_json(self) -> dict[str, str]:
        return {"part": self.part, "code": self.code}


@dataclass(frozen=True, slots=True)
class Report:
    """``reasons``: why calls cannot be decided or logged now. ``warnings``: faults in spite of which they can."""

    reasons: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "reasons": [one.to_json() for one in self.reasons],
            "warnings": [one.to_json() for one in self.warnings],
        }


class Readiness:
    """Makes the report. ``disks`` are the folders in which the service must be able to write, by
    name. Thread-safe."""

    def __init__(
        self,
        status: ServiceStatus,
        withholding: Withholding,
        newest_block: NewestBlock,
        writer: GroupCommit,
        cosign: Cosigners,
        disks: Mapping[str, Path],
    ) -> None:
        self.disks = disks
        self._status = status
        self._withholding = withholding
        self._cosign = cosign
        self._log = AskedOnce("ready-log", partial(_must_commit, writer))
        self._disk = AskedOnce("ready-disk", partial(_must_take_data, tuple(disks.values())))
        self._block = newest_block.query
        self._lock = threading.Lock()
        self._last: tuple[float, Report] | None = None

    def report(self) -> Report:
        """The present report, at most `KEPT_S` old. Takes at most `WITHIN_S`, whatever hangs."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > KEPT_S:
                report = self._report()
                self._last = time.monotonic(), report
            return self._last[1]

    def _report(self) -> Report:
        attempts = (
            ("log", self._log.begin(), StoreUnavailable.code),
            ("disk", self._disk.begin(), ResourcesSpent.code),
            ("chain", self._block.begin(), ChainUnreachable.code),
        )
        until = time.monotonic() + WITHIN_S
        reasons = [Finding(part, withheld.code) for part, withheld in self._withholding.reasons()]
        warnings: list[Finding] = []
        for part, answer, if_late in attempts:
            if (code := _failed(answer, until, if_late)) is not None:
                _add(reasons, Finding("database" if code.startswith("store.") else part, code))
        for part, problem in self._status.work().items():
            if problem == StandsStill.code:
                reasons.append(Finding(part, problem))
            elif problem is not None:
                _add(reasons if part == "chain" else warnings, Finding(part, problem))
        for witness in self._cosign.status():
            if witness["problem"] is not None:
                _add(warnings, Finding("witnesses", witness["problem"]))
        known = {one.code for one in reasons}
        return Report(tuple(reasons), tuple(one for one in warnings if one.code not in known))


def _add(findings: list[Finding], finding: Finding) -> None:
    """Add a finding whose code is not named yet: several parts can see one fault."""
    if finding.code not in {one.code for one in findings}:
        findings.append(finding)


def _failed(answer: Future[Any], until: float, if_late: str) -> str | None:
    """The code with which an attempt failed, ``if_late`` if it is not over in time; None after a success."""
    try:
        answer.result(max(0.0, until - time.monotonic()))
    except FutureTimeout:
        return if_late
    except LogUnavailable as failed:
        return failure_code(failed.__cause__ or failed)
    except OSError:
        return ResourcesSpent.code
    except (LedgerError, SQLAlchemyError) as failed:
        return failure_code(failed)
    return None


def _must_commit(writer: GroupCommit) -> None:
    """Commit a batch without entries: the log is locked, its head verified, and every guard of the writer asked."""
    writer.submit(lambda _: JobResult(None)).result()


def _must_take_data(disks: Sequence[Path]) -> None:
    """Write a file in each folder, and remove it; OSError if a disk is full, read-only or gone."""
    for disk in disks:
        with tempfile.TemporaryFile(dir=disk, buffering=0) as file:
            file.write(PROBE)
            os.fsync(file.fileno())


def disks_of(home: Home, settings: Settings) -> dict[str, Path]:
    """The folders of an installation in which the service writes, one for each disk, by their names: ``home``,
    ``high-water``, and ``database`` for an SQLite file elsewhere."""
    folders = {"home": home.temporary, "high-water": mark_file(home, settings).parent}
    database = make_url(settings.database_url or home.database_url)
    if database.get_backend_name() == "sqlite" and database.database:
        folders["database"] = Path(database.database).parent
    by_disk = {
        folder.stat().st_dev: (name, folder) for name, folder in reversed(folders.items()) if folder.is_dir()
    }
    return dict(reversed(by_disk.values()))
