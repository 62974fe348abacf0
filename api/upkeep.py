"""What a running service does by itself: openings and files go when their time is over, heads are timestamped, and
witnesses are asked anew, so that a quiet log too has young cosignatures.

None of it ever stands in the way of a read. What fails is logged when it begins to fail, tried again, and shown in the
service's status until it works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from api.settings import Home, HomeError, Settings
from api.stored_files import delete_past_files
from api.timestamping import service_of
from api.witness import Cosigners
from ledger.audit.erasure import FreedPagesRemain, clear_freed_pages
from ledger.audit.errors import AuditError
from ledger.audit.log import AuditLog
from ledger.audit.reading import LogReader
from ledger.audit.retention import (
    FILES,
    STANDARD,
    Profile,
    expire_openings,
    profile_json,
    read_files,
    read_profile,
)
from ledger.audit.timestamps import Stamper, latest_stamp
from ledger.audit.writer import GroupCommit
from ledger.clock import Timekeeper
from ledger.store.engine import StoreUnavailable

RETRY_S = 60.0
FILE = "retention.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long openings and leaves are kept (``rules``), and the files of versions that are no longer current."""

    rules: Profile = STANDARD
    files: timedelta | None = FILES


def retention_of(home: Home, settings: Settings) -> Retention:
    """The installation's retention profile: CIVIC_RETENTION_FILE, else ``retention.json`` in the home directory, else
    the standard one. Raises `RetentionInvalid` for a bad one, HomeError when it cannot be read."""
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
    """What stamps heads, where a timestamp service is configured; HomeError when it is configured badly."""
    service = service_of(settings)
    if service is None:
        return None
    post, roots = service
    return Stamper(log, post, roots, every_s=float(settings.timestamp_every_s), cosign=cosign)


class Upkeep:
    """The service's chores, each on a thread of its own."""

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
        self._expiry = Chore("retention", self._expire, float(settings.retention_every_s))
        self._cosigning = None
        if cosign.keys:
            every_s = float(settings.cosign_every_s)
            self._cosigning = Chore("cosignatures", lambda: cosign(log.checkpoint()), every_s)
        self._stamping = None
        if stamper is not None:
            self._stamping = Chore("timestamps", lambda: stamper.step(), float(settings.timestamp_every_s))

    def start(self) -> None:
        """Begin all; the first round is at once."""
        for chore in (self._expiry, self._stamping, self._cosigning):
            if chore is not None:
                chore.start()

    def close(self) -> None:
        """Stop; what is under way is finished."""
        for chore in (self._expiry, self._stamping, self._cosigning):
            if chore is not None:
                chore.close()

    def status(self) -> dict[str, Any]:
        """What anybody may know: the profile, when it was last applied, the newest timestamp, what fails."""
        stamped: dict[str, Any] | None = None
        if self._stamping is not None:
            stamped = self._stamping.status()
            try:
                last = latest_stamp(self._log)
            except AuditError as damaged:
                stamped["problem"], last = damaged.code, None
            stamped["newest"] = None if last is None else {"size": last.size, "time": last.time.isoformat()}
        return {
            "retention": self._expiry.status()
            | {
                "rules": profile_json(self._retention.rules)["rules"],
                "files_days": _days(self._retention.files),
            },
            "timestamps": stamped,
        }

    def _expire(self) -> None:
        now = self._time.utc()  # what is erased does not come back: never by a clock that was set ahead
        if self._pages_remain:
            clear_freed_pages(self._log.engine)
            self._pages_remain = False
        try:
            expire_openings(self._writer, self._log.engine, self._retention.rules, now=now)
        except FreedPagesRemain:
            self._pages_remain = True
            raise
        delete_past_files(self._writer, self._log.engine, self._data, self._retention.files, now=now)


def _days(kept: timedelta | None) -> int | None:
    return None if kept is None else kept.days


class Chore:
    """Runs a job every ``every_s`` seconds on a thread; after a failure again within a minute."""

    def __init__(self, name: str, job: Callable[[], object], every_s: float) -> None:
        self._name = name
        self._job = job
        self._every_s = every_s
        self._problem = ""
        self._succeeded: datetime | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run on a thread until `close`."""
        self._thread = threading.Thread(target=self._run, name=f"upkeep-{self._name}", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 15.0) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def step(self) -> None:
        """One round. What fails is kept for `status`."""
        try:
            self._job()
        except (AuditError, SQLAlchemyError) as failed:
            code = failed.code if isinstance(failed, AuditError) else StoreUnavailable.code
            if code != self._problem:
                _log.warning("%s: %s [%s]", self._name, failed, code)
            self._problem = code
        else:
            if self._problem:
                _log.info("%s: works again", self._name)
            self._problem, self._succeeded = "", datetime.now(UTC)

    def status(self) -> dict[str, Any]:
        """``every_s``, ``succeeded`` (when last, ISO 8601) and ``problem`` (the code of what fails, or None)."""
        return {
            "every_s": self._every_s,
            "succeeded": None if self._succeeded is None else self._succeeded.isoformat(),
            "problem": self._problem or None,
        }

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step()
            self._stop.wait(min(self._every_s, RETRY_S) if self._problem else self._every_s)
