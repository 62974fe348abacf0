"""How many acts a department has handed in, and how large: each costs the city a transaction, entries of the log, and room
for its documents, which are kept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from ledger.outbox.store import OPEN, acts
from ledger.store.tables import table_of
from ledger.store.tables.projection import SeatRow

_seats = table_of(SeatRow)


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A department's acts that are not recorded yet, those taken since some time, when the first of these was (unix
    microseconds; None where there is none), and how many bytes they take with their documents."""

    waiting: int
    recent: int
    first: int | None
    size: int


def department_of(connection: Connection, signer: str) -> int | None:
    """Whose officer or machine an address is; None for the council, a recovery key and strangers."""
    return connection.execute(select(_seats.c.department).where(_seats.c.holder == signer)).scalar()


def handed_in(connection: Connection, department: int, since: int) -> HandedIn:
    """What its officers signed first, counted from ``since`` (unix microseconds)."""
    before = select(acts.c.seq).where(acts.c.received_at < since).order_by(acts.c.seq.desc()).limit(1)
    last = (
        connection.execute(before).scalar() or 0
    )  # acts lie in the order of their arrival: few rows are seen
    recent, first, size = _count(connection, department, acts.c.seq > last)
    waiting, _, _ = _count(connection, department, acts.c.state.in_(OPEN))
    return HandedIn(waiting, recent, first, size)


def _count(
    connection: Connection, department: int, which: ColumnElement[bool]
) -> tuple[int, int | None, int]:
    query = (
        select(func.count(), func.min(acts.c.received_at), func.coalesce(func.sum(acts.c.size), 0))
        .join(_seats, _seats.c.holder == acts.c.signer)
        .where(_seats.c.department == department, which)
    )
    count, first, size = connection.execute(query).one()
    return int(count), first, int(size)
