"""The choice of a program's language: ``--lang``, otherwise ``CIVIC_LANG``, otherwise that of the locale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

Language = Literal["en", "zh"]


def wished_language(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """The language by the arguments of a program (its first ``--lang``), otherwise by its environment; English by default."""
    given = (
        after if one == "--lang" else one.removeprefix("--lang=")
        for one, after in pairwise([*arguments, ""])
        if one == "--lang" or one.startswith("--lang=")
    )
    named = (environment.get(name) for name in ("CIVIC_LANG", "LC_ALL", "LANG"))
    wish = next(filter(None, [*given, *named]), "en")
    return "zh" if wish.lower().startswith("zh") else "en"


def holds_chinese(text: str) -> bool:
    """Whether a text contains a Chinese character."""
    return any(0x4E00 <= ord(character) <= 0x9FFF for character in text)
