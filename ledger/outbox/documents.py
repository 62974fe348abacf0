"""The documents that go with an act: each is named by the message once, and what the message needs is there.

Pure, so that whoever signs can ask the same before the act is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ledger.catalogue.metadata import GRADES, SHARING, MetadataError, parse_metadata
from ledger.outbox.acts import ActRefused, named_hashes, sha256_hex

ENTRY_ACTS = ("RegisterAsset", "NewVersion", "DeriveAsset")
"""Acts whose ``metadata`` is the hash of a catalogue entry."""


def documents_refused(
    kind: str,
    message: Mapping[str, Any],
    bodies: Sequence[bytes],
    stored: Callable[[str], bytes | None],
) -> ActRefused | None:
    """What is wrong with the canonical bodies that go with a normalised message; None when nothing is.

    A catalogue entry names a document in turn: the opening of its source.

    ``stored`` finds a document that was handed in before, by its SHA-256 in hex.
    """
    named = named_hashes(kind, message).keys() | _openings(kind, message, bodies)
    given: dict[str, bytes] = {}
    for body in bodies:
        digest = sha256_hex(body)
        if digest in given:
            return ActRefused(
                "act.document-repeated", f"the document with the SHA-256 {digest} is there twice"
            )
        if digest not in named:
            return ActRefused("act.document-unnamed", f"no member of the message is the SHA-256 {digest}")
        given[digest] = body
    for member, value in _needed(kind, message):
        digest = value.removeprefix("0x")
        found = given.get(digest) or stored(digest)
        if found is None:
            return ActRefused(
                "act.document-missing", f"the document with the SHA-256 {digest} is not attached", member
            )
        if member == "metadata" and (refused := _entry_refused(kind, message, found)) is not None:
            return refused
    return None


def _openings(kind: str, message: Mapping[str, Any], bodies: Sequence[bytes]) -> set[str]:
    """What the catalogue entry that the message names names in turn: the opening of its source."""
    found: set[str] = set()
    for body in bodies if kind in ENTRY_ACTS else ():
        if sha256_hex(body) == message["metadata"].removeprefix("0x"):
            source = json.loads(body).get("source")
            if isinstance(source, dict) and "opening" in source:
                found.add(str(source["opening"]))
    return found


def _needed(kind: str, message: Mapping[str, Any]) -> list[tuple[str, str]]:
    if kind in ENTRY_ACTS:
        return [("metadata", message["metadata"])]
    slots = message["grants"] if kind == "GrantBatch" else [message] if kind == "Terms" else []
    return [("termsHash", terms["termsHash"]) for terms in slots]


def _entry_refused(kind: str, message: Mapping[str, Any], body: bytes) -> ActRefused | None:
    """A catalogue entry is of its form and says what the message says."""
    try:
        entry = parse_metadata(json.loads(body)).document
    except MetadataError as error:
        return ActRefused(error.code, error.message, "metadata")
    if kind == "NewVersion":
        return None
    for member, name, words in (("class", "grade", GRADES), ("sharing", "sharing", SHARING)):
        if words.index(entry[name]) + 1 != message[member]:
            return ActRefused(
                "act.metadata-differs",
                f"the metadata say {name} {entry[name]!r}, the message says {message[member]}",
                member,
            )
    return None
