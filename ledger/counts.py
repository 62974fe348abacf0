"""Counts in English phrases."""

from __future__ import annotations

from languages.texts import Bilingual, bilingual


def counted(number: int, one: str, many: str = "") -> Bilingual:
    """``number`` followed by ``one`` for 1, otherwise by ``many`` (default: ``one`` with an s).

    The words may include a verb: ``counted(n, "entry is", "entries are")``. In Chinese the result is the number only: the
    Chinese text contains the noun and its measure word.
    """
    return bilingual(f"{number} {one if number == 1 else many or one + 's'}", str(number))
