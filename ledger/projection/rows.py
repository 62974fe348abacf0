"""Rows as plain dictionaries: what a rule reads, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ledger.chain.events import Event
from ledger.errors import LedgerError

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = dict[str, Any]


class ProjectionError(LedgerError):
    """An event contradicts the projected rows: the database and the chain do not belong together."""

    code = "projection.broken"


class StateReader(Protocol):
    """The rows before an event."""

    def get(self, table: str, key: Key) -> Row | None:
        """The row of a table by its primary key; None where there is none."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row after an event: inserted, or written over the row of the same key."""

    table: str
    row: Row


Changes: TypeAlias = tuple[RowChange, ...]
Rule: TypeAlias = Callable[[Event, Mapping[str, Any], StateReader], Changes]
"""From an event, its arguments and the rows before it: the rows that it changes, whole."""


def existing(state: StateReader, table: str, *key: Any) -> Row:
    """A copy of a row that must be there; `ProjectionError` otherwise."""
    row = state.get(table, key)
    if row is None:
        raise ProjectionError(f"{table} {key} is missing", hint="rebuild the projection from the chain")
    return dict(row)


def changed(state: StateReader, /, table: str, *key: Any, **values: Any) -> RowChange:
    """A row that must be there, with these values in it."""
    return RowChange(table, existing(state, table, *key) | values)


def history(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    """The rule of an event that changes no row."""
    return ()
