"""Rows as plain dictionaries: the input and the result of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ledger.chain.events import Event
from ledger.errors import LedgerError

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = dict[str, Any]


class ProjectionError(LedgerError):
    """An event contradicts the projected rows: the database does not belong to this chain."""

    code = "projection.broken"


class StateReader(Protocol):
    """The rows before an event."""

    def get(self, table: str, key: Key) -> Row | None:
        """The row of a table with this primary key; None without one."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row after an event. It is inserted, or replaces the row with the same key."""

    table: str
    row: Row


Changes: TypeAlias = tuple[RowChange, ...]
Rule: TypeAlias = Callable[[Event, Mapping[str, Any], StateReader], Changes]
"""Takes an event, its arguments and the rows before it; returns the changed rows with all columns."""


def existing(state: StateReader, table: str, *key: Any) -> Row:
    """A copy of the row with this key; raises `ProjectionError` when it is missing."""
    row = state.get(table, key)
    if row is None:
        raise ProjectionError(f"{table} {key} is missing", hint="rebuild the projection from the chain")
    return dict(row)


def changed(state: StateReader, /, table: str, *key: Any, **values: Any) -> RowChange:
    """The row with this key after setting these values; raises `ProjectionError` when it is missing."""
    return RowChange(table, existing(state, table, *key) | values)


def history(_: Event, args: Mapping[str, Any], state: StateReader) -> Changes:
    """The rule of an event that changes no row."""
    return ()
