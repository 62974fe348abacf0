"""Checks delegated terms before they are recorded: they must not be wider than the terms above them.

Every call under wider terms would be refused under the chain anyway (``access_policy.decision.chains``). This check
tells the signing steward what is wider, and prevents the record of terms that permit nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from access_policy.analysis.narrowing import Wider, wider
from access_policy.terms.agreement import Agreement, parse_terms, terms_hash
from api.runtime.errors import RefusedError
from languages.texts import in_both
from ledger.outbox import SignedAct
from ledger.projection.call_grants import ancestors_of, newer_grants
from ledger.projection.queries import asset

MAX_COMPARED = 4
"""The number of grants above that are compared, the nearest first, together with the grants that replaced them:
each may take seconds. All of them are applied at every call."""


def check_delegation(connection: Connection, act: SignedAct) -> None:
    """RefusedError ``terms.wider-than-parent`` with what is wider than which grant above; ``act.document-missing``
    if the terms above are not stored. It is the last check, after signatures and authority. An act that delegates
    nothing, or from an unknown grant, is left to the other checks."""
    if act.type != "Terms":
        return
    above = ancestors_of(connection, act.message["parent"])
    child = _agreement(act) if above else None
    if child is None:
        return
    row = asset(connection, int(act.message["asset"]))
    version = None if row is None else row.version
    nearest = above[:MAX_COMPARED]
    for ancestor in (*nearest, *newer_grants(connection, nearest)[-MAX_COMPARED:]):
        terms = parse_terms(ancestor.agreement) if ancestor.agreement else None
        if not isinstance(terms, Agreement):
            raise RefusedError(
                "act.document-missing", in_both("the agreement of grant {id} is not here", id=ancestor.id)
            )
        found = wider(child, terms, version)
        if found:
            said = "; ".join(_words(one) for one in found)
            raise RefusedError(
                "terms.wider-than-parent",
                f"the terms are wider than those of grant {ancestor.id}, from which they are delegated: {said}",
                {"ancestor": ancestor.id, "wider": [_document(one) for one in found]},
            )


def _agreement(act: SignedAct) -> Agreement | None:
    for body in act.documents:
        terms = parse_terms(body)
        if isinstance(terms, Agreement) and "0x" + terms_hash(terms).hex() == act.message["termsHash"]:
            return terms
    return None


def _words(one: Wider) -> str:
    said = one.code
    if one.seen:
        said += f" ({', '.join(one.seen[:10])}{', ...' if len(one.seen) > 10 else ''})"
    return said if one.wanted is None else f"{said}, above: {one.wanted}"


def _document(one: Wider) -> dict[str, Any]:
    return {"code": one.code, "seen": list(one.seen)} | ({"wanted": one.wanted} if one.wanted else {})
