"""The number and size of the acts that a department submitted. Each act costs the city a transaction, log entries, and
permanent storage for its documents."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from ledger.outbox.store import OPEN, acts
from ledger.store.tables import table_of
from ledger.store.tables.projection import SeatRow

_seats = table_of(SeatRow)


@dataclass(frozen=True, slots=True)
class SubmittedActs:
    """Counts of a department's acts.

    ``waiting`` is the number of acts that are not recorded yet, ``recent`` the number accepted since a given time. ``first``
    is the time of the first of the recent acts (unix microseconds; None without one). ``size`` is the number of bytes of
    the recent acts with their documents.
    """

    waiting: int
    recent: int
    first: int | None
    size: int


def department_of(connection: Connection, signer: str) -> int | None:
    """The department of an officer's or machine's address; None for the council, recovery keys and unknown addresses."""
    return connection.execute(select(_seats.c.department).where(_seats.c.holder == signer)).scalar()


def submitted_acts(connection: Connection, department: int, since: int) -> SubmittedActs:
    """Count the acts whose first signer is of the department; recent ones from ``since`` on (unix microseconds)."""
    before = select(acts.c.seq).where(acts.c.received_at < since).order_by(acts.c.seq.desc()).limit(1)
    last = (
        connection.execute(before).scalar() or 0
    )  # rows are in the order of arrival, so few of them are read
    recent, first, size = _count(connection, department, acts.c.seq > last)
    waiting, _, _ = _count(connection, department, acts.c.state.in_(OPEN))
    return SubmittedActs(waiting, recent, first, size)


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
