"""Typed identifiers with one canonical text each.

A department is a uint24. An asset is ``department << 40 | sequence`` (uint64). A grant is the EIP-712 struct hash of its
Terms (32 bytes, 0x-hex in text). Documents name departments and assets by IRI; calls, commands and filters use the short
text. Other spellings are refused, not corrected, because a signature, a filter or an idempotency key made with one would
differ. All ``parse_`` functions raise `IdError`.
"""

from __future__ import annotations

import re
from typing import NewType
from uuid import UUID

from ledger.errors import LedgerError

DepartmentId = NewType("DepartmentId", int)
AssetId = NewType("AssetId", int)
GrantId = NewType("GrantId", str)

EVERYBODY = "urn:civic:dept:any"
"""The assignee of a standing offer (grantee 0 on chain): any admitted department."""

_NUMBER = "[1-9][0-9]{0,12}"
_PLAIN = re.compile("0|[1-9][0-9]{0,18}")
DEPARTMENT = re.compile(f"({_NUMBER})")
ASSET = re.compile(rf"({_NUMBER})\.({_NUMBER})")
KEY_ID = re.compile(f"({_NUMBER}):([0-9a-f]{{64}})")
KEY = re.compile("[0-9a-f]{64}")
HASH = re.compile("0x[0-9a-f]{64}")
ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
_DEPARTMENT_IRI, _ASSET_IRI = "urn:civic:dept:", "urn:civic:asset:"

ACTIVATION = ":activate"
"""The suffix of the digest in the id of an admission's second act."""


class IdError(LedgerError):
    """A text is not the canonical id of a department, an asset, a grant, a key or an address."""

    code = "id.invalid"


def parse_number(text: str) -> int:
    """Parse a count, an index or a size: ASCII digits without sign, blanks or leading zeros."""
    if not _PLAIN.fullmatch(text):
        raise IdError(f"not a number: {text[:60]!r}", hint="write digits only, without leading zeros")
    return int(text)


def department_iri(department: int) -> str:
    """The IRI ``urn:civic:dept:7``; `EVERYBODY` for 0."""
    return EVERYBODY if department == 0 else f"{_DEPARTMENT_IRI}{department}"


def parse_department(text: str) -> DepartmentId:
    """Parse a department such as ``7``."""
    if not DEPARTMENT.fullmatch(text) or int(text) >= 1 << 24:
        raise IdError(f"not a department: {text[:60]!r}", hint="write a number such as 7")
    return DepartmentId(int(text))


def parse_department_iri(text: str) -> DepartmentId:
    """Parse an IRI such as ``urn:civic:dept:7``; 0 for `EVERYBODY`."""
    if text == EVERYBODY:
        return DepartmentId(0)
    if not text.startswith(_DEPARTMENT_IRI):
        raise IdError(f"not a department: {text[:60]!r}", hint="a document says urn:civic:dept:7")
    return parse_department(text.removeprefix(_DEPARTMENT_IRI))


def asset_id(department: int, sequence: int) -> AssetId:
    """The number of an asset on chain."""
    if not (0 < department < 1 << 24 and 0 < sequence < 1 << 40):
        raise IdError(
            "an asset id has a department of 24 bits and a sequence of 40 bits, both above 0",
            hint="write department.sequence, such as 7.12",
        )
    return AssetId(department << 40 | sequence)


def department_of(number: int) -> DepartmentId:
    """The department in the number of an asset, a condition or a cost pool: its upper 24 bits."""
    return DepartmentId(number >> 40)


def asset_text(asset: int) -> str:
    """The text of an asset, such as ``7.12``."""
    return f"{department_of(asset)}.{asset & ((1 << 40) - 1)}"


def asset_iri(asset: int) -> str:
    """The IRI of an asset, such as ``urn:civic:asset:7.12``."""
    return f"{_ASSET_IRI}{asset_text(asset)}"


def parse_asset(text: str) -> AssetId:
    """Parse an asset such as ``7.12``."""
    found = ASSET.fullmatch(text)
    if not found:
        raise IdError(f"not an asset: {text[:60]!r}", hint="write department.sequence, such as 7.12")
    return asset_id(int(found[1]), int(found[2]))


def parse_asset_iri(text: str) -> AssetId:
    """Parse an IRI such as ``urn:civic:asset:7.12``."""
    if not text.startswith(_ASSET_IRI):
        raise IdError(f"not an asset: {text[:60]!r}", hint="a document says urn:civic:asset:7.12")
    return parse_asset(text.removeprefix(_ASSET_IRI))


def parse_condition(text: str) -> int:
    """Parse a condition such as ``3.1`` (keeper and sequence); its number is built like that of an asset."""
    found = ASSET.fullmatch(text)
    if not found:
        raise IdError(f"not a condition: {text[:60]!r}", hint="write keeper.sequence, such as 3.1")
    return asset_id(int(found[1]), int(found[2]))


def condition_text(condition: int) -> str:
    """The text of a condition, such as ``3.1``."""
    return asset_text(condition)


def parse_grant(text: str) -> GrantId:
    """Parse a grant id: 0x and 64 lower-case hex digits."""
    if not HASH.fullmatch(text):
        raise IdError(f"not a grant id: {text[:80]!r}", hint="a grant id is 0x and 64 lower-case hex digits")
    return GrantId(text)


def parse_digest(text: str) -> str:
    """Parse the digest of an act, or another hash: 0x and 64 lower-case hex digits."""
    if not HASH.fullmatch(text):
        raise IdError(f"not a hash: {text[:80]!r}", hint="a hash is 0x and 64 lower-case hex digits")
    return text


def parse_public_key(text: str) -> str:
    """Parse an Ed25519 public key: 64 lower-case hex digits."""
    if not KEY.fullmatch(text):
        raise IdError(f"not a public key: {text[:80]!r}", hint="a public key is 64 lower-case hex digits")
    return text


def parse_key_id(text: str) -> tuple[DepartmentId, str]:
    """Parse ``<department>:<Ed25519 public key, 64 lower-case hex digits>``; returns department and public key."""
    found = KEY_ID.fullmatch(text)
    if not found:
        raise IdError(
            f"not a key id: {text[:80]!r}", hint="a key id is <department>:<64 lower-case hex digits>"
        )
    return parse_department(found[1]), found[2]


def parse_actor(text: str) -> str:
    """Parse the actor of a log entry: a key id or an officer's address."""
    if text.startswith("0x"):
        return parse_address(text)
    parse_key_id(text)
    return text


def parse_uuid(text: str) -> UUID:
    """Parse a UUID of 8-4-4-4-12 lower-case hex digits."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise IdError(f"not a UUID: {text[:60]!r}", hint="write it with hyphens, in lower case")
    return found


def checksummed(address: bytes) -> str:
    """An address (20 bytes) as 0x-hex with the checksum of EIP-55. (eth-utils would take 0.4 s to import.)"""
    from eth_hash.auto import keccak

    text = address.hex()
    shade = keccak(text.encode()).hex()
    return "0x" + "".join(c.upper() if int(shade[i], 16) > 7 else c for i, c in enumerate(text))


def parse_address(text: str) -> str:
    """Parse an address: 0x and 40 hex digits with the checksum of EIP-55, which detects typing errors."""
    if not ADDRESS.fullmatch(text):
        raise IdError(f"not an address: {text[:60]!r}", hint="an address is 0x and 40 hex digits")
    spelled = checksummed(bytes.fromhex(text[2:]))
    if spelled != text:
        raise IdError(
            f"not the spelling of an address: {text}",
            hint=f"compare it with its source; with its checksum (EIP-55) it is {spelled}",
        )
    return spelled
