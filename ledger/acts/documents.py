"""The documents that go with an act: each is named by the message, is there once, and none that is named is missing.

Pure, so that whoever signs can ask the same before the act is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ledger.acts.act import sha256_hex
from ledger.acts.refusal import ActRefused
from ledger.catalogue.metadata import GRADES, SHARING, MetadataError, parse_metadata
from ledger.chain.limits import NOTHING
from ledger.chain.messages import fields, record_id

ENTRY_ACTS = ("RegisterAsset", "NewVersion", "DeriveAsset")
"""Acts whose ``metadata`` is the hash of a catalogue entry."""

DOCUMENTS = frozenset({"termsHash", "metadata", "profile", "reason", "reasonHash", "voucher"})
"""The ``bytes32`` members that are the SHA-256 of a document: who signs the hash signs the document."""

RELIED_ON = ("metadata", "termsHash")
"""Those without which nothing can be read: they are asked for again when they are lost."""


def documents_named(kind: str, message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Member and hash (0x-hex) of every document that a normalised message names; none for a hash of zeros."""
    for member, value in _hashes(kind, message):
        if member in DOCUMENTS and value != NOTHING:
            yield member, value


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
    hashes = {value.removeprefix("0x") for _, value in _hashes(kind, message)}
    named = hashes | _openings(kind, message, bodies)
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
    for member, value in documents_named(kind, message):
        digest = value.removeprefix("0x")
        found = given.get(digest) or stored(digest)
        if found is None:
            return ActRefused(
                "act.document-missing", f"the document with the SHA-256 {digest} is not attached", member
            )
        if member == "metadata" and (refused := _entry_refused(kind, message, found)) is not None:
            return refused
    return None


def documents_again(
    kind: str,
    message: Mapping[str, Any],
    bodies: Sequence[bytes],
    on_record: Callable[[str, str], bool],
    stored: Callable[[str], bytes | None],
) -> list[bytes]:
    """Those of the bodies that an act on record needs and that are not here any more, as after a restore.

    ``on_record`` tells whether there is a ``grant`` of this id, or a dataset with this ``metadata``.
    """
    named: set[str] = set()
    if kind in ENTRY_ACTS and on_record("metadata", message["metadata"]):
        named = {message["metadata"].removeprefix("0x"), *_openings(kind, message, bodies)}
    for terms in grants_of(kind, message):
        if on_record("grant", record_id("Terms", terms)):
            named.add(terms["termsHash"].removeprefix("0x"))
    return [body for body in bodies if (digest := sha256_hex(body)) in named and stored(digest) is None]


def documents_missing(
    kind: str, message: Mapping[str, Any], stored: Callable[[str], bytes | None]
) -> list[str]:
    """The documents, by their SHA-256 with 0x, without which an act permits nothing and that are not here."""
    named = documents_named(kind, message)
    return [value for member, value in named if member in RELIED_ON and stored(value) is None]


def _openings(kind: str, message: Mapping[str, Any], bodies: Sequence[bytes]) -> set[str]:
    """What the catalogue entry that the message names names in turn: the opening of its source."""
    found: set[str] = set()
    for body in bodies if kind in ENTRY_ACTS else ():
        if sha256_hex(body) == message["metadata"].removeprefix("0x"):
            source = json.loads(body).get("source")
            if isinstance(source, dict) and "opening" in source:
                found.add(str(source["opening"]))
    return found


def _hashes(kind: str, message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Member and value of every ``bytes32`` of a message and its structs."""
    for member in fields(kind):
        value, inner = message[member.name], member.type.removesuffix("[]")
        for item in value if member.type.endswith("[]") else [value]:
            if inner == "bytes32":
                yield member.name, item
            elif isinstance(item, Mapping):
                yield from _hashes(inner, item)


def grants_of(kind: str, message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The Terms that an act signs; none for an act that grants nothing."""
    return message["grants"] if kind == "GrantBatch" else [message] if kind == "Terms" else []


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
