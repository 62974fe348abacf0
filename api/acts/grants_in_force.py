"""The agreements in force, by the projection: for questions about them, never for a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from access_policy.terms import Agreement, parse_terms
from ledger.projection.queries import ancestors_of, document, grant, grants

MOST = 500
"""Grants that an analysis looks at; beyond, it would be slow and say little."""


@dataclass(frozen=True, slots=True)
class InForce:
    """Agreements by grant id, and for the delegated ones the ids and agreements above them, the parent first."""

    agreements: dict[str, Agreement] = field(default_factory=dict)
    ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = field(default_factory=dict)


def agreements_of_asset(connection: Connection, asset: int, now: datetime) -> InForce:
    """Agreements of the active grants on an asset."""
    return _read(connection, now, asset=asset)


def agreements_of_department(connection: Connection, department: int, now: datetime) -> InForce:
    """Agreements of the active grants to a department, and of standing offers."""
    own, offers = _read(connection, now, grantee=department), _read(connection, now, grantee=0)
    return InForce(own.agreements | offers.agreements, own.ancestors)


def _read(
    connection: Connection, now: datetime, *, asset: int | None = None, grantee: int | None = None
) -> InForce:
    found = InForce()
    after: str | None = None
    while len(found.agreements) < MOST:
        page = grants(connection, asset=asset, grantee=grantee, status="active", after=after, limit=100)
        for item in page.items:
            body = document(connection, str(item.terms.get("termsHash", "")).removeprefix("0x"))
            above = _above(connection, item.parent)
            if body is None or item.expiry <= now.timestamp() or above is None:
                continue
            terms = parse_terms(body)
            if isinstance(terms, Agreement):
                found.agreements[item.id] = terms
                if above:
                    found.ancestors[item.id] = above
        after = page.next
        if after is None:
            break
    return found


def _above(connection: Connection, parent: str | None) -> tuple[tuple[str, Agreement], ...] | None:
    """The grants above a delegated one; None when one of them has ended or its agreement is not here."""
    found: list[tuple[str, Agreement]] = []
    for ancestor in ancestors_of(connection, parent):
        row = grant(connection, ancestor.id)
        terms = parse_terms(ancestor.agreement) if ancestor.agreement else None
        if row is None or row.status != "active" or not isinstance(terms, Agreement):
            return None
        found.append((ancestor.id, terms))
    return tuple(found)
