"""Text from other sources, made safe to display: characters that control the screen, hide or reorder text are escaped.

A person reads the screen to decide what to sign. The author of a text must not be able to move the cursor, to write a line
that looks like one of the program, or to hide a part. `visible` returns one line in which every character is visible; other
characters are written as ``<U+202E>``. Commands, the service's log and the demo use it for their output.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4"
    "\U0001d159\U000e0100-\U000e01ef]"
)
"""Characters of a printable category that are not visible: fillers, blanks, variation selectors."""
MARKS_IN_A_ROW = 3
"""The most combining marks on one letter; more of them could cover the neighbouring lines."""


def visible(text: str) -> str:
    """The text as one line, with control and format characters, line separators, invisible characters and stacked marks
    escaped."""
    return text if text.isascii() and text.isprintable() else _spelled(text, lambda c: f"<U+{ord(c):04X}>")


def visible_lines(text: str) -> str:
    """`visible` for each line of a text whose line feeds come from this program."""
    return "\n".join(visible(line) for line in text.split("\n"))


def json_line(document: Any, *, ascii_only: bool = False) -> str:
    """A document as one line of JSON in which these characters are escaped; parsing gives the same document."""
    import json

    text = json.dumps(document, ensure_ascii=ascii_only)
    return text if text.isascii() and text.isprintable() else _spelled(text, _escaped)


def quoted(name: str) -> str:
    """A name from another source: unchanged if it is one plain word, otherwise in quotation marks."""
    return name if _WORD.fullmatch(name) else json_line(name)


_WORD = re.compile(r"[\w.:#/@%+-]+")


def _spelled(text: str, spell: Callable[[str], str]) -> str:
    if text.isprintable() and not _BLANK.search(text) and not _MARK.search(text):
        return text
    spelled, carrier, marks = [], False, 0
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Mn", "Mc"):
            marks += 1
            hidden = not carrier or marks > MARKS_IN_A_ROW or _BLANK.match(character) is not None
        else:
            carrier, marks = kind[0] == "L", 0
            hidden = kind == "Me" or not character.isprintable() or _BLANK.match(character) is not None
        spelled.append(spell(character) if hidden else character)
    return "".join(spelled)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


_MARK = re.compile(
    "[" + "".join(
        f"{chr(first)}-{chr(last)}"
        for first, last in ((0x300, 0x36F), (0x483, 0x489), (0x591, 0x1DFF), (0x20D0, 0x20FF), (0x2CEF, 0x2DFF),
                            (0x3029, 0x302F), (0x3099, 0x309A), (0xA66F, 0xABFF), (0xFB1E, 0xFB1E),
                            (0xFE20, 0xFE2F), (0x10000, 0x1FFFF))
    ) + "]"
)  # fmt: skip
"""All combining marks: a text without them needs no further check for stacked marks."""
