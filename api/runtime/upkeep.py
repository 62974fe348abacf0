"""The upkeep of a running service: openings and files are deleted when they expire, heads are timestamped, and
witnesses are asked again, so that a log without new entries also has recent cosignatures.

No read ever waits for these tasks. A failure is logged when it begins, tried again, and shown in the service's
status until it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.runtime.cosigners import Cosigners
from api.runtime.settings import Home, HomeError, Settings
from api.runtime.stored_files import delete_given_up_files, delete_past_files
from api.runtime.timestamping import service_of
from ledger.audit.formats.errors import AuditError
from ledger.audit.keeping.erasure import FreedPagesRemain, clear_freed_pages
from ledger.audit.keeping.retention import (
    FILES,
    STANDARD,
    Profile,
    expire_openings,
    profile_json,
    read_files,
    read_profile,
)
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.log.writer import GroupCommit
from ledger.audit.outside.timestamps import Stamper, latest_stamp
from ledger.clock import Timekeeper
from ledger.worker import Worker

FILE = "retention.json"

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""The pause before a failed task is tried again, and the longest pause."""

STILL_AFTER_S = 3_600.0
"""The longest time of one round of a task, in seconds: the first one over an old log deletes many entries."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long openings and leaves are kept (``rules``), and the files of versions that are no longer current."""

    rules: Profile = STANDARD
    files: timedelta | None = FILES


def retention_of(home: Home, settings: Settings) -> Retention:
    """The installation's retention profile: CIVIC_RETENTION_FILE, else ``retention.json`` in the home directory,
    else the standard one. Raises `RetentionInvalid` for an invalid one, HomeError if it cannot be read."""
    path = settings.retention_file or home.path / FILE
    if settings.retention_file is None and not path.exists():
        return Retention()
    try:
        body = path.read_bytes()
        return Retention(read_profile(body), read_files(body))
    except OSError as unreadable:
        raise HomeError(
            f"the retention profile {path} cannot be read", hint="check CIVIC_RETENTION_FILE"
        ) from unreadable


def stamper_of(log: LogReader, settings: Settings, cosign: Cosigners) -> Stamper | None:
    """The object that timestamps heads, if a timestamp service is configured; HomeError if its configuration is
    invalid."""
    service = service_of(settings)
    if service is None:
        return None
    post, roots = service
    return Stamper(log, post, roots, every_s=float(settings.timestamp_every_s), cosign=cosign)


class Upkeep:
    """The service's upkeep tasks, each on its own thread."""

    def __init__(
        self,
        log: AuditLog,
        writer: GroupCommit,
        settings: Settings,
        retention: Retention,
        data: Path,
        stamper: Stamper | None,
        time: Timekeeper,
        cosign: Cosigners,
    ) -> None:
        self._log = log
        self._writer = writer
        self._retention = retention
        self._data = data
        self._time = time
        self._pages_remain = False
        self.stamper = stamper
        self._expiry = _periodic("retention", self._expire, settings.retention_every_s)
        self._cosigning = None
        if cosign.keys:
            every_s = settings.cosign_every_s
            self._cosigning = _periodic("cosignatures", lambda: cosign(log.checkpoint()), every_s)
        self._stamping = None
        if stamper is not None:
            self._stamping = _periodic("timestamps", lambda: stamper.step(), settings.timestamp_every_s)
        self._every_s = {
            "retention": settings.retention_every_s,
            "timestamps": settings.timestamp_every_s,
            "cosignatures": settings.cosign_every_s,
        }

    def start(self) -> None:
        """Start all tasks; the first round begins at once."""
        for periodic_task in (self._expiry, self._stamping, self._cosigning):
            if periodic_task is not None:
                periodic_task.start()

    def close(self) -> None:
        """Stop; a running task is completed."""
        for periodic_task in (self._expiry, self._stamping, self._cosigning):
            if periodic_task is not None:
                periodic_task.close(15.0)

    def status(self) -> dict[str, Any]:
        """The public state of the upkeep: the profile, when it was last applied, the newest timestamp, and the
        failures."""
        stamped: dict[str, Any] | None = None
        if self._stamping is not None:
            stamped = self._status(self._stamping)
            try:
                last = latest_stamp(self._log)
            except AuditError as damaged:
                stamped["problem"], last = damaged.code, None
            stamped["newest"] = None if last is None else {"size": last.size, "time": last.time.isoformat()}
        return {
            "retention": self._status(self._expiry)
            | {
                "rules": profile_json(self._retention.rules)["rules"],
                "files_days": _days(self._retention.files),
            },
            "timestamps": stamped,
            "cosignatures": None if self._cosigning is None else self._status(self._cosigning),
        }

    def _status(self, periodic_task: Worker) -> dict[str, Any]:
        return {"every_s": self._every_s[periodic_task.name], **periodic_task.status()}

    def _expire(self) -> None:
        now = self._time.utc()  # An erasure cannot be undone, so it never uses a clock that was set ahead.
        if self._pages_remain:
            clear_freed_pages(self._log.engine)
            self._pages_remain = False
        try:
            expire_openings(self._writer, self._log.engine, self._retention.rules, now=now)
        except FreedPagesRemain:
            self._pages_remain = True
            raise
        delete_past_files(self._writer, self._log.engine, self._data, self._retention.files, now=now)
        delete_given_up_files(self._writer, self._log.engine, self._data, now=now)


def _periodic(name: str, job: Callable[[], object], every_s: int) -> Worker:
    """A job every ``every_s`` seconds, the first at once."""

    def step() -> float:
        job()
        return float(every_s)

    return Worker(
        name,
        step,
        first_pause_s=FIRST_PAUSE_S,
        longest_pause_s=min(float(every_s), LONGEST_PAUSE_S),
        still_after_s=STILL_AFTER_S,
    )


def _days(kept: timedelta | None) -> int | None:
    return None if kept is None else kept.days
