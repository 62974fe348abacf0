"""The grants on which a call may rest, those above and below them, and those that replaced them.

The projection only proposes: ids are to be recomputed and slots to be read from the chain.
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
"""Dead grants offered when no live one is there, so that a refusal can say what became of them."""

# Statements of the call path, built once: building them costs more than running them.
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
    """Those of a grant and the grants ``above`` it whose end (revoked, replaced, cancelled) is recorded. One above that
    was replaced by another of them has not ended for what is below it."""
    found = _ENDED.rows(connection, ids=values_of(connection, (grant_id, *above)))
    return frozenset(str(one) for one, by in found if one == grant_id or by not in above)


def candidate_grants(
    connection: Connection, asset: int, department: int, now: datetime, named: str | None = None
) -> list[CandidateGrant]:
    """Grants on which a call by ``department`` on ``asset`` may rest: its own and standing offers.

    The one that the call names, dead or alive. Where it names none, those live at ``now`` by the projection; where there
    is none of these, up to `RECENTLY_DEAD` dead ones, the newest first. The projection only proposes: ids are to be
    recomputed and slots to be read from the chain.
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
    """A grant's parent, its parent, ... up to the root, as far as they are recorded; none where there is no parent."""
    found: list[AncestorGrant] = []
    while parent is not None and len(found) < MAX_ANCESTORS:
        row = _recorded(connection, parent)
        if row is None:
            break
        found.append(_above(row))
        parent = row["parent"]
    return tuple(found)


def recorded_grants(connection: Connection, ids: Iterable[str]) -> tuple[AncestorGrant, ...]:
    """These grants in the order given; one that is not recorded has neither terms nor an agreement."""
    found: list[AncestorGrant] = []
    for one in ids:
        row = _recorded(connection, one)
        found.append(AncestorGrant(one, {}, b"") if row is None else _above(row))
    return tuple(found)


def replacements(connection: Connection, grant_id: str) -> tuple[str, ...]:
    """The grant that replaced this one, the one that replaced that, ..., as far as they are recorded."""
    found: list[str] = []
    while (known := grant(connection, (grant_id, *found)[-1])) is not None and known.replaced_by is not None:
        if known.replaced_by in found:
            break
        found.append(known.replaced_by)
    return tuple(found)


def newer_grants(connection: Connection, above: Iterable[AncestorGrant]) -> tuple[AncestorGrant, ...]:
    """The grants that replaced any of these, as far as they are recorded."""
    return recorded_grants(connection, (newer for one in above for newer in replacements(connection, one.id)))


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


def _recorded(connection: Connection, grant_id: str) -> Mapping[Any, Any] | None:
    return connection.execute(_WITH_AGREEMENT.where(_grants.c.id == grant_id)).mappings().one_or_none()


def _above(row: Mapping[Any, Any]) -> AncestorGrant:
    return AncestorGrant(_id_of(row), terms_of(row), bytes(row["body"] or b""))


@made_of("sharing_grant")
def _id_of(row: Mapping[Any, Any]) -> str:
    """The id, which names a slot of the chain."""
    return parse_grant(row["id"])
