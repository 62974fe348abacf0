"""Pages: a bounded part of a list and where the next one starts.

Lists are ordered by a key that never changes, and a page starts after a key (keyset pagination), so a page costs
the same wherever it is, and rows that appear meanwhile are neither lost nor repeated.
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
    """A cursor or a limit is not one that a page could have given."""

    code = "cursor.invalid"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``items`` in order; ``next`` is the cursor for ``after``, None on the last page."""

    items: tuple[T, ...]
    next: str | None


def page_of(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """From ``limit + 1`` rows asked for: the first ``limit``, and the cursor if there was one more."""
    items = tuple(found[:limit])
    return Page(items, key(items[-1]) if len(found) > limit else None)


def check_limit(limit: int) -> int:
    """The limit, when it lies between 1 and MAX_LIMIT."""
    if not 1 <= limit <= MAX_LIMIT:
        raise CursorError(f"a page has 1 to {MAX_LIMIT} items")
    return limit


def number_cursor(after: str | None) -> int:
    """A cursor that is a number; -1 for none, so that every key is above it."""
    if after is None:
        return -1
    try:
        return parse_number(after)
    except IdError as other:
        raise CursorError(
            "the cursor is not one of this list", hint="start again without a cursor"
        ) from other
