"""Questions to the projection. Every list comes in pages; every answer is a frozen value of ``views``.

Take a connection of ``reader(engine)``: one snapshot, no lock. `version` grows with every change, so an answer may
be kept for as long as the version stands (but for pending revocations, which the outbox knows).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, or_, select, tuple_

from ledger.chain.events import Event
from ledger.ids import asset_text
from ledger.outbox.denials import pending_callers
from ledger.outbox.store import document, documents
from ledger.projection.commit import event_from, read_cursor
from ledger.projection.pages import CursorError, Page, check_limit, number_cursor, page_of
from ledger.projection.views import (
    ASSET_STATUS,
    GRANT_STATUS,
    AncestorGrant,
    Asset,
    CandidateGrant,
    Council,
    Department,
    DepartmentDetail,
    Grant,
    LogHead,
    Seat,
    ServiceKey,
    asset_of,
    council_of,
    department_of,
    grant_of,
    log_head_of,
    seat_of,
    service_key_of,
    terms_of,
)
from ledger.store.prepared import Prepared, among, values_of
from ledger.store.tables import projection as rows

__all__ = [
    "AncestorGrant",
    "Asset",
    "CandidateGrant",
    "Council",
    "Department",
    "DepartmentDetail",
    "Grant",
    "LogHead",
    "Page",
    "Seat",
    "ServiceKey",
    "ancestors_of",
    "anchors",
    "asset",
    "asset_parents",
    "assets",
    "candidate_grants",
    "council",
    "delegated_from",
    "department",
    "departments",
    "document",
    "ended_grants",
    "events",
    "followed_block",
    "grant",
    "grants",
    "officer",
    "service_key",
    "version",
]

_departments: Table = rows.DepartmentRow.__table__  # type: ignore[attr-defined]
_seats: Table = rows.SeatRow.__table__  # type: ignore[attr-defined]
_keys: Table = rows.ServiceKeyRow.__table__  # type: ignore[attr-defined]
_councils: Table = rows.CouncilRow.__table__  # type: ignore[attr-defined]
_assets: Table = rows.AssetRow.__table__  # type: ignore[attr-defined]
_parents: Table = rows.AssetParentRow.__table__  # type: ignore[attr-defined]
_grants: Table = rows.GrantRow.__table__  # type: ignore[attr-defined]
_heads: Table = rows.LogHeadRow.__table__  # type: ignore[attr-defined]
_events: Table = rows.ChainEventRow.__table__  # type: ignore[attr-defined]

ACTIVE = 1
EVERYBODY = 0
"""The grantee of a standing offer."""
MACHINES = 0x700
MAX_ANCESTORS = 256
RECENTLY_DEAD = 8
"""Dead grants offered when no live one is there, so that a refusal can say what became of them."""


# Statements of the call path, built once: building them costs more than running them.
_KEY_IN_FORCE = Prepared(
    select(_keys)
    .join(_departments, _departments.c.number == _keys.c.department)
    .where(
        _keys.c.department == bindparam("of"),
        _keys.c.key == bindparam("public"),
        _keys.c.removed.is_(False),
        _departments.c.standing == ACTIVE,
    )
)
_ASSET = Prepared(select(_assets).where(_assets.c.id == bindparam("asset_id")))
_WITH_AGREEMENT = select(_grants, documents.c.body).join(
    documents, _grants.c.terms_hash == "0x" + documents.c.sha256, isouter=True
)
_MINE = _WITH_AGREEMENT.where(
    _grants.c.asset == bindparam("on"),
    or_(_grants.c.grantee == bindparam("to"), _grants.c.grantee == EVERYBODY),
    _grants.c.kind == "terms",
)
_ENDED = Prepared(
    lambda dialect: select(_grants.c.id).where(among(dialect, _grants.c.id, "ids"), _grants.c.state != ACTIVE)
)
_LIVE = Prepared(
    _MINE.where(
        _grants.c.state == ACTIVE,
        _grants.c.not_before <= bindparam("moment"),
        _grants.c.expiry > bindparam("moment"),
    ).order_by(_grants.c.block_number, _grants.c.log_index)
)
_NEWEST = Prepared(
    _MINE.order_by(_grants.c.block_number.desc(), _grants.c.log_index.desc()).limit(RECENTLY_DEAD)
)


def version(connection: Connection) -> int:
    """Grows with every commit that changed the projection; 0 before the first."""
    cursor = read_cursor(connection)
    return cursor.version if cursor else 0


def followed_block(connection: Connection) -> int:
    """The last block that was followed; 0 before the first."""
    cursor = read_cursor(connection)
    return cursor.block_number if cursor else 0


# --------------------------------------------------------------------------- departments


def service_key(
    connection: Connection, department: int, public_key: bytes, at: datetime
) -> ServiceKey | None:
    """A key in force at ``at``, of an active department; None otherwise.

    A key whose removal, or whose department's suspension, has been received and not yet mined is not in force.
    """
    asked = {"of": department, "public": "0x" + public_key.hex()}
    found = _KEY_IN_FORCE.mappings(connection, **asked)
    if not found:
        return None
    [row] = found
    if not row["not_before"] <= at.timestamp() <= row["not_after"]:
        return None
    suspended, removed = pending_callers(connection)
    if department in suspended or (department, row["key"]) in removed:
        return None
    return service_key_of(row)


def officer(connection: Connection, address: str) -> Seat | None:
    """The seat of an address (EIP-55), whether or not it is in office: an officer's or an attest key's."""
    row = _one(connection, select(_seats).where(_seats.c.holder == address))
    return None if row is None else seat_of(row)


def department(connection: Connection, number: int) -> DepartmentDetail | None:
    """A department with its officers, attest keys and service keys, those of the past included."""
    row = _one(connection, select(_departments).where(_departments.c.number == number))
    if row is None:
        return None
    seats = connection.execute(select(_seats).where(_seats.c.department == number).order_by(_seats.c.holder))
    people: list[Seat] = []
    machines: list[Seat] = []
    for seat in seats.mappings():
        (machines if seat["roles"] & MACHINES else people).append(seat_of(seat))
    keys = connection.execute(select(_keys).where(_keys.c.department == number).order_by(_keys.c.key))
    return DepartmentDetail(
        department_of(row),
        tuple(people),
        tuple(machines),
        tuple(service_key_of(key) for key in keys.mappings()),
    )


def departments(connection: Connection, *, after: str | None = None, limit: int = 50) -> Page[Department]:
    """Departments by number."""
    query = (
        select(_departments)
        .where(_departments.c.number > number_cursor(after))
        .order_by(_departments.c.number)
        .limit(check_limit(limit) + 1)
    )
    found = [department_of(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda d: str(d.number))


def council(connection: Connection) -> Council | None:
    """The council; None before the deployment's first block was followed."""
    row = _one(connection, select(_councils).where(_councils.c.id == 1))
    return None if row is None else council_of(row)


# --------------------------------------------------------------------------- assets


def asset(connection: Connection, number: int) -> Asset | None:
    """An asset by its number on chain."""
    found = _ASSET.mappings(connection, asset_id=asset_text(number))
    return asset_of(found[0]) if found else None


def asset_parents(connection: Connection, number: int) -> list[tuple[str, str | None]]:
    """What an asset was derived from: pairs of asset (text) and the grant it was processed under, if any."""
    query = select(_parents.c.parent, _parents.c.under).where(_parents.c.asset == asset_text(number))
    return [(parent, under) for parent, under in connection.execute(query.order_by(_parents.c.parent))]


def assets(
    connection: Connection,
    *,
    department: int | None = None,
    holder: int | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Asset]:
    """Assets by department and sequence. ``department`` registered it, ``holder`` holds it now."""
    query = select(_assets).order_by(_assets.c.department, _assets.c.sequence).limit(check_limit(limit) + 1)
    if department is not None:
        query = query.where(_assets.c.department == department)
    if holder is not None:
        query = query.where(_assets.c.holder == holder)
    if status is not None:
        query = query.where(_assets.c.status == _number(ASSET_STATUS, status))
    if after is not None:
        query = query.where(tuple_(_assets.c.department, _assets.c.sequence) > tuple_(*_pair_cursor(after)))
    found = [asset_of(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda a: a.id)


# --------------------------------------------------------------------------- grants


def grant(connection: Connection, grant_id: str) -> Grant | None:
    """A grant by id."""
    row = _one(connection, select(_grants).where(_grants.c.id == grant_id))
    return None if row is None else grant_of(row)


def grants(
    connection: Connection,
    *,
    asset: int | None = None,
    grantee: int | None = None,
    grantor: int | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Grant]:
    """Grants in the order in which the chain recorded them."""
    query = (
        select(_grants).order_by(_grants.c.block_number, _grants.c.log_index).limit(check_limit(limit) + 1)
    )
    filters: Mapping[str, object] = {
        "asset": None if asset is None else asset_text(asset),
        "grantee": grantee,
        "grantor": grantor,
        "state": None if status is None else _number(GRANT_STATUS, status),
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(_grants.c[column] == value)
    if after is not None:
        query = query.where(
            tuple_(_grants.c.block_number, _grants.c.log_index) > tuple_(*_pair_cursor(after))
        )
    found = list(connection.execute(query).mappings())
    page = page_of(found, limit, lambda r: f"{r['block_number']}.{r['log_index']}")
    return Page(tuple(grant_of(row) for row in page.items), page.next)


def ended_grants(connection: Connection, ids: Iterable[str]) -> frozenset[str]:
    """Those of these grants whose end (revoked, cancelled) is recorded."""
    found = _ENDED.rows(connection, ids=values_of(connection, ids))
    return frozenset(str(row[0]) for row in found)


def candidate_grants(
    connection: Connection, asset: int, department: int, now: datetime
) -> list[CandidateGrant]:
    """Grants on which a call by ``department`` on ``asset`` may rest: its own and standing offers.

    Those live at ``now`` by the projection; where there is none, up to `RECENTLY_DEAD` dead ones, the newest
    first. The projection only proposes: ids are to be recomputed and slots to be read from the chain.
    """
    asked = {"on": asset_text(asset), "to": department}
    found = _LIVE.mappings(connection, **asked, moment=int(now.timestamp())) or _NEWEST.mappings(
        connection, **asked
    )
    return [
        CandidateGrant(
            row["id"],
            terms_of(row),
            bytes(row["body"] or b""),
            ancestors_of(connection, row["parent"]),
            row["uses"],
            row["grantor"],
        )
        for row in found
    ]


def ancestors_of(connection: Connection, parent: str | None) -> tuple[AncestorGrant, ...]:
    """A grant's parent, its parent, ... up to the root, as far as they are recorded; none where there is no parent."""
    found: list[AncestorGrant] = []
    while parent is not None and len(found) < MAX_ANCESTORS:
        row = _one(connection, _WITH_AGREEMENT.where(_grants.c.id == parent))
        if row is None:
            break
        found.append(AncestorGrant(row["id"], terms_of(row), bytes(row["body"] or b"")))
        parent = row["parent"]
    return tuple(found)


def delegated_from(connection: Connection, grants: Iterable[str]) -> dict[str, frozenset[str]]:
    """Every grant, dead or alive, that was delegated from each of these, directly or through others."""
    found = {grant: frozenset[str]() for grant in grants}
    edges = {grant: {grant} for grant in found}
    while parents := set[str]().union(*edges.values()):
        children: dict[str, set[str]] = {}
        query = select(_grants.c.parent, _grants.c.id).where(_grants.c.parent.in_(parents))
        for parent, child in connection.execute(query):
            children.setdefault(parent, set()).add(child)
        edges = {
            grant: set[str]().union(*(children.get(parent, set()) for parent in edge))
            for grant, edge in edges.items()
        }
        found = {grant: below | edges[grant] for grant, below in found.items()}
    return found


# --------------------------------------------------------------------------- anchors and history


def anchors(connection: Connection) -> list[LogHead]:
    """Every log the anchor contract knows, with its anchored head."""
    found = connection.execute(select(_heads).order_by(_heads.c.epoch, _heads.c.origin)).mappings()
    return [log_head_of(row) for row in found]


def events(
    connection: Connection,
    *,
    name: str | None = None,
    subject: str | None = None,
    tx_hash: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Event]:
    """The history in chain order. ``subject``: ``grant:0x..``, ``asset:7.12`` or ``department:7``."""
    query = (
        select(_events).order_by(_events.c.block_number, _events.c.log_index).limit(check_limit(limit) + 1)
    )
    for column, value in (("name", name), ("subject", subject), ("tx_hash", tx_hash)):
        if value is not None:
            query = query.where(_events.c[column] == value)
    if after is not None:
        query = query.where(
            tuple_(_events.c.block_number, _events.c.log_index) > tuple_(*_pair_cursor(after))
        )
    found = [event_from(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda e: f"{e.block_number}.{e.log_index}")


def asset_entries(connection: Connection) -> list[tuple[int, str]]:
    """Number of the asset and hash of its catalogue entry, for every version that was ever recorded, oldest first."""
    query = (
        select(_events.c.args)
        .where(_events.c.name.in_(("AssetRegistered", "AssetVersioned")))
        .order_by(_events.c.block_number, _events.c.log_index)
    )
    found = [json.loads(args) for args in connection.execute(query).scalars()]
    return [(int(args["asset"]), str(args["metadata"])) for args in found]


# --------------------------------------------------------------------------- inside


def _one(connection: Connection, query: Select[Any]) -> Mapping[Any, Any] | None:
    return connection.execute(query).mappings().one_or_none()


def _number(words: Mapping[int, str], word: str) -> int:
    for number, known in words.items():
        if known == word:
            return number
    raise CursorError(f"there is no status {word[:40]!r}", hint=f"one of {', '.join(words.values())}")


def _pair_cursor(after: str) -> tuple[int, int]:
    first, _, second = after.partition(".")
    return number_cursor(first), number_cursor(second)
