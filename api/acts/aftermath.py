"""What becomes of officers' acts when a part of the log is lost: held, listed, and told to the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson
from sqlalchemy import Connection, Table, func, inspect, select

from ledger.audit.append import Appended, NewEntry
from ledger.audit.events import Event
from ledger.audit.log import AuditLog
from ledger.chain.client import ChainClient
from ledger.lost_acts import LostEntry, lost_acts, lost_erasures
from ledger.outbox.holds import LostAct, hold, lost
from ledger.outbox.holds import lost_acts as lost_table
from ledger.store.tables.projection import GrantRow, SeatRow, ServiceKeyRow

HELD = "log:act:held"
_HELD_ENTRIES = UUID("b5a3c0d2-3f53-5e0b-9c43-58c0a3f7b6a1")

_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]
_seats: Table = SeatRow.__table__  # type: ignore[attr-defined]
_keys: Table = ServiceKeyRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The lost acts, of which some are held; the erasures that are lost; what stands as it stood in the backup when
    nobody could tell of any act."""

    acts: tuple[LostAct, ...]
    erasures: tuple[dict[str, Any], ...]
    alive: dict[str, Any] | None
    appended: Appended | None

    def members(self) -> dict[str, Any]:
        """For the answer of the command."""
        found: dict[str, Any] = {
            "acts": [one.to_json() for one in self.acts],
            "erase_again": list(self.erasures),
        }
        return found | ({} if self.alive is None else {"alive_again": self.alive})


def after_loss(
    connection: Connection,
    chain: ChainClient,
    log: AuditLog,
    kept: int,
    told: Sequence[LostEntry] | None,
    now: datetime,
) -> Aftermath:
    """Hold what lost acts took away, with an entry for each, in the caller's transaction; call ``log.committed`` with
    ``appended`` after it. ``told`` is None when nobody has the entries after the first ``kept``."""
    lost_table.create(connection, checkfirst=True)
    if told is None:
        return Aftermath((), (), _as_in_the_backup(connection, log, kept), None)
    found = lost_acts(connection, chain, told)
    hold(connection, found, chain.head().number)
    entries = [NewEntry(_entry(log.origin, one, now)) for one in found if one.kind]
    appended = log.append(connection, entries) if entries else None
    return Aftermath(tuple(found), tuple(lost_erasures(connection, told)), None, appended)


def held_acts(connection: Connection) -> list[dict[str, Any]]:
    """What is held in this database; a database of an earlier version holds nothing."""
    if not inspect(connection).has_table(lost_table.name):
        return []
    return [one.to_json() for one in lost(connection) if one.held]


def _entry(origin: str, one: LostAct, now: datetime) -> Event:
    return Event(
        id=uuid5(_HELD_ENTRIES, f"{origin}:{one.entry}"),
        type=HELD,
        time=now,
        department=one.department,
        grant=one.target if one.kind == "grant" else None,
        asset=one.target if one.kind == "asset" else None,
        facts={
            "lost_entry": one.entry,
            "lost_index": one.position,
            "event": one.event,
            "kind": one.kind,
            "target": one.target,
        },
    )


def _as_in_the_backup(connection: Connection, log: AuditLog, kept: int) -> dict[str, Any]:
    """How much stands as it stood in the backup: whatever was taken away since is alive again, and nobody can tell."""
    newest = orjson.loads(log.entry(kept - 1).leaf or b"{}") if kept else {}
    return {
        "since": newest.get("time"),
        "grants": _count(connection, _grants, _grants.c.state == 1),
        "service_keys": _count(connection, _keys, _keys.c.removed.is_(False)),
        "seats": _count(connection, _seats, _seats.c.flags == 0),
    }


def _count(connection: Connection, table: Table, which: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(which)).scalar_one())
