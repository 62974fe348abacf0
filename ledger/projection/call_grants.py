"""The grants that may permit a call, their parent and delegated grants, and their replacements.

The projection only gives candidates: the caller must recompute the ids and read the slots from the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from contracts.codes import GrantStatus
from ledger.chain.limits import MAX_ANCESTORS
from ledger.ids import asset_text, parse_grant
from ledger.outbox.store import documents
from ledger.projection.queries import EVERYBODY, grant
from ledger.projection.views import AncestorGrant, CandidateGrant, terms_of
from ledger.store.prepared import Prepared, among, values_of
from ledger.store.stored import made_of
from ledger.store.tables import projection as rows
from ledger.store.tables import table_of

_grants = table_of(rows.GrantRow)

RECENTLY_DEAD = 8
"""The most ended grants that are returned when there is no live one, so that a refusal can state how they ended."""

# Statements of the call path are built once, because building them takes longer than running them.
_WITH_AGREEMENT = select(_grants, documents.c.body).join(
    documents, _grants.c.terms_hash == "0x" + documents.c.sha256, isouter=True
)
_MINE = _WITH_AGREEMENT.where(
    _grants.c.asset == bindparam("on"),
    or_(_grants.c.grantee == bindparam("to"), _grants.c.grantee == EVERYBODY),
    _grants.c.kind == "terms",
)
_ENDED = Prepared(
    lambda dialect: select(_grants.c.id, _grants.c.replaced_by).where(
        among(dialect, _grants.c.id, "ids"), _grants.c.state != GrantStatus.ACTIVE
    )
)
_LIVE = Prepared(
    _MINE.where(
        _grants.c.state == GrantStatus.ACTIVE,
        _grants.c.not_before <= bindparam("moment"),
        _grants.c.expiry > bindparam("moment"),
    ).order_by(_grants.c.block_number, _grants.c.log_index)
)
_NAMED = Prepared(_MINE.where(_grants.c.id == bindparam("named")))
_NEWEST = Prepared(
    _MINE.order_by(_grants.c.block_number.desc(), _grants.c.log_index.desc()).limit(RECENTLY_DEAD)
)


def ended_grants(connection: Connection, grant_id: str, above: Collection[str] = ()) -> frozenset[str]:
    """Those of a grant and the grants ``above`` it whose end (revoked, replaced, cancelled) is recorded.

    A grant above that was replaced by another one of ``above`` is not counted as ended.
    """
    found = _ENDED.rows(connection, ids=values_of(connection, (grant_id, *above)))
    return frozenset(str(one) for one, by in found if one == grant_id or by not in above)


def candidate_grants(
    connection: Connection, asset: int, department: int, now: datetime, named: str | None = None
) -> list[CandidateGrant]:
    """The grants that may permit a call by ``department`` on ``asset``: its own grants and standing offers.

    When the call names a grant, this one only, also an ended one. Otherwise the grants that are live at ``now`` by the
    projection, or if there is none, at most `RECENTLY_DEAD` ended ones, the newest first. The caller must recompute the ids
    and read the slots from the chain.
    """
    asked = {"on": asset_text(asset), "to": department}
    if named is not None:
        found = _NAMED.mappings(connection, **asked, named=named)
    else:
        found = _LIVE.mappings(connection, **asked, moment=int(now.timestamp())) or _NEWEST.mappings(
            connection, **asked
        )
    return [
        CandidateGrant(
            _id_of(row),
            terms_of(row),
            bytes(row["body"] or b""),
            ancestors_of(connection, row["parent"]),
            row["uses"],
            row["grantor"],
        )
        for row in found
    ]


def ancestors_of(connection: Connection, parent: str | None) -> tuple[AncestorGrant, ...]:
    """The recorded ancestors of a grant with this ``parent``, from the parent up to the root; empty without a parent."""
    found: list[AncestorGrant] = []
    while parent is not None and len(found) < MAX_ANCESTORS:
        row = _recorded(connection, parent)
        if row is None:
            break
        found.append(_above(row))
        parent = row["parent"]
    return tuple(found)


def recorded_grants(connection: Connection, ids: Iterable[str]) -> tuple[AncestorGrant, ...]:
    """These grants in the order given. A grant that is not recorded has empty terms and an empty agreement."""
    found: list[AncestorGrant] = []
    for one in ids:
        row = _recorded(connection, one)
        found.append(AncestorGrant(one, {}, b"") if row is None else _above(row))
    return tuple(found)


def replacements(connection: Connection, grant_id: str) -> tuple[str, ...]:
    """The recorded replacements of a grant: the grant that replaced it, the one that replaced that grant, and so on."""
    found: list[str] = []
    while (known := grant(connection, (grant_id, *found)[-1])) is not None and known.replaced_by is not None:
        if known.replaced_by in found:
            break
        found.append(known.replaced_by)
    return tuple(found)


def newer_grants(connection: Connection, above: Iterable[AncestorGrant]) -> tuple[AncestorGrant, ...]:
    """The recorded replacements of all these grants."""
    return recorded_grants(connection, (newer for one in above for newer in replacements(connection, one.id)))


def delegated_from(connection: Connection, grants: Iterable[str]) -> dict[str, frozenset[str]]:
    """For each of these grants, all grants delegated from it, directly or indirectly, ended ones included."""
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


def _recorded(connection: Connection, grant_id: str) -> Mapping[Any, Any] | None:
    return connection.execute(_WITH_AGREEMENT.where(_grants.c.id == grant_id)).mappings().one_or_none()


def _above(row: Mapping[Any, Any]) -> AncestorGrant:
    return AncestorGrant(_id_of(row), terms_of(row), bytes(row["body"] or b""))


@made_of("sharing_grant")
def _id_of(row: Mapping[Any, Any]) -> str:
    """The grant id of a row; it determines the slot of the chain."""
    return parse_grant(row["id"])
