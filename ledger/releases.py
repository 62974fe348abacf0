"""Nonces, charges and releases: what must be committed before any data leave.

Every function takes a connection inside the writer's transaction and does no commit of its own, so that the
nonce, the charge, the release and the audit entry of a call stand or fall together. Times are UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.audit.events import read_event
from ledger.audit.reading import LogReader
from ledger.audit.search import Query
from ledger.errors import LedgerError
from ledger.store.tables.calls import ChargeRow, NonceRow, ReleaseRow

UNLIMITED = 2**32 - 1
"""``maxUses`` of a grant that may be used any number of times."""

State = Literal["charged", "streaming", "done", "aborted"]
_NEXT: Mapping[str, frozenset[str]] = {
    "charged": frozenset({"streaming", "aborted"}),
    "streaming": frozenset({"done", "aborted"}),
    "done": frozenset(),
    "aborted": frozenset({"streaming"}),
}
"""Done is final. An aborted release goes on when its caller comes back with the same idempotency key."""


class ReleaseError(LedgerError):
    """A release cannot move to the state asked for."""

    code = "release.state"


class IdempotencyConflict(LedgerError):
    """An idempotency key came back with another request."""

    code = "idempotency.conflict"


@dataclass(frozen=True, slots=True)
class Release:
    """A release record. ``digest`` is the SHA-256 (hex) of the bytes that left, known once it is done."""

    id: str
    key_id: str
    idempotency_key: str
    request_hash: str
    department: int
    asset: str
    grant_id: str
    purpose: str
    action: str
    plan_hash: str
    media_type: str
    state: State
    entry_id: str
    charged_at: datetime
    finished_at: datetime | None = None
    rows: int | None = None
    size: int | None = None
    digest: str | None = None


def claim_nonce(connection: Connection, key_id: str, nonce: str, now: datetime, keep: timedelta) -> bool:
    """Note a nonce; False when this key has used it before. Forgets nonces past their time."""
    moment = int(now.timestamp())
    connection.execute(delete(NonceRow).where(NonceRow.expires < moment))  # type: ignore[arg-type]
    values = {"key_id": key_id, "nonce": nonce, "expires": moment + int(keep.total_seconds())}
    done = connection.execute(_insert(connection, NonceRow).values(**values).on_conflict_do_nothing())
    return bool(done.rowcount)


def charge(
    connection: Connection, grant_id: str, max_uses: int, now: datetime, *, spent: int = 0
) -> int | None:
    """Charge one use; the number of uses charged so far, or None when ``max_uses`` is reached.

    One conditional statement, so that no two callers can share the last use. ``spent`` is what the chain has
    on record: a database that lost charges starts from there, never below.
    """
    connection.execute(
        _insert(connection, ChargeRow)
        .values(grant_id=grant_id, used=0, first=_micros(now))
        .on_conflict_do_nothing()
    )
    if spent:
        behind = update(ChargeRow).where(ChargeRow.grant_id == grant_id, ChargeRow.used < spent)  # type: ignore[arg-type]
        connection.execute(behind.values(used=spent))
    statement = update(ChargeRow).where(ChargeRow.grant_id == grant_id)  # type: ignore[arg-type]
    if max_uses < UNLIMITED:
        statement = statement.where(ChargeRow.used < max_uses)  # type: ignore[arg-type]
    row = connection.execute(
        statement.values(used=ChargeRow.used + 1).returning(ChargeRow.used)  # type: ignore[call-overload]
    ).one_or_none()
    return None if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class Charges:
    """Uses of a grant charged so far, and when the first was."""

    used: int
    first: datetime


def used(connection: Connection, grant_ids: list[str]) -> dict[str, Charges]:
    """Charges so far per grant; grants never used are absent."""
    if not grant_ids:
        return {}
    rows = connection.execute(
        select(ChargeRow.grant_id, ChargeRow.used, ChargeRow.first).where(  # type: ignore[call-overload]
            ChargeRow.grant_id.in_(grant_ids),  # type: ignore[attr-defined]
            ChargeRow.used > 0,
        )
    )
    return {grant: Charges(int(count), _moment(first)) for grant, count, first in rows}


def recount(connection: Connection, log: LogReader) -> int:
    """After a restore: raise every charge to the number of permits that the log has; how many were raised."""
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    cursor: str | None = None
    while True:
        page = log.search(
            Query(decision="permit", type_prefix="gateway:read:decided"), cursor=cursor, limit=1_000
        )
        for hit in page.hits:
            event = read_event(hit.leaf)
            if event.grant is not None:
                counts[event.grant] += 1
                first.setdefault(event.grant, event.microseconds)
        cursor = page.cursor
        if cursor is None:
            break
    raised = 0
    for grant, count in counts.items():
        connection.execute(
            _insert(connection, ChargeRow)
            .values(grant_id=grant, used=0, first=first[grant])
            .on_conflict_do_nothing()
        )
        behind = update(ChargeRow).where(ChargeRow.grant_id == grant, ChargeRow.used < count)  # type: ignore[arg-type]
        raised += connection.execute(behind.values(used=count)).rowcount
    return raised


def find_by_idempotency(connection: Connection, key_id: str, key: str, request_hash: str) -> Release | None:
    """The release that an idempotency key stands for; IdempotencyConflict when it was another request's."""
    row = (
        connection.execute(
            select(ReleaseRow).where(ReleaseRow.key_id == key_id, ReleaseRow.idempotency_key == key)  # type: ignore[arg-type]
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    release = _release(row)
    if release.request_hash != request_hash:
        raise IdempotencyConflict("the idempotency key was used for another request", hint="use a new key")
    return release


def open_release(connection: Connection, release: Release) -> None:
    """Record a charged release."""
    values = {name: getattr(release, name) for name in Release.__dataclass_fields__}
    values["charged_at"] = _micros(release.charged_at)
    connection.execute(insert(ReleaseRow).values(**values | {"finished_at": None}))


def get(connection: Connection, release_id: str) -> Release | None:
    """A release by id."""
    row = connection.execute(select(ReleaseRow).where(ReleaseRow.id == release_id)).mappings().one_or_none()  # type: ignore[arg-type]
    return None if row is None else _release(row)


def move(
    connection: Connection,
    release_id: str,
    state: State,
    *,
    now: datetime | None = None,
    rows: int | None = None,
    size: int | None = None,
    digest: str | None = None,
) -> None:
    """Move a release on; ReleaseError when its state does not allow it (done is final)."""
    allowed = [before for before, after in _NEXT.items() if state in after]
    values: dict[str, Any] = {"state": state}
    if state in ("done", "aborted"):
        values |= {
            "finished_at": _micros(now or datetime.now(UTC)),
            "rows": rows,
            "size": size,
            "digest": digest,
        }
    changed = connection.execute(
        update(ReleaseRow)
        .where(ReleaseRow.id == release_id, ReleaseRow.state.in_(allowed))  # type: ignore[arg-type,attr-defined]
        .values(**values)
    )
    if changed.rowcount != 1:
        raise ReleaseError(f"release {release_id} cannot become {state}")


def orphans(connection: Connection) -> list[Release]:
    """Releases that a stopped gateway left unfinished; at start-up they become aborted."""
    rows = connection.execute(
        select(ReleaseRow).where(ReleaseRow.state.in_(("charged", "streaming")))  # type: ignore[attr-defined]
    ).mappings()
    return [_release(row) for row in rows]


def _insert(connection: Connection, table: type[NonceRow] | type[ChargeRow]) -> Any:
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    return module.insert(table)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def _release(row: Mapping[Any, Any]) -> Release:
    values = {name: row[name] for name in Release.__dataclass_fields__}
    for name in ("charged_at", "finished_at"):
        if values[name] is not None:
            values[name] = _moment(values[name])
    return Release(**values)
