"""The agreements in force, by the projection: for questions about them, never for a decision."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from access_policy.terms import Agreement, parse_terms
from ledger.projection.queries import document, grants

MOST = 500
"""Grants that an analysis looks at; beyond, it would be slow and say little."""


def agreements_of_asset(connection: Connection, asset: int, now: datetime) -> dict[str, Agreement]:
    """Agreements of the active grants on an asset, by grant id."""
    return _read(connection, now, asset=asset)


def agreements_of_department(connection: Connection, department: int, now: datetime) -> dict[str, Agreement]:
    """Agreements of the active grants to a department, and of standing offers."""
    return _read(connection, now, grantee=department) | _read(connection, now, grantee=0)


def _read(
    connection: Connection, now: datetime, *, asset: int | None = None, grantee: int | None = None
) -> dict[str, Agreement]:
    found: dict[str, Agreement] = {}
    after: str | None = None
    while len(found) < MOST:
        page = grants(connection, asset=asset, grantee=grantee, status="active", after=after, limit=100)
        for item in page.items:
            body = document(connection, str(item.terms.get("termsHash", "")).removeprefix("0x"))
            if body is None or item.expiry <= now.timestamp():
                continue
            terms = parse_terms(body)
            if isinstance(terms, Agreement):
                found[item.id] = terms
        after = page.next
        if after is None:
            break
    return found
