"""The agreements of the grants that can be used now: for questions about them, never for a decision.

Which these are `api.acts.standing` says, as in the register: a grant on a retired dataset, one that nobody accepted or whose
uses are spent lets nobody in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from access_policy.terms import Agreement, parse_terms
from api.acts.standing import ACTIVE, standings
from api.gateway import Gateway
from ledger.projection.queries import ancestors_of, document, grants

MOST = 500
"""Grants that an analysis looks at; beyond, it would be slow and say little."""


@dataclass(frozen=True, slots=True)
class InForce:
    """Agreements by grant id, and for the delegated ones the ids and agreements above them, the parent first."""

    agreements: dict[str, Agreement] = field(default_factory=dict)
    ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = field(default_factory=dict)


def agreements_of_asset(gateway: Gateway, connection: Connection, asset: int, now: datetime) -> InForce:
    """Agreements of the active grants on an asset."""
    return _read(gateway, connection, now, asset=asset)


def agreements_of_department(
    gateway: Gateway, connection: Connection, department: int, now: datetime
) -> InForce:
    """Agreements of the active grants to a department, and of standing offers."""
    own = _read(gateway, connection, now, grantee=department)
    offers = _read(gateway, connection, now, grantee=0)
    return InForce(own.agreements | offers.agreements, own.ancestors)


def _read(
    gateway: Gateway,
    connection: Connection,
    now: datetime,
    *,
    asset: int | None = None,
    grantee: int | None = None,
) -> InForce:
    found = InForce()
    after: str | None = None
    while len(found.agreements) < MOST:
        page = grants(connection, asset=asset, grantee=grantee, status="active", after=after, limit=100)
        stand = standings(gateway, connection, page.items, now)
        for item in page.items:
            body = document(connection, str(item.terms.get("termsHash", "")).removeprefix("0x"))
            above = _above(connection, item.parent)
            if body is None or above is None or stand[item.id].word != ACTIVE:
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
    """The grants above a delegated one; None when the agreement of one of them is not here."""
    found: list[tuple[str, Agreement]] = []
    for ancestor in ancestors_of(connection, parent):
        terms = parse_terms(ancestor.agreement) if ancestor.agreement else None
        if not isinstance(terms, Agreement):
            return None
        found.append((ancestor.id, terms))
    return tuple(found)
