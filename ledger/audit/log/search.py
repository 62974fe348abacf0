"""Searching the log with filters; hits are returned in pages, in the order of the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from ledger.audit.formats.errors import AuditError, EventInvalid, LogCorrupt
from ledger.audit.formats.events import Decision, read_event
from ledger.audit.log.append import NewEntry, PreparedEntry
from ledger.audit.log.tiles import entry_table
from ledger.ids import IdError, asset_text, parse_asset, parse_grant, parse_number

MAX_PAGE = 1000


class CursorInvalid(AuditError):
    """The cursor is not one that this search returned, or a time has no zone."""

    code = "audit.cursor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The filters of a search; an entry must match all that are given.

    ``type_prefix`` is the begin of an event type, such as ``gateway:``. ``since`` is inclusive and ``until`` exclusive;
    both need a time zone.
    """

    department: int | None = None
    actor: str | None = None
    asset: str | None = None
    grant: str | None = None
    purpose: str | None = None
    decision: Decision | None = None
    type_prefix: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One hit: index and leaf (empty when archived)."""

    index: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Hits in the order of the log; ``cursor`` is for the next page, None after the last one."""

    hits: tuple[Found, ...]
    cursor: str | None


def run_search(conn: Connection, query: Query, cursor: str | None, limit: int) -> Page:
    """One page of at most ``limit`` (up to 1,000) entries.

    Raises `CursorInvalid`, `IdError` for a malformed asset or grant, and `LogCorrupt` for a hit whose columns do not
    agree with its leaf.
    """
    size = max(1, min(limit, MAX_PAGE))
    after = _position(cursor)
    rows = conn.execute(
        _statement(query).where(entry_table.c.idx > after).order_by(entry_table.c.idx).limit(size + 1)
    ).all()
    for row in rows[:size]:
        _must_be_its_leaf(tuple(row))
    hits = tuple(Found(int(row.idx), bytes(row.leaf)) for row in rows[:size])
    return Page(hits, str(hits[-1].index) if len(rows) > size else None)


def _must_be_its_leaf(row: tuple[Any, ...]) -> None:
    """Raise `LogCorrupt` for a hit whose columns do not agree with its leaf."""
    index, leaf = int(row[0]), bytes(row[-1])
    if not leaf:
        return  # archived: hash, id, type and time are left
    try:
        same = PreparedEntry.of(NewEntry(read_event(leaf))).row(index) == row
    except EventInvalid:
        same = False
    if not same:
        raise LogCorrupt(f"a column of entry {index} is not what its leaf says", hint="run civic audit fsck")


def _position(cursor: str | None) -> int:
    if cursor is None:
        return -1
    try:
        return parse_number(cursor)
    except IdError as other:
        raise CursorInvalid("not a cursor of this search", hint="start again without a cursor") from other


def _statement(query: Query) -> Select[Any]:
    table = entry_table.c
    conditions = [
        column == value
        for column, value in (
            (table.department, query.department),
            (table.actor, query.actor),
            (table.asset, None if query.asset is None else asset_text(parse_asset(query.asset))),
            (table.grant_id, _grant(query.grant)),
            (table.purpose, query.purpose),
            (table.decision, query.decision),
        )
        if value is not None
    ]
    if query.type_prefix is not None:
        conditions.append(table.type.startswith(query.type_prefix, autoescape=True))
    if query.since is not None:
        conditions.append(table.time >= _micros(query.since))
    if query.until is not None:
        conditions.append(table.time < _micros(query.until))
    return select(entry_table).where(and_(True, *conditions))


def _grant(text: str | None) -> bytes | None:
    if text is None:
        return None
    return bytes.fromhex(parse_grant(text)[2:])


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise CursorInvalid("a time needs its zone")
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
