"""Names behind the numbers and hashes of a message: what a signer reads beside ``department 7`` or ``0x2e74...``."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from languages.choice import Language
from languages.texts import translated
from ledger.chain.limits import NOTHING

Kind = Literal["department", "dataset", "grant", "person", "service-key", "log", "condition", "hand-over"]

MOST = 80
"""Characters of a name: somebody else gave it, and it stands within a line of what is signed."""
LOOKED_AT = 1_000
"""Characters of a name that are read at all."""


class Names(Protocol):
    """Who knows names."""

    def name(self, kind: Kind, value: Any, language: Language) -> str:
        """The name; empty where none is known. ``value`` is as the normalised message has it."""


_KINDS: Mapping[str, Kind] = {
    "department": "department",
    "grantee": "department",
    "operator": "department",
    "TransferRight.from": "department",
    "TransferRight.to": "department",
    "asset": "dataset",
    "parents": "dataset",
    "RenewParent.parent": "dataset",
    "grant": "grant",
    "grants": "grant",
    "parent": "grant",
    "under": "grant",
    "ReplaceGrant.by": "grant",
    "officer": "person",
    "AddAttestKey.key": "person",
    "RemoveAttestKey.key": "person",
    "from": "person",
    "to": "person",
    "holder": "person",
    "key": "service-key",
    "origin": "log",
    "newOrigin": "log",
    "condition": "condition",
    "handOver": "hand-over",
}
"""What a member stands for, by its name or its type and name."""


def kind_of(type_name: str, member: str) -> Kind | None:
    """What the number or hash of a member stands for; None where nothing has a name."""
    return _KINDS.get(f"{type_name}.{member}") or _KINDS.get(member)


def named(text: str, type_name: str, member: str, value: Any, language: Language, names: Names | None) -> str:
    """The words of a value, with its name behind them in brackets."""
    kind = kind_of(type_name, member)
    if names is None or kind is None or value in (0, NOTHING):
        return text
    found = " ".join("".join(map(_no_bracket, names.name(kind, value, language)[:LOOKED_AT])).split())
    if not found or found in text:
        return text
    short = found if len(found) <= MOST else found[: MOST - 1] + "…"
    return translated("{value} ({name})", language, value=text, name=short)


def _no_bracket(character: str) -> str:
    """A name ends where its bracket ends, whichever round bracket (full-width, small, of ornament ...) stands in it."""
    if character.isalnum() or "PARENTHESIS" not in unicodedata.name(character, ""):
        return character
    return "[" if unicodedata.category(character) == "Ps" else "]"
