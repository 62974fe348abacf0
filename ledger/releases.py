"""Nonces, charges and releases, which must be committed before data are released.

Every function takes a connection in the writer's transaction and does not commit, so that the nonce, the charge, the
release and the audit entry of a call are committed together. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Executable, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.codes import UNLIMITED
from ledger.errors import LedgerError
from ledger.store.prepared import Prepared, among, values_of
from ledger.store.stored import made_of
from ledger.store.tables import table_of
from ledger.store.tables.calls import ChargeRow, NonceRow, ReleaseRow

_UNBOUNDED = 1 << 62

State = Literal["streaming", "done", "aborted"]
_NEXT: Mapping[str, frozenset[str]] = {
    "streaming": frozenset({"done", "aborted"}),
    "done": frozenset(),
    "aborted": frozenset({"streaming"}),
}
"""The allowed changes of state. Small answers are done when they are charged. Done is final. An aborted release continues
when its caller repeats the call with the same idempotency key."""


class ReleaseError(LedgerError):
    """A release cannot change to the requested state."""

    code = "release.state"


@dataclass(frozen=True, slots=True)
class Release:
    """A release record.

    It is kept after erasures, so its hashes are salted and cannot be guessed. ``digest`` is the commitment in the entry of
    the outcome to the released bytes, set when the release is done. ``request_hash`` is the commitment in the entry of the
    decision to the request of an idempotency key, empty without a key. Their openings are erased with the data subject.
    ``version`` and ``metadata_hash`` identify the version of the asset that was read.
    """

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
    version: int | None = None
    metadata_hash: str | None = None


def claim_nonce(connection: Connection, key_id: str, nonce: str, now: datetime, keep: timedelta) -> bool:
    """Store a nonce; False when this key has used it before. A stored nonce counts as used until it is deleted."""
    expires = int((now + keep).timestamp())
    return _CLAIM.row(connection, key_id=key_id, nonce=nonce, expires=expires) is not None


def nonce_used(connection: Connection, key_id: str, nonce: str) -> bool:
    """Whether the nonce is stored. Only a hint: another call may store it afterwards."""
    return _NONCE.row(connection, of=key_id, nonce_=nonce) is not None


def forget_nonces(connection: Connection, before: datetime) -> int:
    """Delete the nonces whose lifetime ended before this time, which `ledger.clock.Forgetting` gives; returns the number."""
    return connection.execute(_FORGET, {"moment": int(before.timestamp())}).rowcount


@dataclass(frozen=True, slots=True)
class Charges:
    """The charged uses of a grant, and the time of the first one."""

    used: int
    first: datetime


def charge(
    connection: Connection, grant_id: str, max_uses: int, now: datetime, *, spent: int = 0
) -> int | None:
    """Charge one use; returns the number of charged uses, or None when ``max_uses`` is reached.

    It is one conditional statement, so that two callers cannot both get the last use. ``spent`` is the total on chain, the
    lower bound for a database that lost charges.
    """
    bound = _UNBOUNDED if max_uses >= UNLIMITED else max_uses
    if spent >= bound:
        raise_to(connection, grant_id, Charges(spent, now))
        return None
    row = _CHARGE.row(connection, grant=grant_id, next_use=spent + 1, first_=_micros(now), bound=bound)
    return None if row is None else int(row[0])


def used(connection: Connection, grant_ids: list[str]) -> dict[str, Charges]:
    """The charges of each grant; grants without uses are left out."""
    if not grant_ids:
        return {}
    rows = _USED.rows(connection, grants=values_of(connection, grant_ids))
    return {grant: _charges_of(count, first) for grant, count, first in rows}


def raise_to(connection: Connection, grant_id: str, least: Charges) -> bool:
    """Raise a grant's charges to at least these; returns whether they grew. They are never lowered."""
    return _RAISE.run(connection, grant=grant_id, at_least=least.used, first_=_micros(least.first)) > 0


def corrected(connection: Connection, grant_id: str, total: int) -> None:
    """Lower the charges of a grant whose total both departments lowered on chain: to the number of its releases, but not
    below the total."""
    made = connection.execute(_MADE, {"grant": grant_id}).scalar_one()
    connection.execute(_LOWER, {"grant": grant_id, "at_most": max(int(made), total)})


def find_by_idempotency(connection: Connection, key_id: str, key: str) -> Release | None:
    """The release with this idempotency key of a caller; None without one."""
    row = _BY_KEY.row(connection, key_id_=key_id, key=key)
    return None if row is None else _release(row)


def open_release(connection: Connection, release: Release) -> None:
    """Record a charged release."""
    values = {name: getattr(release, name) for name in Release.__dataclass_fields__}
    ended = None if release.finished_at is None else _micros(release.finished_at)
    _OPEN.run(connection, **values | {"charged_at": _micros(release.charged_at), "finished_at": ended})


def get(connection: Connection, release_id: str) -> Release | None:
    """The release with this id; None without one."""
    row = _GET.row(connection, release=release_id)
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
    """Change the state of a release; raises `ReleaseError` when its state does not allow it (done is final)."""
    allowed = [before for before, after in _NEXT.items() if state in after]
    ended = _micros(now or datetime.now(UTC)) if state in ("done", "aborted") else None
    values = {"new_state": state, "ended": ended, "new_rows": rows, "new_size": size, "new_digest": digest}
    if connection.execute(_MOVE, {"release": release_id, "allowed": allowed, **values}).rowcount != 1:
        raise ReleaseError(f"release {release_id} cannot become {state}")


def end(connection: Connection, release: Release) -> None:
    """Set the final state of a release with its counts and digest; raises `ReleaseError` as `move`."""
    move(
        connection,
        release.id,
        release.state,
        now=release.finished_at,
        rows=release.rows,
        size=release.size,
        digest=release.digest,
    )


def orphans(connection: Connection) -> list[Release]:
    """The releases in the state streaming that a stopped gateway left; at the start they are set to aborted."""
    return [_release(row) for row in _ORPHANS.rows(connection)]


def drop_plain_digests(connection: Connection) -> int:
    """Delete the unsalted digests of answers and requests that earlier versions stored; returns the number of releases.

    With such a digest an answer about one person could be guessed, also after the person's erasure.
    """
    return connection.execute(_DROP).rowcount


# -- statements ------------------------------------------------------------------------------------


_nonces = table_of(NonceRow)
_charges = table_of(ChargeRow)
_releases = table_of(ReleaseRow)


def _upsert(dialect: str) -> Any:
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def _greatest(dialect: str) -> Any:
    return func.greatest if dialect == "postgresql" else func.max


def _claim(dialect: str) -> Executable:
    new = _upsert(dialect)(NonceRow).values(
        key_id=bindparam("key_id"), nonce=bindparam("nonce"), expires=bindparam("expires")
    )
    taken: Executable = new.on_conflict_do_nothing(index_elements=["key_id", "nonce"]).returning(
        _nonces.c.nonce
    )
    return taken


def _charge(dialect: str) -> Executable:
    new = _upsert(dialect)(ChargeRow).values(
        grant_id=bindparam("grant"), used=bindparam("next_use"), first=bindparam("first_")
    )
    following = _greatest(dialect)(_charges.c.used + 1, new.excluded.used)
    charged: Executable = new.on_conflict_do_update(
        index_elements=["grant_id"], set_={"used": following}, where=following <= bindparam("bound")
    ).returning(_charges.c.used)
    return charged


def _raise(dialect: str) -> Executable:
    new = _upsert(dialect)(ChargeRow).values(
        grant_id=bindparam("grant"), used=bindparam("at_least"), first=bindparam("first_")
    )
    raised: Executable = new.on_conflict_do_update(
        index_elements=["grant_id"],
        set_={"used": new.excluded.used},
        where=_charges.c.used < new.excluded.used,
    )
    return raised


_CLAIM, _CHARGE, _RAISE = Prepared(_claim), Prepared(_charge), Prepared(_raise)
_FORGET = delete(_nonces).where(_nonces.c.expires < bindparam("moment"))
_NONCE = Prepared(
    select(_nonces.c.nonce).where(
        _nonces.c.key_id == bindparam("of"),
        _nonces.c.nonce == bindparam("nonce_"),
    )
)
_USED = Prepared(
    lambda dialect: select(_charges.c.grant_id, _charges.c.used, _charges.c.first).where(
        among(dialect, _charges.c.grant_id, "grants"), _charges.c.used > 0
    )
)
_BY_KEY = Prepared(
    select(_releases).where(
        _releases.c.key_id == bindparam("key_id_"), _releases.c.idempotency_key == bindparam("key")
    )
)
_OPEN = Prepared(insert(_releases))
_GET = Prepared(select(_releases).where(_releases.c.id == bindparam("release")))
_MOVE = (
    update(_releases)
    .where(
        _releases.c.id == bindparam("release"), _releases.c.state.in_(bindparam("allowed", expanding=True))
    )
    .values(
        state=bindparam("new_state"),
        finished_at=bindparam("ended"),
        rows=bindparam("new_rows"),
        size=bindparam("new_size"),
        digest=bindparam("new_digest"),
    )
)
_MADE = select(func.count()).select_from(_releases).where(_releases.c.grant_id == bindparam("grant"))
_LOWER = (
    update(_charges)
    .where(_charges.c.grant_id == bindparam("grant"), _charges.c.used > bindparam("at_most"))
    .values(used=bindparam("at_most"))
)
_PLAIN = 64
_DROP = (
    update(_releases)
    .where((func.length(_releases.c.digest) == _PLAIN) | (func.length(_releases.c.request_hash) == _PLAIN))
    .values(digest=None, request_hash="")
)
_ORPHANS = Prepared(select(_releases).where(_releases.c.state == "streaming"))


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


@made_of("grant_charge")
def _charges_of(used: int, first: int) -> Charges:
    return Charges(used, _moment(first))


@made_of("release")
def _release(row: Sequence[Any]) -> Release:
    values = dict(zip(_releases.columns.keys(), row, strict=True))
    for name in ("charged_at", "finished_at"):
        if values[name] is not None:
            values[name] = _moment(values[name])
    return Release(**values)
