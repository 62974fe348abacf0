"""Combining two transforms of one column in a chain of grants.

The released value must be a function of the result of each transform, so that it reveals nothing that one of them hides. When
neither transform is a function of the other, the result is None; no third transform is constructed.
"""

from __future__ import annotations

from collections.abc import Iterable

from access_policy.terms.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Transform,
    Truncate,
)


def combined(one: Transform, other: Transform) -> Transform | None:
    """The transform whose values can be computed from those of ``one`` and from those of ``other``; None without one.

    The order does not matter, except for the character of a mask.
    """
    if one == other or isinstance(other, Keep):
        return one
    if isinstance(one, Keep):
        return other
    match one, other:
        case Truncate(), Truncate():
            return Truncate("year")
        case Band(), Band():
            return _first_coarser(one, other)
        case Clamp(), Clamp():
            return _inner(one, other)
        case Ladder(), Ladder():
            return _broader(one, other)
        case Mask(), Mask():
            return _whole(one, other)
    # A pseudonym distinguishes values that the others do not, and they reveal what it hides. Rounding twice differs from
    # rounding once.
    return None


def _first_coarser(one: Band, other: Band) -> Band | None:
    for coarse, fine in ((one, other), (other, one)):
        numbers = (coarse.width, coarse.origin, fine.width, fine.origin)
        if not all(float(n).is_integer() for n in numbers):
            return None
        if (
            int(coarse.width) % int(fine.width) == 0
            and int(coarse.origin - fine.origin) % int(fine.width) == 0
        ):
            return coarse
    return None


def _inner(one: Clamp, other: Clamp) -> Clamp | None:
    bottom = max((b for b in (one.bottom, other.bottom) if b is not None), default=None)
    top = min((t for t in (one.top, other.top) if t is not None), default=None)
    return None if bottom is not None and top is not None and bottom > top else Clamp(bottom, top)


def _broader(one: Ladder, other: Ladder) -> Ladder | None:
    codes = [code for code, _ in (*one.steps, *other.steps)]
    for broad, narrow in ((one, other), (other, one)):
        if _is_function(zip(_climbed(narrow, codes), _climbed(broad, codes), strict=True)):
            return broad
    return None


def _climbed(ladder: Ladder, codes: list[str]) -> list[str]:
    """The results for each code and for a code that is in neither ladder."""
    steps = dict(ladder.steps)
    return [*(steps.get(code, ladder.otherwise) for code in codes), ladder.otherwise]


def _is_function(pairs: Iterable[tuple[str, str]]) -> bool:
    found: dict[str, str] = {}
    return all(found.setdefault(given, answer) == answer for given, answer in pairs)


def _whole(one: Mask, other: Mask) -> Mask | None:
    """The complete mask, if one of the two is complete: only it is a function of every other mask, because a mask that keeps
    more characters masks short values completely."""
    if (one.keep_first, one.keep_last) == (other.keep_first, other.keep_last):
        return one
    for mask in (one, other):
        if mask.keep_first == mask.keep_last == 0:
            return mask
    return None
