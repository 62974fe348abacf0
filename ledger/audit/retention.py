"""Retention by profile: how long openings and leaves are kept, and how their end is logged.

A profile is a list of rules by event type. Openings whose time is over are deleted. Leaves are archived from the
front of the log, in whole tiles, only after a bundle that holds them was verified; their hashes stay, so every
proof still verifies. Network logs are kept for six months at least (Cybersecurity Law of the PRC, art. 21 (3));
no profile may go below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, Table, and_, delete, or_, select, update

from ledger.audit.append import NewEntry
from ledger.audit.erasure import clear_freed_pages
from ledger.audit.errors import AuditError
from ledger.audit.events import Event, new_event_id
from ledger.audit.log import AuditLog
from ledger.audit.reading import state_table
from ledger.audit.tiles import WIDTH, entry_table
from ledger.audit.verify import Verdict
from ledger.audit.writer import Committed, GroupCommit, JobResult
from ledger.store.tables.audit import AuditOpening

FLOOR = timedelta(days=183)

_openings: Table = AuditOpening.__table__  # type: ignore[attr-defined]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """How long what types beginning with ``type_prefix`` leave behind is kept; None is for ever."""

    type_prefix: str
    openings: timedelta | None
    leaves: timedelta | None = None

    def __post_init__(self) -> None:
        if self.leaves is not None and self.leaves < FLOOR:
            raise AuditError("leaves are kept for six months at least", hint="Cybersecurity Law, art. 21 (3)")


Profile = Sequence[Rule]

STANDARD: Profile = (
    Rule("gateway:", timedelta(days=3 * 365), timedelta(days=10 * 365)),
    Rule("chain:", None, None),
    Rule("", timedelta(days=3 * 365), None),
)
"""The first rule whose prefix fits decides."""


def expire_openings(
    writer: GroupCommit, engine: Engine, profile: Profile, *, now: datetime | None = None
) -> Committed[int]:
    """Delete the openings whose time is over and log how many; nothing is logged when there are none."""
    moment = now or datetime.now(UTC)

    def job(conn: Connection) -> JobResult[int]:
        gone = 0
        for position, rule in enumerate(profile):
            if rule.openings is None:
                continue
            earlier = [entry_table.c.type.startswith(r.type_prefix) for r in profile[:position]]
            over = select(entry_table.c.idx).where(
                entry_table.c.time < _micros(moment - rule.openings),
                entry_table.c.type.startswith(rule.type_prefix),
                *([~or_(*earlier)] if earlier else []),
            )
            gone += conn.execute(delete(_openings).where(_openings.c.idx.in_(over))).rowcount
        if not gone:
            return JobResult(0)
        event = Event(id=new_event_id(), type="log:openings:expired", time=moment, counts={"openings": gone})
        return JobResult(gone, [NewEntry(event)])

    done = writer.submit(job).result()
    if done.value:
        clear_freed_pages(engine)
    return done


def archivable(log: AuditLog, profile: Profile, *, now: datetime | None = None) -> int:
    """Before which index all leaves may go, in whole tiles."""
    moment = now or datetime.now(UTC)
    kept = []
    for position, rule in enumerate(profile):
        own = [~entry_table.c.type.startswith(r.type_prefix) for r in profile[:position]]
        fits = and_(entry_table.c.type.startswith(rule.type_prefix), *own)
        kept.append(
            fits if rule.leaves is None else and_(fits, entry_table.c.time >= _micros(moment - rule.leaves))
        )
    with log.engine.connect() as conn:
        first = conn.execute(
            select(entry_table.c.idx)
            .where(entry_table.c.idx >= log.pruned, or_(*kept))
            .order_by(entry_table.c.idx)
            .limit(1)
        ).scalar_one_or_none()
    return (log.size if first is None else int(first)) // WIDTH * WIDTH


def archive_leaves(
    writer: GroupCommit, log: AuditLog, before: int, archive: Verdict, *, now: datetime | None = None
) -> Committed[int]:
    """Drop the leaves before an index, which must be a multiple of 256; the value is how many.

    ``archive`` is the verdict over the bundle that keeps them. Raises `AuditError` unless that bundle verified
    and holds them all.
    """
    if before % WIDTH:
        raise AuditError("leaves are archived in whole tiles of 256")
    if not archive.ok or archive.size < before or log.root_at(archive.size) != archive.root:
        raise AuditError(
            "no verified bundle of this log holds these leaves", hint="export and verify one first"
        )
    if archive.leaves_hashed < archive.size - log.pruned:
        raise AuditError("the bundle does not hold all the leaves that are to go")

    def job(conn: Connection) -> JobResult[int]:
        gone = conn.execute(
            update(entry_table)
            .where(entry_table.c.idx < before, entry_table.c.leaf != b"")
            .values(leaf=b"", type="", actor=None, asset=None, grant_id=None, purpose=None, decision=None)
        ).rowcount
        conn.execute(
            update(state_table)
            .where(state_table.c.id == 1, state_table.c.pruned < before)
            .values(pruned=before)
        )
        event = Event(
            id=new_event_id(),
            type="log:leaves:archived",
            time=now or datetime.now(UTC),
            counts={"leaves": gone},
            facts={"before": before, "archive_size": archive.size},
        )
        return JobResult(gone, [NewEntry(event)])

    done = writer.submit(job).result()
    clear_freed_pages(log.engine)
    return done


def _micros(moment: datetime) -> int:
    return int((moment - _EPOCH) / timedelta(microseconds=1))
