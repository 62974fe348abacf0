"""Spellings of one text that a schema takes for one value: how a column's texts, and what they are compared with, are written.

Each rule stands here twice, for Python and for the engine; a property test holds them equal for every character.
NFKC is not offered: the engine has no such function, and hardened it runs none of ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Literal, TypeAlias, get_args

Normalisation: TypeAlias = Literal["width", "nfc", "case", "trim"]
"""``width``: full-width ASCII and the ideographic space become ASCII (as NFKC does with these); ``nfc``: Unicode normalisation
form C (UAX 15); ``case``: each character becomes its lower-case one (simple mapping, without locale); ``trim``: no white space
at either end."""
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
"""All of them, in the order in which they are applied."""

_WIDE = "".join(map(chr, range(0xFF01, 0xFF5F))) + "\u3000"
_ASCII = "".join(map(chr, range(0x21, 0x7F))) + " "
_NARROW = str.maketrans(_WIDE, _ASCII)
_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
_UNIQUE_LOWER = {"İ": "i"}
"""The one character whose lower case Python writes with two."""


def normalised(text: str, rules: Collection[Normalisation]) -> str:
    """The text as these rules write it; the same text again when they are applied once more."""
    if "width" in rules:
        text = text.translate(_NARROW)
    if "nfc" in rules:
        text = unicodedata.normalize("NFC", text)
    if "case" in rules:
        text = "".join(_UNIQUE_LOWER.get(one, one.lower()) for one in text)
        if "nfc" in rules:
            text = unicodedata.normalize("NFC", text)
    return text.strip(_SPACE) if "trim" in rules else text


def normalised_sql(text: str, rules: Collection[Normalisation]) -> str:
    """The same of an SQL expression, in SQL. Writes only constants of this module."""
    if "width" in rules:
        text = f"translate({text}, {_chars(_WIDE)}, {_chars(_ASCII)})"
    if "nfc" in rules:
        text = f"nfc_normalize({text})"
    if "case" in rules:
        text = f"lower({text})"
        if "nfc" in rules:
            text = f"nfc_normalize({text})"
    return f"trim({text}, {_chars(_SPACE)})" if "trim" in rules else text


def has_other_spellings(text: str) -> bool:
    """Whether this text can well be written otherwise in a file: it is not in its normal form, or has composed characters."""
    return normalised(text, ("width", "nfc", "trim")) != text or unicodedata.normalize("NFD", text) != text


def _chars(text: str) -> str:
    """Characters as SQL, every one of them visible in logs."""
    quoted = text.replace("'", "''")
    return (
        "'" + quoted + "'"
        if re.fullmatch(r"[!-~]*", text)
        else "chr(" + ") || chr(".join(str(ord(c)) for c in text) + ")"
    )
