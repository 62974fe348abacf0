"""Pages of lists with a cursor for the next page (keyset pagination).

Lists are ordered by a key that never changes, and a page starts after a key. The cost of a page does not depend on its
position, and new rows cause neither omissions nor repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.errors import LedgerError
from ledger.ids import IdError, parse_number

T = TypeVar("T")

MAX_LIMIT = 500


class CursorError(LedgerError):
    """A cursor or a limit is not valid."""

    code = "cursor.invalid"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``items`` in order. ``next`` is the value of ``after`` for the next page; None on the last page."""

    items: tuple[T, ...]
    next: str | None


def page_of(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """Make a page from up to ``limit + 1`` rows: the first ``limit``, and a cursor if there is one more."""
    items = tuple(found[:limit])
    return Page(items, key(items[-1]) if len(found) > limit else None)


def check_limit(limit: int) -> int:
    """The limit; raises `CursorError` unless it is from 1 to MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise CursorError(f"a page has 1 to {MAX_LIMIT} items")
    return limit


def number_cursor(after: str | None) -> int:
    """Parse a cursor that is a number; -1 for None, so that every key is larger. Raises `CursorError`."""
    if after is None:
        return -1
    try:
        return parse_number(after)
    except IdError as other:
        raise CursorError(
            "the cursor is not one of this list", hint="start again without a cursor"
        ) from other
