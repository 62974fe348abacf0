"""Which language a program speaks: ``--lang``, else ``CIVIC_LANG``, else the locale's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

Language = Literal["en", "zh"]


def wished_language(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """By the arguments of a program (the first ``--lang`` counts), else by its environment; English where neither says more."""
    given = (
        after if one == "--lang" else one.removeprefix("--lang=")
        for one, after in pairwise([*arguments, ""])
        if one == "--lang" or one.startswith("--lang=")
    )
    named = (environment.get(name) for name in ("CIVIC_LANG", "LC_ALL", "LANG"))
    wish = next(filter(None, [*given, *named]), "en")
    return "zh" if wish.lower().startswith("zh") else "en"


def holds_chinese(text: str) -> bool:
    """Whether there is a Chinese character in a text."""
    return any(0x4E00 <= ord(character) <= 0x9FFF for character in text)
