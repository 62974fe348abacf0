"""Counts in English phrases."""

from __future__ import annotations

from languages.texts import Bilingual, bilingual


def counted(number: int, one: str, many: str = "") -> Bilingual:
    """``number`` with the words for it: ``one`` for 1, else ``many`` (without it ``one`` with an s).

    The words may go past the noun: ``counted(n, "entry is", "entries are")``. In a Chinese text the number alone stands:
    the Chinese has the noun and its measure word.
    """
    return bilingual(f"{number} {one if number == 1 else many or one + 's'}", str(number))
