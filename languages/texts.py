"""Messages in the reader's language.

The English text is in the code, with names of values in braces, and is the key of the Chinese text in the catalogue.
`translated` returns it in a language; `N_` marks a text that is translated later (as in gettext); `in_context` distinguishes
two uses of one English text. ``python -m docs.messages`` collects the marked texts and checks the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

from languages.catalogue import BETWEEN, chinese
from languages.choice import Language


class Bilingual(str):
    """An English text with its Chinese text (``zh``): a value with a text in each language, or a whole sentence."""

    zh: str


def N_(text: str) -> str:
    """Mark a text for the catalogue; returns it unchanged."""
    return text


def in_context(context: str, text: str) -> str:
    """A text whose Chinese differs from that of the same English text elsewhere."""
    return f"{context}{BETWEEN}{text}"


NP_ = in_context
"""`in_context` as a mark for the catalogue, at the place of the text in the code."""


def translated(text: str, language: Language, /, **values: object) -> str:
    """The text in the language with its values inserted. A text that is not in the catalogue remains English.

    Without values, braces are not interpreted. Raises `KeyError` when a value of the text is not given.
    """
    words = chinese().get(text, text) if language == "zh" else text
    words = words.rpartition(BETWEEN)[2]
    if not values:
        return words
    if language == "zh":
        values = {name: value.zh if isinstance(value, Bilingual) else value for name, value in values.items()}
    return words.format(**values)


def in_both(text: str, /, **values: object) -> Bilingual:
    """The English text with its Chinese text, both with the values inserted."""
    return bilingual(translated(text, "en", **values), translated(text, "zh", **values))


def bilingual(english: str, zh: str) -> Bilingual:
    """A value with given texts in both languages."""
    said = Bilingual(english)
    said.zh = zh
    return said


def in_language(text: str, language: Language) -> str:
    """The text in the language if it is a `Bilingual`; a plain text is returned unchanged."""
    return text.zh if language == "zh" and isinstance(text, Bilingual) else text


def listed(parts: Sequence[str]) -> Bilingual:
    """A list of texts: ``a, b`` in English and ``a、b`` in Chinese."""
    comma = in_both(", ")
    return bilingual(comma.join(parts), comma.zh.join(in_language(part, "zh") for part in parts))
