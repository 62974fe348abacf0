"""The versions of a dataset that grants still read after a newer one replaced them: their files are kept.

A delegated grant reads a version no longer than every grant above it: if one of them does not pin it, the version
is read only while it is the current one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.slots import lasting_pins
from ledger.chain.grants import ENDED
from ledger.outbox.store import open_messages
from ledger.pages import MAX_LIMIT
from ledger.projection.call_grants import ancestors_of, newer_grants
from ledger.projection.queries import Grant, asset, document, grants
from ledger.projection.states import projected_states
from ledger.projection.views import AncestorGrant


def pinned_versions(connection: Connection, number: int, now: datetime) -> frozenset[int]:
    """The versions of a dataset that are pinned by a grant that has not ended permanently, or by one that is being
    sent to the chain; none of a retired dataset. A grant that is suspended or not yet accepted counts, because it
    may become live."""
    row = asset(connection, number)
    if row is None or row.status == "retired":
        return frozenset()
    found: set[int] = set()
    for one, above in _open_grants(connection, number):
        found |= _pins(connection, one, above)
    for item in _active_grants(connection, number):
        if item.expiry <= now.timestamp() or not item.terms:
            continue
        line = ancestors_of(connection, item.parent)
        pins = _pins(connection, item.terms, line)
        if not pins <= found and _may_become_live(connection, item, line, now):
            found |= pins
    return frozenset(found)


def _active_grants(connection: Connection, number: int) -> Iterator[Grant]:
    after: str | None = None
    while True:
        page = grants(connection, asset=number, status="active", after=after, limit=MAX_LIMIT)
        yield from page.items
        after = page.next
        if after is None:
            return


def _open_grants(
    connection: Connection, number: int
) -> Iterator[tuple[Mapping[str, Any], tuple[AncestorGrant, ...]]]:
    """The signed Terms over a dataset whose acts are accepted and not final, each with the grants above it."""
    for message in open_messages(connection, ("Terms", "GrantBatch")):
        for terms in message.get("grants", [message]):
            if int(terms["asset"]) == number:
                yield terms, ancestors_of(connection, str(terms["parent"]))


def _pins(connection: Connection, terms: Mapping[str, Any], above: Iterable[AncestorGrant]) -> frozenset[int]:
    body = document(connection, str(terms["termsHash"]).removeprefix("0x"))
    if body is None or b'"version"' not in body:  # Most grants pin nothing, and are not parsed for it.
        return frozenset()
    own = _agreement(body)
    if own is None:
        return frozenset()
    line = (*above, *newer_grants(connection, above))
    return lasting_pins(own, [agreement for one in line if (agreement := _agreement(one.agreement))])


def _may_become_live(
    connection: Connection, item: Grant, above: tuple[AncestorGrant, ...], now: datetime
) -> bool:
    chain = [item.terms, *(one.terms for one in above)] if item.parent is not None else []
    ended = projected_states(connection, {item.id: chain}, now)[item.id].why_ended(now) or ""
    return ended.removeprefix("ancestor-") not in ENDED


@lru_cache(maxsize=1_024)
def _agreement(body: bytes | None) -> Agreement | None:
    try:
        terms = parse_terms(body) if body else None
    except PolicyError:
        return None
    return terms if isinstance(terms, Agreement) else None
