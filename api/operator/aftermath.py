"""The treatment of officers' acts after a part of the log is lost: they are held, listed, and reported to the
operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Table, func, inspect, select

from contracts.codes import GrantStatus
from ledger.acts.act import SignedAct
from ledger.acts.documents import documents_missing
from ledger.audit.log.append import Appended, NewEntry
from ledger.audit.log.log import AuditLog
from ledger.chain.client import ChainClient
from ledger.lost.held_in_log import held_entry
from ledger.lost.holds import hold, lost
from ledger.lost.holds import lost_acts as lost_table
from ledger.lost.lost_act import LostAct
from ledger.lost.lost_acts import LostEntry, lost_acts, lost_erasures, undecided
from ledger.lost.taken_in_log import denied_by, taken_again
from ledger.outbox.again import APPLIED, SENT
from ledger.outbox.store import document
from ledger.store.tables import table_of
from ledger.store.tables.projection import GrantRow, SeatRow, ServiceKeyRow

UNSIGNED = "act.not-in-bundle"
"""The code of an act that was not sent again because the bundle does not have its signed message."""


_grants = table_of(GrantRow)
_seats = table_of(SeatRow)
_keys = table_of(ServiceKeyRow)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The result after a loss. ``acts`` are the lost acts: some were sent to the chain again (``carried``),
    others are held; ``missing`` has the missing documents of each act. ``undecided`` are the acts that had
    been accepted and not yet recorded: their denials are in the new log, and some were sent again
    (``carried``). ``erasures`` are the lost erasures. ``alive`` counts what is in the state of the backup, if
    the lost entries are unknown."""

    acts: tuple[LostAct, ...]
    carried: Mapping[str, str]
    missing: Mapping[str, Sequence[str]]
    undecided: tuple[LostEntry, ...]
    erasures: tuple[dict[str, Any], ...]
    alive: dict[str, Any] | None
    appended: Appended | None

    def members(self) -> dict[str, Any]:
        """The members for the answer of the command."""
        found: dict[str, Any] = {
            "acts": [_described(one, self.carried, self.missing) for one in self.acts],
            "undecided": [_undecided(one, self.carried) for one in self.undecided],
            "erase_again": list(self.erasures),
        }
        return found | ({} if self.alive is None else {"alive_again": self.alive})


def after_loss(
    connection: Connection,
    chain: ChainClient,
    log: AuditLog,
    kept: int,
    lost_entries: Sequence[LostEntry] | None,
    signed: Mapping[str, SignedAct],
    carried: Mapping[str, str],
    now: datetime,
) -> Aftermath:
    """Hold the denials of lost acts that the chain did not accept again, and apply the denials of acts that
    were pending when they were lost, with an entry for each, in the caller's transaction; call
    ``log.committed`` with ``appended`` after it. ``lost_entries`` is None if the entries after the first ``kept`` are
    lost everywhere; ``signed`` are the acts in the bundle, and ``carried`` is the result of `carry_again` and
    `send_again`."""
    lost_table.create(connection, checkfirst=True)
    if lost_entries is None:
        return Aftermath((), {}, {}, (), (), _as_in_the_backup(connection, log, kept), None)
    applied = {act for act, outcome in carried.items() if outcome == APPLIED}
    found = lost_acts(connection, chain, lost_entries, applied)
    before = {one.entry for one in lost(connection)}  # Held by an earlier run that was interrupted.
    newest = chain.head().number
    held = [
        replace(one, since_block=newest)
        for one in found
        if one.kind and one.act not in applied and one.entry not in before
    ]
    hold(connection, held)
    waiting = undecided(connection, lost_entries)
    entries = [NewEntry(held_entry(log.origin, one, now)) for one in held]
    entries += [NewEntry(taken_again(one.event, log.origin, now)) for one in waiting]
    appended = log.append(connection, entries) if entries else None
    missing = {
        one: documents_missing(signed[one].type, signed[one].message, partial(document, connection))
        for one in applied
    }
    erasures = tuple(lost_erasures(connection, lost_entries))
    return Aftermath(tuple(found), carried, missing, tuple(waiting), erasures, None, appended)


def _undecided(one: LostEntry, carried: Mapping[str, str]) -> dict[str, Any]:
    """An act that was pending: ``sent-again``, or ``waiting`` to be signed or submitted again, with the code
    ``why``."""
    facts = one.event["facts"]
    why = carried.get(facts["taken_act"], UNSIGNED)
    state = {"state": SENT} if why in (APPLIED, SENT) else {"state": "waiting", "why": why}
    return state | {
        "act": facts["taken_act"],
        "message": facts["message"],
        "department": one.event["department"],
        "index": one.index,
        "denies": denied_by(one.event),
    }


def _described(
    one: LostAct, carried: Mapping[str, str], missing: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """A lost act and its state: ``why`` is the code of why it was not sent again; ``documents_missing`` are
    the documents to submit again."""
    why = carried.get(one.act or "", UNSIGNED)
    if why != APPLIED:
        return one.to_json() | {"why": why}
    documents = missing.get(one.act or "")
    return one.to_json() | {"state": APPLIED} | ({"documents_missing": documents} if documents else {})


def held_acts(connection: Connection) -> list[dict[str, Any]]:
    """The held acts in this database; none in a database of an earlier version."""
    if not inspect(connection).has_table(lost_table.name):
        return []
    return [one.to_json() for one in lost(connection) if one.held]


def _as_in_the_backup(connection: Connection, log: AuditLog, kept: int) -> dict[str, Any]:
    """Counts of what is in the state of the backup. Denials since the backup are unknown and no longer
    apply."""
    newest = orjson.loads(log.entry(kept - 1).leaf or b"{}") if kept else {}
    return {
        "since": newest.get("time"),
        "grants": _count(connection, _grants, _grants.c.state == GrantStatus.ACTIVE),
        "service_keys": _count(connection, _keys, _keys.c.removed.is_(False)),
        "seats": _count(connection, _seats, _seats.c.flags == 0),
    }


def _count(connection: Connection, table: Table, which: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(which)).scalar_one())
