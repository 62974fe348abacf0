"""Retention by profile: how long openings and leaves are kept, and how their deletion is logged.

A profile is a list of rules by event type. An entry to which no rule applies is kept without limit. Openings are
deleted after their period. Leaves are archived from the front of the log, in whole tiles, and only after a bundle that
holds them was verified. Their hashes remain stored, so proofs remain valid. Archiving starts at the front, so one entry
that is kept without limit also keeps all later leaves. Network logs must be kept for at least six months (Cybersecurity
Law of the PRC, art. 21 (3)); no rule may be shorter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, delete, func, or_, select, tuple_, update

from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.keeping.erasure import clear_freed_pages
from ledger.audit.log.append import NewEntry
from ledger.audit.log.heads import state_table
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import ARCHIVED, LogReader
from ledger.audit.log.tiles import WIDTH, entry_table
from ledger.audit.log.writer import Committed, GroupCommit, JobResult
from ledger.audit.verify import Verdict
from ledger.store.engine import reader
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditOpening

FLOOR = timedelta(days=183)
FILES = timedelta(days=30)
"""The default of ``files_days``: how long the file of an earlier version or of a retired dataset is kept."""

EXPIRED = "log:openings:expired"

_openings = table_of(AuditOpening)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX = re.compile(r"[a-z0-9:.-]{0,80}", re.ASCII)
_MOST_DAYS = 36_525
_ROWS_PER_TRANSACTION = 5_000


class RetentionInvalid(AuditError):
    """A profile is malformed or shorter than the law allows, or a deletion is requested before its period is over."""

    code = "audit.retention"


@dataclass(frozen=True, slots=True)
class Rule:
    """How long the openings and leaves of event types beginning with ``type_prefix`` are kept; None: without limit.

    Raises `RetentionInvalid` for a malformed prefix or a period shorter than `FLOOR`.
    """

    type_prefix: str
    openings: timedelta | None
    leaves: timedelta | None = None

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.type_prefix):
            raise RetentionInvalid(f"not the beginning of an event type: {self.type_prefix[:80]!r}")
        for what, kept in (("openings", self.openings), ("leaves", self.leaves)):
            if kept is not None and kept < FLOOR:
                raise RetentionInvalid(
                    f"{what} of {self.type_prefix or 'everything'!r} are kept for six months at least"
                    f" ({FLOOR.days} days)",
                    hint="Cybersecurity Law, art. 21 (3)",
                )


Profile = Sequence[Rule]

STANDARD: Profile = (
    Rule("chain:", None, timedelta(days=10 * 365)),
    Rule("", timedelta(days=3 * 365), timedelta(days=10 * 365)),
)
"""The default profile. The first rule whose prefix matches applies."""


def read_profile(data: bytes | str) -> Profile:
    """A profile from JSON: ``{"version": 1, "rules": [{"types": "gateway:", "openings_days": 1095, "leaves_days":
    null}, ...]}``, and ``files_days`` (see `read_files`); null is without limit. Raises `RetentionInvalid`."""
    items = _read(data)["rules"]
    if not isinstance(items, list) or not 0 < len(items) <= 100:
        raise RetentionInvalid("a retention profile has between 1 and 100 rules")
    rules: list[Rule] = []
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict) or item.keys() != {"types", "openings_days", "leaves_days"}:
            raise RetentionInvalid(f"rule {number} should have types, openings_days and leaves_days")
        if not isinstance(item["types"], str):
            raise RetentionInvalid(f"rule {number}: types is the beginning of an event type")
        rule = Rule(
            item["types"],
            _days(item["openings_days"], f"rule {number}"),
            _days(item["leaves_days"], f"rule {number}"),
        )
        if any(rule.type_prefix.startswith(earlier.type_prefix) for earlier in rules):
            raise RetentionInvalid(
                f"rule {number} can never decide: an earlier one fits whatever it fits",
                hint="put the narrower rule first",
            )
        rules.append(rule)
    return tuple(rules)


def read_files(data: bytes | str) -> timedelta | None:
    """``files_days`` of a profile (JSON): how long the file of a version that is no longer current is kept.

    The default is `FILES`; None is without limit. Raises `RetentionInvalid`.
    """
    value = _read(data)
    return _days(value["files_days"], "files_days") if "files_days" in value else FILES


def _read(data: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as damaged:
        raise RetentionInvalid("the retention profile is not JSON") from damaged
    if (
        not isinstance(value, dict)
        or value.keys() - {"files_days"} != {"version", "rules"}
        or value["version"] != 1
    ):
        raise RetentionInvalid(
            "a retention profile has version (1) and rules, it may have files_days, and nothing else"
        )
    return value


def profile_json(profile: Profile) -> dict[str, Any]:
    """The profile as the JSON value that `read_profile` reads."""
    return {
        "version": 1,
        "rules": [
            {
                "types": rule.type_prefix,
                "openings_days": rule.openings.days if rule.openings is not None else None,
                "leaves_days": rule.leaves.days if rule.leaves is not None else None,
            }
            for rule in profile
        ],
    }


def expirable(engine: Engine, profile: Profile, *, now: datetime | None = None) -> list[tuple[Rule, int]]:
    """The rules that delete openings, each with the number of openings whose period is over at ``now``."""
    moment = now or datetime.now(UTC)
    with reader(engine).connect() as conn:
        return [
            (rule, int(conn.execute(select(func.count()).where(_openings.c.idx.in_(over))).scalar_one()))
            for rule, over in _over(profile, moment)
        ]


def expire_openings(
    writer: GroupCommit,
    engine: Engine,
    profile: Profile,
    *,
    now: datetime | None = None,
    at_once: int = _ROWS_PER_TRANSACTION,
) -> int:
    """Delete the openings whose period is over, ``at_once`` in each transaction, and log how many. Returns the number.

    Nothing is logged when there are none. Raises `LogUnavailable` when a transaction was not committed: earlier
    transactions are complete and logged, the remaining openings are still stored.
    """
    moment = now or datetime.now(UTC)

    def job(conn: Connection) -> JobResult[int]:
        gone = 0
        for _, over in _over(profile, moment):
            some = (
                select(_openings.c.idx, _openings.c.name)
                .where(_openings.c.idx.in_(over))
                .order_by(_openings.c.idx, _openings.c.name)
                .limit(at_once - gone)
            )
            gone += conn.execute(
                delete(_openings).where(tuple_(_openings.c.idx, _openings.c.name).in_(some))
            ).rowcount
            if gone >= at_once:
                break
        if not gone:
            return JobResult(0)
        event = Event(id=new_event_id(), type=EXPIRED, time=moment, counts={"openings": gone})
        return JobResult(gone, [NewEntry(event)])

    total = 0
    while True:
        gone = writer.submit(job).result().value
        total += gone
        if gone < at_once:
            break
    if total:
        clear_freed_pages(engine)
    return total


def archivable(log: LogReader, profile: Profile, *, now: datetime | None = None) -> int:
    """The index before which all leaves may be archived, a multiple of 256."""
    moment = now or datetime.now(UTC)
    kept = []
    for position, rule in enumerate(profile):
        own = [~entry_table.c.type.startswith(r.type_prefix) for r in profile[:position]]
        fits = and_(entry_table.c.type.startswith(rule.type_prefix), *own)
        kept.append(
            fits if rule.leaves is None else and_(fits, entry_table.c.time >= _micros(moment - rule.leaves))
        )
    kept.append(~or_(*(entry_table.c.type.startswith(r.type_prefix) for r in profile)))
    with log.engine.connect() as conn:
        first = conn.execute(
            select(entry_table.c.idx)
            .where(entry_table.c.idx >= log.pruned, or_(*kept))
            .order_by(entry_table.c.idx)
            .limit(1)
        ).scalar_one_or_none()
    return (log.size if first is None else int(first)) // WIDTH * WIDTH


def archive_leaves(
    writer: GroupCommit,
    log: AuditLog,
    before: int,
    archive: Verdict,
    profile: Profile,
    *,
    now: datetime | None = None,
) -> Committed[int]:
    """Delete the leaves before the index ``before``, a multiple of 256. The value of the result is their number.

    Hash, id, type and time of each entry remain stored, so that its openings still expire by type. ``archive`` is the
    verdict over the bundle that holds the leaves. Raises `RetentionInvalid` unless that bundle was verified and holds
    all of them, and the profile allows their deletion.
    """
    if before < 0 or before % WIDTH:
        raise RetentionInvalid("leaves are archived in whole tiles of 256")
    if not archive.ok or archive.size < before or log.root_at(archive.size) != archive.root:
        raise RetentionInvalid(
            "no verified bundle of this log holds these leaves", hint="export and verify one first"
        )
    if archive.leaves_hashed < archive.size - log.pruned:
        raise RetentionInvalid("the bundle does not hold all the leaves that are to go")
    most = archivable(log, profile, now=now)
    if before > most:
        raise RetentionInvalid(
            f"the retention profile keeps entries from {most} on",
            hint=f"archive those before {most}" if most > log.pruned else "nothing may go yet",
        )

    def job(conn: Connection) -> JobResult[int]:
        gone = conn.execute(
            update(entry_table)
            .where(entry_table.c.idx < before, entry_table.c.leaf != b"")
            .values(leaf=b"", actor=None, asset=None, grant_id=None, purpose=None, decision=None)
        ).rowcount
        conn.execute(
            update(state_table)
            .where(state_table.c.id == 1, state_table.c.pruned < before)
            .values(pruned=before)
        )
        event = Event(
            id=new_event_id(),
            type=ARCHIVED,
            time=now or datetime.now(UTC),
            counts={"leaves": gone},
            facts={"before": before, "archive_size": archive.size},
        )
        return JobResult(gone, [NewEntry(event)])

    done = writer.submit(job).result()
    clear_freed_pages(log.engine)
    return done


def _over(profile: Profile, moment: datetime) -> list[tuple[Rule, Select[tuple[int]]]]:
    """The rules that delete openings, each with a query for the indexes of the entries whose period is over."""
    found = []
    for position, rule in enumerate(profile):
        if rule.openings is None:
            continue
        earlier = [entry_table.c.type.startswith(r.type_prefix) for r in profile[:position]]
        found.append(
            (
                rule,
                select(entry_table.c.idx).where(
                    entry_table.c.time < _micros(moment - rule.openings),
                    entry_table.c.type.startswith(rule.type_prefix),
                    *([~or_(*earlier)] if earlier else []),
                ),
            )
        )
    return found


def _days(value: Any, where: str) -> timedelta | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MOST_DAYS:
        raise RetentionInvalid(f"{where}: days are a number up to {_MOST_DAYS}, or null for ever")
    return timedelta(days=value)


def _micros(moment: datetime) -> int:
    return int((moment - _EPOCH) / timedelta(microseconds=1))
