"""The results of queries of the projection: frozen values made from rows, with words instead of codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.codes import (
    AssetStatus,
    ConditionKind,
    ConditionStatus,
    DepartmentStatus,
    Grade,
    GrantStatus,
    Right,
    Role,
    SeatFlag,
    ServiceRole,
    Sharing,
)
from ledger.chain.code_words import word_of
from ledger.chain.limits import NOTHING
from ledger.ids import parse_asset, parse_grant
from ledger.store.stored import made_of

ASSET_STATUS = {number.value: word_of(number) for number in AssetStatus}
GRANT_STATUS = {number.value: word_of(number) for number in GrantStatus}

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Seat:
    """An officer or an attest key. ``status``: active, removed or rotated (to ``successor``)."""

    address: str
    department: int
    roles: frozenset[str]
    not_before: int
    not_after: int
    status: str
    successor: str | None

    def in_office(self, now: datetime) -> bool:
        """Whether the seat may sign at ``now``."""
        return self.status == "active" and self.not_before <= now.timestamp() <= self.not_after


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A key with which a department's machines call: Ed25519 and HPKE keys as 64 hex digits."""

    department: int
    key: str
    hpke: str
    roles: frozenset[str]
    not_before: int
    not_after: int
    removed: bool


@dataclass(frozen=True, slots=True)
class Department:
    """A department. ``profile`` is the hash of its catalogue entry, ``recovery`` the address of its recovery key."""

    number: int
    status: str
    recovery: str
    profile: str
    admitted_at: datetime


@dataclass(frozen=True, slots=True)
class DepartmentDetail:
    """A department with its officers and keys."""

    department: Department
    officers: tuple[Seat, ...]
    attest_keys: tuple[Seat, ...]
    service_keys: tuple[ServiceKey, ...]


@dataclass(frozen=True, slots=True)
class Asset:
    """A registered asset. ``number`` is its number on chain, ``id`` its text (7.12)."""

    number: int
    id: str
    department: int
    holder: int
    processor: int
    operator: int
    grade: str
    sharing: str
    version: int
    status: str
    metadata_hash: str
    since: datetime
    versioned_at: datetime
    officer: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant: the signed terms and its state.

    ``terms`` are the members of the signed Terms, whose struct hash is ``id``; empty for an emergency or cancelled grant.
    ``left`` is maxUses minus the uses that were delegated; ``uses`` is the last total on chain. ``not_before``, ``expiry``
    and ``ratify_by`` are in unix seconds.
    """

    id: str
    asset: int
    grantee: int
    right: str
    terms: Mapping[str, Any]
    kind: str
    status: str
    not_before: int
    expiry: int
    left: int
    uses: int
    grantor: int
    officer: str
    granted_at: datetime
    parent: str | None
    ended_at: datetime | None
    ended_by: str | None
    reason: int | None
    replaced_by: str | None
    ratify_by: int | None
    ratified_by: int | None


@dataclass(frozen=True, slots=True)
class AncestorGrant:
    """A grant from which another one was delegated: the signed Terms and the stored bytes of the agreement."""

    id: str
    terms: Mapping[str, Any]
    agreement: bytes


@dataclass(frozen=True, slots=True)
class CandidateGrant:
    """A grant that may permit a call.

    ``agreement`` is the stored agreement, empty when it is missing; a caller must compare its hash with the Terms.
    ``ancestors`` begin with the parent. ``newer`` are the grants that replaced an ancestor; their agreements also apply.
    """

    id: str
    terms: Mapping[str, Any]
    agreement: bytes
    ancestors: tuple[AncestorGrant, ...]
    uses: int
    grantor: int
    newer: tuple[AncestorGrant, ...] = ()

    @property
    def chain(self) -> tuple[Mapping[str, Any], ...]:
        """The argument of `ledger.chain.grants.grant_states` for a delegated grant; empty for a direct one."""
        return (self.terms, *(above.terms for above in self.ancestors)) if self.ancestors else ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition outside the chain on which grants depend; ``commitment`` is the salted hash of its description."""

    id: str
    keeper: int
    kind: str
    status: str
    commitment: str
    officer: str
    opened_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    reason: int | None


@dataclass(frozen=True, slots=True)
class LogHead:
    """An audit log in the anchor contract, with its anchored head."""

    origin: str
    operator: int
    quorum: int
    epoch: int
    size: int
    root: str
    time: datetime
    block_number: int
    tx_hash: str
    successor: str | None
    proven: bool | None


@dataclass(frozen=True, slots=True)
class Council:
    """The council and the guardian of the deployment. Times are in unix seconds."""

    members: tuple[str, ...]
    threshold: int
    guardian: str
    epoch: int
    paused_until: int
    successor: str | None
    """The contract to which a hand-over is announced; None without one."""
    hand_over: str | None
    freeze_at: int
    hand_over_at: int


def moment(seconds: int) -> datetime:
    """The time of unix seconds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def words(roles: type[Role] | type[ServiceRole], bits: int) -> frozenset[str]:
    """The words of the roles whose bits are set."""
    return frozenset(word_of(role) for role in roles if bits & role)


@made_of("seat")
def seat_of(row: Row) -> Seat:
    status = (
        "rotated"
        if row["flags"] & SeatFlag.ROTATED
        else "removed"
        if row["flags"] & SeatFlag.REMOVED
        else "active"
    )
    return Seat(
        row["holder"],
        row["department"],
        words(Role, row["roles"]),
        row["not_before"],
        row["not_after"],
        status,
        row["successor"],
    )


@made_of("service_key")
def service_key_of(row: Row) -> ServiceKey:
    return ServiceKey(
        row["department"],
        row["key"].removeprefix("0x"),
        row["hpke"].removeprefix("0x"),
        words(ServiceRole, row["roles"]),
        row["not_before"],
        row["not_after"],
        bool(row["removed"]),
    )


@made_of("department")
def department_of(row: Row) -> Department:
    return Department(
        row["number"],
        word_of(DepartmentStatus(row["standing"])),
        row["recovery"],
        row["profile"],
        moment(row["admitted_at"]),
    )


@made_of("asset")
def asset_of(row: Row) -> Asset:
    return Asset(
        parse_asset(row["id"]),
        row["id"],
        row["department"],
        row["holder"],
        row["processor"],
        row["operator"],
        word_of(Grade(row["grade"])),
        word_of(Sharing(row["sharing"])),
        row["version"],
        ASSET_STATUS[row["status"]],
        row["metadata_hash"],
        moment(row["since"]),
        moment(row["versioned_at"]),
        row["officer"],
    )


@made_of("sharing_grant")
def terms_of(row: Row) -> dict[str, Any]:
    """The signed Terms of a grant, as a message."""
    return {
        "asset": int(parse_asset(row["asset"])),
        "grantee": row["grantee"],
        "right": row["right"],
        "notBefore": row["not_before"],
        "expiry": row["expiry"],
        "maxUses": row["max_uses"],
        "depth": row["depth"],
        "deadline": row["deadline"],
        "termsHash": row["terms_hash"],
        "parent": row["parent"] or NOTHING,
        "salt": int(row["salt"]),
    }


@made_of("sharing_grant")
def grant_of(row: Row) -> Grant:
    ended = row["ended_at"]
    return Grant(
        id=parse_grant(row["id"]),
        asset=parse_asset(row["asset"]),
        grantee=row["grantee"],
        right=word_of(Right(row["right"])) if row["right"] else "none",
        terms=terms_of(row) if row["kind"] == "terms" else {},
        kind=row["kind"],
        status=GRANT_STATUS[row["state"]],
        not_before=row["not_before"],
        expiry=row["expiry"],
        left=row["left"],
        uses=row["uses"],
        grantor=row["grantor"],
        officer=row["officer"],
        granted_at=moment(row["granted_at"]),
        parent=row["parent"],
        ended_at=None if ended is None else moment(ended),
        ended_by=row["ended_by"],
        reason=row["reason"],
        replaced_by=row["replaced_by"],
        ratify_by=row["ratify_by"],
        ratified_by=row["ratified_by"],
    )


@made_of("sharing_condition")
def condition_of(row: Row) -> Condition:
    ended = row["ended_at"]
    return Condition(
        id=row["id"],
        keeper=row["keeper"],
        kind=word_of(ConditionKind(row["kind"])),
        status=word_of(ConditionStatus(row["state"])),
        commitment=row["commitment"],
        officer=row["officer"],
        opened_at=moment(row["opened_at"]),
        ended_at=None if ended is None else moment(ended),
        ended_by=row["ended_by"],
        reason=row["reason"],
    )


@made_of("log_head")
def log_head_of(row: Row) -> LogHead:
    return LogHead(
        row["origin"],
        row["operator"],
        row["quorum"],
        row["epoch"],
        row["size"],
        row["root"],
        moment(row["time"]),
        row["block_number"],
        row["tx_hash"],
        row["successor"],
        row["proven"],
    )


@made_of("council")
def council_of(row: Row) -> Council:
    return Council(
        tuple(json.loads(row["members"])),
        row["threshold"],
        row["guardian"],
        row["epoch"],
        row["paused_until"],
        row["successor"],
        row["hand_over"],
        row["freeze_at"],
        row["hand_over_at"],
    )
