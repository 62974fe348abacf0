"""The agreements of the grants that can be used now: for analyses, never for a decision.

`api.calls.standings` says which these are, as in the register: a grant on a retired dataset, a grant that was
not accepted, or one whose uses are spent permits no call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from access_policy.terms.agreement import Agreement, parse_terms
from api.calls.standings import ACTIVE, Standings
from ledger.projection.call_grants import ancestors_of, newer_grants
from ledger.projection.queries import Grant, document, grants

MOST = 500
"""The limit of grants in an analysis; more would make it slow and hard to read."""


@dataclass(frozen=True, slots=True)
class InForce:
    """Agreements by grant id, and for delegated grants the ids and agreements of the ancestors, the parent
    first."""

    agreements: dict[str, Agreement] = field(default_factory=dict)
    ancestors: dict[str, tuple[tuple[str, Agreement], ...]] = field(default_factory=dict)


def agreements_of_asset(standings: Standings, asset: int, now: datetime) -> InForce:
    """Agreements of the active grants on an asset."""
    return _read(standings, now, asset=asset)


def agreements_of_department(standings: Standings, department: int, now: datetime) -> InForce:
    """Agreements of the active grants to a department, and of the offers to all departments."""
    own = _read(standings, now, grantee=department)
    offers = _read(standings, now, grantee=0)
    return InForce(own.agreements | offers.agreements, own.ancestors)


def _read(
    standings: Standings, now: datetime, *, asset: int | None = None, grantee: int | None = None
) -> InForce:
    found = InForce()
    after: str | None = None
    while len(found.agreements) < MOST:
        with standings.reading.connect() as connection:
            page = grants(connection, asset=asset, grantee=grantee, status="active", after=after, limit=100)
        standing = standings.of(page.items, now)
        with standings.reading.connect() as connection:
            for item in page.items:
                if standing[item.id].word == ACTIVE:
                    _add(found, connection, item)
        after = page.next
        if after is None:
            break
    return found


def _add(found: InForce, connection: Connection, item: Grant) -> None:
    body = document(connection, str(item.terms.get("termsHash", "")).removeprefix("0x"))
    above = _above(connection, item.parent)
    terms = None if body is None or above is None else parse_terms(body)
    if isinstance(terms, Agreement):
        found.agreements[item.id] = terms
        if above:
            found.ancestors[item.id] = above


def _above(connection: Connection, parent: str | None) -> tuple[tuple[str, Agreement], ...] | None:
    """The ancestors of a delegated grant and the grants that replaced one of them; None if the agreement of
    one is missing."""
    found: list[tuple[str, Agreement]] = []
    above = ancestors_of(connection, parent)
    for ancestor in (*above, *newer_grants(connection, above)):
        terms = parse_terms(ancestor.agreement) if ancestor.agreement else None
        if not isinstance(terms, Agreement):
            return None
        found.append((ancestor.id, terms))
    return tuple(found)
