"""A text in the reader's language.

The English text is written in the code, with the name of each value in braces, and is the key of its Chinese in the catalogue.
`translated` says it in a language, `N_` marks it where it is kept for later (the mark of gettext), `in_context` tells apart two uses
of one English word. ``python -m docs.messages`` collects what is marked and checks the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

from languages.catalogue import BETWEEN, chinese
from languages.choice import Language


class Bilingual(str):
    """An English text that knows its Chinese: a value whose text differs by language, or a whole sentence."""

    zh: str


def N_(text: str) -> str:
    """Mark a text for the catalogue; the text itself."""
    return text


def in_context(context: str, text: str) -> str:
    """A text that needs another Chinese than the same English elsewhere."""
    return f"{context}{BETWEEN}{text}"


NP_ = in_context
"""`in_context` as a mark, where the text stands in the code."""


def translated(text: str, language: Language, /, **values: object) -> str:
    """The text in the language with its values put in. A text that the catalogue does not have stays English.

    Without values nothing is put in, and braces are braces. `KeyError` for a value that the text names and nobody gave.
    """
    words = chinese().get(text, text) if language == "zh" else text
    words = words.rpartition(BETWEEN)[2]
    if not values:
        return words
    if language == "zh":
        values = {name: value.zh if isinstance(value, Bilingual) else value for name, value in values.items()}
    return words.format(**values)


def in_both(text: str, /, **values: object) -> Bilingual:
    """A text in English that carries its Chinese."""
    return bilingual(translated(text, "en", **values), translated(text, "zh", **values))


def bilingual(english: str, zh: str) -> Bilingual:
    """A value whose two texts are known."""
    said = Bilingual(english)
    said.zh = zh
    return said


def in_language(text: str, language: Language) -> str:
    """A text as far as it is known in the language: of a plain text the text itself."""
    return text.zh if language == "zh" and isinstance(text, Bilingual) else text


def listed(parts: Sequence[str]) -> Bilingual:
    """Texts one after another: ``a, b`` and ``a、b``."""
    comma = in_both(", ")
    return bilingual(comma.join(parts), comma.zh.join(in_language(part, "zh") for part in parts))
