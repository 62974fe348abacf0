"""Queries of the projection. Lists are returned in pages; results are frozen values of ``views``.

Use a connection of ``reader(engine)``: one snapshot, no lock. `version` grows with every change, so a result may be cached
until the version changes. Pending revocations are not part of the projection (`ledger.outbox.denials`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select, tuple_

from contracts.codes import MACHINES, DepartmentStatus
from ledger.chain.events import Event
from ledger.ids import asset_text
from ledger.outbox.denials import pending_callers
from ledger.outbox.store import document
from ledger.pages import CursorError, Page, check_limit, number_cursor, page_of
from ledger.projection.commit import event_from, read_cursor
from ledger.projection.views import (
    ASSET_STATUS,
    GRANT_STATUS,
    Asset,
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
)
from ledger.store.prepared import Prepared
from ledger.store.stored import made_of
from ledger.store.tables import projection as rows
from ledger.store.tables import table_of

__all__ = [
    "Asset",
    "AssetVersion",
    "Council",
    "Department",
    "DepartmentDetail",
    "Grant",
    "LogHead",
    "Page",
    "Seat",
    "ServiceKey",
    "anchors",
    "asset",
    "asset_parents",
    "asset_version",
    "asset_versions",
    "assets",
    "council",
    "department",
    "departments",
    "document",
    "events",
    "followed_block",
    "grant",
    "grants",
    "keys_ending",
    "officer",
    "on_record",
    "service_key",
    "version",
]

_departments = table_of(rows.DepartmentRow)
_seats = table_of(rows.SeatRow)
_keys = table_of(rows.ServiceKeyRow)
_councils = table_of(rows.CouncilRow)
_assets = table_of(rows.AssetRow)
_parents = table_of(rows.AssetParentRow)
_grants = table_of(rows.GrantRow)
_heads = table_of(rows.LogHeadRow)
_events = table_of(rows.ChainEventRow)

EVERYBODY = 0
"""The grantee of a standing offer."""


# Statements of the call path are built once, because building them takes longer than running them.
_KEY_IN_FORCE = Prepared(
    select(_keys)
    .join(_departments, _departments.c.number == _keys.c.department)
    .where(
        _keys.c.department == bindparam("of"),
        _keys.c.key == bindparam("public"),
        _keys.c.removed.is_(False),
        _departments.c.standing == DepartmentStatus.ACTIVE,
    )
)
_ASSET = Prepared(select(_assets).where(_assets.c.id == bindparam("asset_id")))


def version(connection: Connection) -> int:
    """The version of the projection; it grows with every commit that changes it. 0 before the first."""
    cursor = read_cursor(connection)
    return cursor.version if cursor else 0


def followed_block(connection: Connection) -> int:
    """The number of the last block that was read; 0 before the first."""
    cursor = read_cursor(connection)
    return cursor.block_number if cursor else 0


# --------------------------------------------------------------------------- departments


def service_key(
    connection: Connection, department: int, public_key: bytes, at: datetime
) -> ServiceKey | None:
    """The key, if it is in force at ``at`` and its department is active; None otherwise.

    A key with a pending removal, or of a department with a pending suspension, is not in force.
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


def keys_ending(connection: Connection, after: int, before: int) -> list[ServiceKey]:
    """The service keys in force whose last second is between two moments (unix seconds), the first to end first."""
    query = (
        select(_keys)
        .where(~_keys.c.removed, _keys.c.not_after >= after, _keys.c.not_after < before)
        .order_by(_keys.c.not_after)
    )
    return [service_key_of(row) for row in connection.execute(query).mappings()]


def officer(connection: Connection, address: str) -> Seat | None:
    """The seat of an officer or attest key by its address (EIP-55), in office or not; None without one."""
    row = _one(connection, select(_seats).where(_seats.c.holder == address))
    return None if row is None else seat_of(row)


def department(connection: Connection, number: int) -> DepartmentDetail | None:
    """A department with its officers, attest keys and service keys, former ones included; None when unknown."""
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
    """One page of departments, ordered by number."""
    query = (
        select(_departments)
        .where(_departments.c.number > number_cursor(after))
        .order_by(_departments.c.number)
        .limit(check_limit(limit) + 1)
    )
    found = [department_of(row) for row in connection.execute(query).mappings()]
    return page_of(found, limit, lambda d: str(d.number))


def council(connection: Connection) -> Council | None:
    """The council; None before the deployment's first block was read."""
    row = _one(connection, select(_councils).where(_councils.c.id == 1))
    return None if row is None else council_of(row)


# --------------------------------------------------------------------------- assets


def asset(connection: Connection, number: int) -> Asset | None:
    """The asset with this number on chain; None when unknown."""
    found = _ASSET.mappings(connection, asset_id=asset_text(number))
    return asset_of(found[0]) if found else None


def asset_parents(connection: Connection, number: int) -> list[tuple[str, str | None]]:
    """The parents of a derived asset: pairs of asset (text) and the grant under which it was processed, if any."""
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
    """One page of assets, ordered by department and sequence. ``department`` is the registering one, ``holder`` the
    present holder."""
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
    """The grant with this id; None when unknown."""
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
    """One page of grants, in the order in which the chain recorded them."""
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


def on_record(connection: Connection, member: str, value: str) -> bool:
    """Whether there is a ``grant`` of this id, or a dataset with this ``metadata`` (0x and 64 hex digits)."""
    column = {"grant": _grants.c.id, "metadata": _assets.c.metadata_hash}[member]
    return connection.execute(select(column).where(column == value).limit(1)).first() is not None


# --------------------------------------------------------------------------- anchors and history


def anchors(connection: Connection) -> list[LogHead]:
    """Every audit log in the anchor contract, with its anchored head."""
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
    """One page of the history, in chain order. ``subject`` is ``grant:0x..``, ``asset:7.12``, ``condition:3.1`` or
    ``department:7``."""
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


@made_of("chain_event")
def asset_entries(connection: Connection) -> list[tuple[int, str]]:
    """Asset number and hash of the catalogue entry for every recorded version of every asset, the oldest first."""
    query = (
        select(_events.c.args)
        .where(_events.c.name.in_(("AssetRegistered", "AssetVersioned")))
        .order_by(_events.c.block_number, _events.c.log_index)
    )
    found = [json.loads(args) for args in connection.execute(query).scalars()]
    return [(int(args["asset"]), str(args["metadata"])) for args in found]


@dataclass(frozen=True, slots=True)
class AssetVersion:
    """One version of an asset: its number, the hash of its catalogue entry, and the number of the block that recorded it."""

    number: int
    metadata_hash: str
    block: int


_ALL_VERSIONS = (
    select(_events.c.args, _events.c.block_number)
    .where(
        _events.c.subject == bindparam("about"),
        or_(_events.c.name == "AssetRegistered", _events.c.name == "AssetVersioned"),
    )
    .order_by(_events.c.block_number, _events.c.log_index)
)
_VERSIONS = Prepared(_ALL_VERSIONS)
_VERSION = Prepared(_ALL_VERSIONS.limit(1).offset(bindparam("before")))


def asset_versions(connection: Connection, asset_id: str) -> list[AssetVersion]:
    """All recorded versions of an asset (text such as ``7.12``), the oldest first."""
    return [_version(row) for row in _VERSIONS.mappings(connection, about=f"asset:{asset_id}")]


def asset_version(connection: Connection, asset_id: str, number: int) -> AssetVersion | None:
    """One version of an asset (text) by its number, counted from 1 without gaps; None when it is not recorded."""
    found = _VERSION.mappings(connection, about=f"asset:{asset_id}", before=number - 1)
    version = _version(found[0]) if found else None
    return version if version is not None and version.number == number else None


@made_of("chain_event")
def _version(row: Mapping[str, Any]) -> AssetVersion:
    args = json.loads(row["args"])
    return AssetVersion(int(args.get("version", 1)), str(args["metadata"]), int(row["block_number"]))


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
