"""Records a time that the operator states as an entry of the log: who moved the time, from when to when."""

from __future__ import annotations

from datetime import datetime

from api.runtime.commits import Commits
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper, stamp


def record_stated_time(commits: Commits, clock: Timekeeper, stated: datetime | None, known: float) -> None:
    """Record a stated time. ``known`` is the time of the newest block and entry before the start, seconds since
    1970. ``stated`` None: nothing is recorded."""
    if stated is None:
        return
    event = Event(
        id=new_event_id(),
        type="log:clock:stated",
        time=clock.utc(),
        facts={"stated": stamp(stated.timestamp()), "known": stamp(known)},
    )
    commits.commit(lambda connection: JobResult(None, [NewEntry(event)]))
