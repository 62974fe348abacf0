"""The last part of a call: the charged answer is sent, and its outcome is logged.

An answer larger than the buffer is charged first and then streamed: revocation is checked between batches,
and the outcome has a commit of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from access_policy.privacy.execution.scan_errors import Preempted, ScanError
from access_policy.privacy.source import SourceError
from api.calls.buffering import Buffered, Chunk, reason_of, tell_operator
from api.calls.evidence import Evidence
from api.calls.repeats import Repeats, outcome_id
from api.protocol.http_signatures import RESPONSE
from api.runtime.commits import Commits
from ledger import releases
from ledger.audit.formats.events import Event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.openings import Opening, commit
from ledger.audit.log.writer import JobResult
from ledger.clock import Timekeeper
from ledger.ids import parse_asset
from ledger.releases import Release


@dataclass(slots=True)
class Sent:
    """The rows and bytes passed to the connection; no more can have been sent."""

    rows: int = 0
    size: int = 0

    def add(self, chunk: Chunk) -> None:
        self.rows = chunk.rows
        self.size += len(chunk.content)


@dataclass(frozen=True, slots=True)
class Charged:
    """A call that was charged: its release, the evidence of its decision, and its answer.

    ``outcomes`` is how often the release has ended before. ``repeated``: it was done before, and its data are
    sent again without a change to its record.
    """

    release: Release
    evidence: Evidence
    answer: Buffered
    outcomes: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Releases:
    """Streams answers and records the outcomes of releases. ``reading`` is the database without a write
    lock."""

    reading: Engine
    commits: Commits
    repeats: Repeats
    clock: Timekeeper

    def stream(self, charged: Charged) -> Generator[bytes]:
        """The bytes of an answer larger than the buffer; sets its release to done or aborted and logs the
        outcome."""
        answer, release, sent = charged.answer, charged.release, Sent()
        try:
            for chunk in answer.rest():
                sent.add(chunk)
                yield chunk.content
        except BaseException as broken:
            if isinstance(broken, ScanError | SourceError) and not isinstance(broken, Preempted):
                tell_operator(parse_asset(release.asset), release.version, broken)
            if not charged.repeated:
                reason = reason_of(broken)
                over = _ended(release, "aborted", self.clock.utc(), sent, None, charged.outcomes, reason)
                self._finish(over)
            raise
        finally:
            answer.close()
        if not charged.repeated:
            self._finish(ended(release, answer, self.clock.utc(), charged.outcomes))

    def abort_orphans(self) -> int:
        """At start-up, abort the releases that a stopped gateway left unfinished, each with an entry, and
        delete the digests that an earlier version stored in the clear."""
        self.commits.commit(lambda connection: JobResult(releases.drop_plain_digests(connection)))
        with self.reading.connect() as connection:
            unfinished = [
                (one, self.repeats.outcomes_of(connection, one)[0]) for one in releases.orphans(connection)
            ]
        for release, before in unfinished:
            self._finish(_ended(release, "aborted", self.clock.utc(), None, None, before))
        return len(unfinished)

    def _finish(self, ended: tuple[Release, NewEntry]) -> None:
        over, entry = ended

        def job(connection: Connection) -> JobResult[None]:
            releases.end(connection, over)
            return JobResult(None, [entry])

        self.commits.commit(job)


def ended(release: Release, answer: Buffered, now: datetime, before: int) -> tuple[Release, NewEntry]:
    """A release whose answer is complete, with the entry of its outcome; it has already ended ``before``
    times."""
    digest = commit(RESPONSE, answer.sha256, answer.subject)
    return _ended(release, "done", now, Sent(answer.rows, answer.size), digest, before)


def _version_of(release: Release) -> dict[str, str | int]:
    """The version that was read; empty for a release of an earlier service version, which did not record
    it."""
    if release.version is None or release.metadata_hash is None:
        return {}
    return {"version": release.version, "metadata": release.metadata_hash}


def _ended(
    release: Release,
    state: releases.State,
    now: datetime,
    sent: Sent | None,
    digest: Opening | None,
    before: int,
    reason: str = "",
) -> tuple[Release, NewEntry]:
    """A release in its end state with the entry of its outcome. ``sent`` is None if it is unknown what was
    sent; then neither the record nor the entry has counts."""
    event = Event(
        id=outcome_id(release, before),
        type=f"gateway:release:{state}",
        time=now,
        department=release.department,
        service=release.key_id,
        asset=release.asset,
        grant=release.grant_id,
        purpose=release.purpose,
        reasons=(reason,) if reason else (),
        counts={"rows": sent.rows, "bytes": sent.size} if sent else {},
        commitments={digest.name: digest.digest} if digest else {},
        facts={"release": release.id} | _version_of(release),
    )
    over = replace(
        release,
        state=state,
        finished_at=now,
        rows=sent.rows if sent else None,
        size=sent.size if sent else None,
        digest=digest.digest if digest else None,
    )
    return over, NewEntry(event, (digest,) if digest else (), fresh=True)
