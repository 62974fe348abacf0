"""Names for the numbers and hashes of a message: a signer reads them beside ``department 7`` or ``0x2e74...``."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from languages.choice import Language
from languages.texts import translated
from ledger.chain.limits import NOTHING

Kind = Literal["department", "dataset", "grant", "person", "service-key", "log", "condition", "hand-over"]

MAX_NAME = 80
"""The most characters of a shown name. Another department chose the name, and it is shown in the text to be signed."""
_MAX_READ = 1_000
"""The most characters of a name that are processed."""


class Names(Protocol):
    """A source of names."""

    def name(self, kind: Kind, value: Any, language: Language) -> str:
        """The name; empty when unknown. ``value`` is that of the normalised message."""


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
"""The kind of thing that a member identifies, by ``member`` or ``Type.member``."""


def kind_of(type_name: str, member: str) -> Kind | None:
    """The kind of thing that the number or hash of a member identifies; None when it has no name."""
    return _KINDS.get(f"{type_name}.{member}") or _KINDS.get(member)


def named(text: str, type_name: str, member: str, value: Any, language: Language, names: Names | None) -> str:
    """The text of a value, followed by its name in brackets when one is known."""
    kind = kind_of(type_name, member)
    if names is None or kind is None or value in (0, NOTHING):
        return text
    found = " ".join("".join(map(_no_bracket, names.name(kind, value, language)[:_MAX_READ])).split())
    if not found or found in text:
        return text
    short = found if len(found) <= MAX_NAME else found[: MAX_NAME - 1] + "…"
    return translated("{value} ({name})", language, value=text, name=short)


def _no_bracket(character: str) -> str:
    """Replace any round bracket (also full-width or small ones), so that a name cannot close its own bracket."""
    if character.isalnum() or "PARENTHESIS" not in unicodedata.name(character, ""):
        return character
    return "[" if unicodedata.category(character) == "Ps" else "]"
