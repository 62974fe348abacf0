"""Normalisation of texts: a schema may treat different spellings as one value, in a column and in compared texts.

Each rule is implemented twice, for Python and for the engine; a property test compares both for every character. NFKC is not
offered, because the engine has no such function and, hardened, cannot run ours.
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
"""All rules, in the order of application."""

_WIDE = "".join(map(chr, range(0xFF01, 0xFF5F))) + "\u3000"
_ASCII = "".join(map(chr, range(0x21, 0x7F))) + " "
_NARROW = str.maketrans(_WIDE, _ASCII)
_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
_UNIQUE_LOWER = {"İ": "i"}
"""The only character whose lower case has two characters in Python."""


def normalised(text: str, rules: Collection[Normalisation]) -> str:
    """The text normalised by these rules. The function is idempotent."""
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
    """The SQL expression that normalises an SQL expression. It adds only constants of this module."""
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
    """Whether this text may have other spellings in a file: it is not in normal form, or has composed characters."""
    return normalised(text, ("width", "nfc", "trim")) != text or unicodedata.normalize("NFD", text) != text


def _chars(text: str) -> str:
    """Characters as an SQL expression, in a form that is visible in logs."""
    quoted = text.replace("'", "''")
    return (
        "'" + quoted + "'"
        if re.fullmatch(r"[!-~]*", text)
        else "chr(" + ") || chr(".join(str(ord(c)) for c in text) + ")"
    )
