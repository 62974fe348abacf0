"""The Chinese texts of all messages, read once from the catalogue that translators edit.

The ``.po`` file is read at the first use of Chinese, so nothing must be compiled and nothing can be out of date. The reader
supports the format that ``python -m docs.messages`` writes: ``msgctxt``, ``msgid``, ``msgstr``, each with strings on separate
lines.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache

PLACE = "locale/zh_CN/LC_MESSAGES/civic.po"
BETWEEN = "\x04"
"""The separator between the context of a message and its text, as in gettext."""

_ESCAPED = re.compile(r"\\(.)")
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r"}


@cache
def chinese() -> Mapping[str, str]:
    """English text (with its context and `BETWEEN` before it, if it has one) -> Chinese text."""
    data = pkgutil.get_data(__package__, PLACE)
    return read_catalogue("" if data is None else data.decode("utf-8"))


def read_catalogue(source: str) -> dict[str, str]:
    """The messages of a catalogue that have a translation, without the header."""
    return {
        f"{context}{BETWEEN}{text}" if context else text: words
        for _, context, text, words in _entries(source)
        if text and words
    }


def part_of_catalogue(source: str, wanted: Collection[str]) -> str:
    """The catalogue with its header and only the messages with these texts, in any context."""
    return "\n\n".join(block for block, _, text, _ in _entries(source) if not text or text in wanted) + "\n"


def _entries(source: str) -> Iterator[tuple[str, str, str, str]]:
    """For each message its source text, context, English and Chinese. Messages are separated by blank lines."""
    for block in source.split("\n\n"):
        strings: dict[str, str] = {}
        member = ""
        for line in block.split("\n"):
            if line.startswith('"'):
                strings[member] += line[1:-1]
            elif line.startswith("msg"):
                member, _, string = line.partition(" ")
                strings[member] = string[1:-1]
        if strings:
            context, text, words = (
                _unescaped(strings.get(one, "")) for one in ("msgctxt", "msgid", "msgstr")
            )
            yield block, context, text, words


def _unescaped(string: str) -> str:
    if "\\" not in string:
        return string
    return _ESCAPED.sub(lambda found: _CHARACTERS.get(found[1], found[1]), string)
