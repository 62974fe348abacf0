"""The documents of an act: the message names each of them, each is given once, and none is missing.

The functions are pure, so a signer's client can run the same checks before the act is submitted.
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
"""The ``bytes32`` members that are the SHA-256 of a document, so that a signature covers the document."""

RELIED_ON = ("metadata", "termsHash")
"""The members whose documents are needed for reads. When such a document is lost, it is requested again."""


def documents_named(kind: str, message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Member and hash (0x-hex) of every document that a normalised message names. A hash of zeros names none."""
    for member, value in _hashes(kind, message):
        if member in DOCUMENTS and value != NOTHING:
            yield member, value


def documents_refused(
    kind: str,
    message: Mapping[str, Any],
    bodies: Sequence[bytes],
    stored: Callable[[str], bytes | None],
) -> ActRefused | None:
    """Check the documents (canonical JSON bodies) of a normalised message; returns None when they are accepted.

    A catalogue entry names one more document: the opening of its source. ``stored`` returns a document that was
    submitted before, by its SHA-256 in hex.
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
    """Those of the bodies that a recorded act needs and that are not stored, as after a restore from a backup.

    ``on_record(member, value)`` returns whether a ``grant`` of this id, or a dataset with this ``metadata``, is recorded.
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
    """The missing documents (SHA-256 as 0x-hex) that the act needs before it permits anything."""
    named = documents_named(kind, message)
    return [value for member, value in named if member in RELIED_ON and stored(value) is None]


def _openings(kind: str, message: Mapping[str, Any], bodies: Sequence[bytes]) -> set[str]:
    """The SHA-256 (hex) of the opening that the catalogue entry of the message names."""
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
    """Check the form of a catalogue entry, and that grade and sharing agree with the message."""
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
