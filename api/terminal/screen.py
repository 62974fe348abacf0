"""Makes all output of a command safe for the terminal, whatever its source.

``main`` puts a `Screen` before standard output and standard error. It passes line feeds and text that `visible`
does not change. Text printed line by line (`lines`) is also folded here on a terminal. If the terminal folded it,
the rest of a long text would begin a line and could be taken for our own output.
"""

from __future__ import annotations

import io
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from ledger.visible import json_line, visible, visible_lines

FOLDED = "+ "
"""The mark of a continued line."""
AUTHOR = "| "
"""The mark of a line of another author's text."""
NARROWEST = 24


class Screen:
    """A text stream that makes control characters visible."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, under: TextIO) -> None:
        self.under = under
        if isinstance(
            under, io.TextIOWrapper
        ):  # Characters that LANG=C cannot encode are written by their number, so that they cause no error.
            under.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write text; line feeds are written, and every other invisible character is shown by its number."""
        self.under.write(visible_lines(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)


@contextmanager
def screens() -> Iterator[None]:
    """Standard output and standard error as screens."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, Screen(raw_stream(out))), cast(TextIO, Screen(raw_stream(err)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def raw_stream(stream: TextIO) -> TextIO:
    """The underlying stream, for a writer that styles text which it has already made visible."""
    return stream.under if isinstance(stream, Screen) else stream


def lines(*texts: str, error: bool = False) -> None:
    """Print one line for each text; a line feed inside a text is shown like any other invisible character."""
    stream = sys.stderr if error else sys.stdout
    width = width_of(stream)
    for text in texts:
        for line in folded(spelled(text, stream), width):
            print(line, file=stream)
    stream.flush()


def spelled(text: str, stream: TextIO) -> str:
    """The text as this stream will print it. Characters that its encoding lacks become longer, so this happens
    before folding. Otherwise the terminal would fold the line, and its rest would begin at the left edge without a
    mark."""
    shown = visible(text)
    encoding = getattr(raw_stream(stream), "encoding", None) or "utf-8"
    return shown if shown.isascii() else shown.encode(encoding, "backslashreplace").decode(encoding)


def json_out(document: Any) -> None:
    """Print one JSON object on one line."""
    print(json_line(document, ascii_only=not _holds_all(raw_stream(sys.stdout))), flush=True)


def quoted_lines(text: str, indent: str = "") -> list[str]:
    """Text of another author, each line marked as such."""
    return [f"{indent}{AUTHOR}{visible(line)}" for line in text.replace("\r\n", "\n").split("\n")]


def width_of(stream: TextIO) -> int | None:
    """The columns of a terminal; None if the output is not folded."""
    return max(NARROWEST, shutil.get_terminal_size().columns) if stream.isatty() else None


def folded(text: str, width: int | None) -> list[str]:
    """A visible line, divided into lines that fit; each but the first is marked as a continuation."""
    if width is None or cells(text) < width:
        return [text]
    inner = text[: len(text) - len(text.lstrip(" "))][: width // 3]
    head = inner + (AUTHOR if text.lstrip(" ").startswith(AUTHOR) else "  " + FOLDED)
    first, *rest = pieces(text, width - 1, width - 1 - cells(head))
    return [first, *(head + piece for piece in rest)]


def pieces(text: str, first: int, following: int | None = None) -> list[str]:
    """A text divided by the number of terminal cells; at a blank if there is one near the end."""
    found, room = [], first
    while cells(text) > room:
        end = _fitting(text, room)
        blank = text.rfind(" ", end - end // 4, end)
        end = blank + 1 if blank > 0 and text[:blank].strip() else end
        found.append(text[:end])
        text, room = text[end:], following or first
    return [*found, text]


def cells(text: str) -> int:
    """An upper bound of the terminal columns of a visible text."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WFA" and not character.isascii() else 1


def _fitting(text: str, room: int) -> int:
    taken = 0
    for place, character in enumerate(text):
        taken += _cell(character)
        if taken > room:
            return max(place, 1)
    return len(text)


def _holds_all(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") in (
        "utf8",
        "utf16",
        "utf32",
    )
