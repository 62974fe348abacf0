"""What becomes of officers' acts when a part of the log is lost: held, listed, and reported to the operator."""

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
"""Why an act was not carried again whose signed message the bundle does not have."""


_grants = table_of(GrantRow)
_seats = table_of(SeatRow)
_keys = table_of(ServiceKeyRow)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The lost acts, of which some were carried to the chain again (``carried``; ``missing`` are the documents that are not
    here, by the act that needs them) and some are held; those that were taken and not decided, whose denial is in the new log,
    and of which some were sent again (``carried``);
    the erasures that are lost; what stands as it stood in the backup when nobody could tell of any act."""

    acts: tuple[LostAct, ...]
    carried: Mapping[str, str]
    missing: Mapping[str, Sequence[str]]
    undecided: tuple[LostEntry, ...]
    erasures: tuple[dict[str, Any], ...]
    alive: dict[str, Any] | None
    appended: Appended | None

    def members(self) -> dict[str, Any]:
        """For the answer of the command."""
        found: dict[str, Any] = {
            "acts": [_told(one, self.carried, self.missing) for one in self.acts],
            "undecided": [_undecided(one, self.carried) for one in self.undecided],
            "erase_again": list(self.erasures),
        }
        return found | ({} if self.alive is None else {"alive_again": self.alive})


def after_loss(
    connection: Connection,
    chain: ChainClient,
    log: AuditLog,
    kept: int,
    told: Sequence[LostEntry] | None,
    signed: Mapping[str, SignedAct],
    carried: Mapping[str, str],
    now: datetime,
) -> Aftermath:
    """Hold what lost acts took away and the chain did not take again, and deny what acts deny that were on their way when
    they were lost, with an entry for each, in the caller's transaction;
    call ``log.committed`` with ``appended`` after it. ``told`` is None when the entries after the first ``kept`` are
    lost everywhere; ``signed`` are the acts in the bundle, ``carried`` is what `carry_again` and `send_again` answered."""
    lost_table.create(connection, checkfirst=True)
    if told is None:
        return Aftermath((), {}, {}, (), (), _as_in_the_backup(connection, log, kept), None)
    applied = {act for act, outcome in carried.items() if outcome == APPLIED}
    found = lost_acts(connection, chain, told, applied)
    before = {one.entry for one in lost(connection)}  # of a run that broke off
    newest = chain.head().number
    held = [
        replace(one, since_block=newest)
        for one in found
        if one.kind and one.act not in applied and one.entry not in before
    ]
    hold(connection, held)
    waiting = undecided(connection, told)
    entries = [NewEntry(held_entry(log.origin, one, now)) for one in held]
    entries += [NewEntry(taken_again(one.event, log.origin, now)) for one in waiting]
    appended = log.append(connection, entries) if entries else None
    missing = {
        one: documents_missing(signed[one].type, signed[one].message, partial(document, connection))
        for one in applied
    }
    erasures = tuple(lost_erasures(connection, told))
    return Aftermath(tuple(found), carried, missing, tuple(waiting), erasures, None, appended)


def _undecided(one: LostEntry, carried: Mapping[str, str]) -> dict[str, Any]:
    """An act that was on its way: ``sent-again``, or ``waiting`` to be signed or handed in again, with ``why``."""
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


def _told(one: LostAct, carried: Mapping[str, str], missing: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A lost act with what became of it: ``why`` is the code for which it was not carried again, ``documents_missing``
    are those to be handed in again."""
    why = carried.get(one.act or "", UNSIGNED)
    if why != APPLIED:
        return one.to_json() | {"why": why}
    documents = missing.get(one.act or "")
    return one.to_json() | {"state": APPLIED} | ({"documents_missing": documents} if documents else {})


def held_acts(connection: Connection) -> list[dict[str, Any]]:
    """What is held in this database; a database of an earlier version holds nothing."""
    if not inspect(connection).has_table(lost_table.name):
        return []
    return [one.to_json() for one in lost(connection) if one.held]


def _as_in_the_backup(connection: Connection, log: AuditLog, kept: int) -> dict[str, Any]:
    """How much is as it was in the backup. What was taken away since is in force again, and is not known."""
    newest = orjson.loads(log.entry(kept - 1).leaf or b"{}") if kept else {}
    return {
        "since": newest.get("time"),
        "grants": _count(connection, _grants, _grants.c.state == GrantStatus.ACTIVE),
        "service_keys": _count(connection, _keys, _keys.c.removed.is_(False)),
        "seats": _count(connection, _seats, _seats.c.flags == 0),
    }


def _count(connection: Connection, table: Table, which: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(which)).scalar_one())
