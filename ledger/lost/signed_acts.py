"""The signed acts of the outbox for a bundle, with the entries that name them.

Types with free text are left out, so that a bundle has only ids, hashes, numbers and signatures. Acts of machines and acts
about the log are left out too, because a restored log does not need them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from ledger.audit.log.reading import LogReader, known_entries
from ledger.audit.log.tiles import entry_table
from ledger.audit.verify.acts import TAKEN, BundledAct, NamedActs, act_line
from ledger.chain.deployment import Deployment
from ledger.store.engine import reader
from ledger.store.tables import table_of
from ledger.store.tables.outbox import OutboxActRow

_acts = table_of(OutboxActRow)

LEFT_OUT = ("Use", "UseBatch", "TreeHead", "OpenLog", "NewEpoch")

_AT_ONCE = 500
"""The number of officers in one query."""

Entry = tuple[int, bytes]
"""Index and leaf of an entry."""


def signed_acts(log: LogReader, deployment: Deployment, start: int, end: int) -> Iterator[bytes]:
    """The lines of the acts file for the entries from ``start`` to before ``end``; empty when they name no act.

    An act is listed with the entry of its event, or without one with the newest entry of its acceptance. A changed row is
    left out: a bundle contains only acts that its entries name.
    """
    with reader(log.engine).connect() as connection:
        rows = connection.execute(select(_acts).where(_acts.c.type.not_in(LEFT_OUT))).all()
        named = _by_events(connection, rows, start, end)
        rest = {str(row.digest): str(row.signer) for row in rows if row.digest not in named}
        named |= _by_taking(connection, rest, start, end)
    found: list[BundledAct] = []
    for row in rows:
        for index, leaf in named.get(row.digest, ()):
            try:
                act = BundledAct(
                    row.digest,
                    index,
                    row.type,
                    json.loads(row.message),
                    json.loads(row.signatures),
                    json.loads(row.arguments),
                )
                entry = NamedActs()
                entry.take(index, json.loads(leaf))
                if entry.fault(act, deployment) is None:
                    found.append(act)
                    break
            except (ValueError, TypeError, AttributeError):
                continue
    if not found:
        return
    document = deployment.to_json()
    yield act_line({name: document[name] for name in ("addresses", "chain_id", "salt")})
    for act in sorted(found, key=lambda one: one.entry):
        yield act.line()


def _by_events(connection: Connection, rows: Sequence[Any], start: int, end: int) -> dict[str, list[Entry]]:
    """For each act the entry of its event."""
    ids = {row.digest: identity.bytes for row in rows if (identity := _id(row.entry_id))}
    known = known_entries(connection, list(ids.values()))
    return {
        act: [known[identity]]
        for act, identity in ids.items()
        if identity in known and start <= known[identity][0] < end and known[identity][1]
    }


def _by_taking(connection: Connection, acts: dict[str, str], start: int, end: int) -> dict[str, list[Entry]]:
    """For each act the entries of its acceptance, the newest first. ``acts`` maps an act to its first signer, by whom the
    entries are found."""
    found: dict[str, list[Entry]] = {}
    signers = sorted(set(acts.values()))
    columns = entry_table.c
    for at in range(0, len(signers), _AT_ONCE):
        query = select(columns.idx, columns.leaf).where(
            columns.actor.in_(signers[at : at + _AT_ONCE]),
            columns.type == TAKEN,
            columns.idx >= start,
            columns.idx < end,
        )
        for index, leaf in connection.execute(query.order_by(columns.idx.desc())):
            act = _taken_act(leaf)
            if act in acts:
                found.setdefault(act, []).append((int(index), bytes(leaf)))
    return found


def _taken_act(leaf: bytes) -> str:
    """The accepted act in an entry; empty when the column by which the entry was found was changed."""
    try:
        return str(json.loads(leaf)["facts"]["taken_act"])
    except (ValueError, LookupError, TypeError):
        return ""


def _id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
