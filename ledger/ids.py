"""Typed identifiers, and their one spelling in documents and on chain.

A department is a uint24. An asset is ``department << 40 | sequence`` (uint64). A grant is the EIP-712 struct
hash of its Terms (32 bytes, 0x-hex in text).
"""

from __future__ import annotations

import re
from typing import NewType

from ledger.errors import LedgerError

DepartmentId = NewType("DepartmentId", int)
AssetId = NewType("AssetId", int)
GrantId = NewType("GrantId", str)

EVERYBODY = "urn:civic:dept:any"
"""The assignee of a standing offer (grantee 0 on chain): any admitted department."""

_DEPARTMENT = re.compile(r"(?:urn:civic:dept:)?(\d{1,8})", re.ASCII)
_ASSET = re.compile(r"(?:urn:civic:asset:)?(\d{1,8})\.(\d{1,13})", re.ASCII)
_GRANT = re.compile(r"0x[0-9a-f]{64}", re.ASCII)


class IdError(LedgerError):
    """A text that should name a department, asset or grant does not."""

    code = "id.invalid"


def department_iri(department: int) -> str:
    """``urn:civic:dept:7``; 0 is everybody."""
    return EVERYBODY if department == 0 else f"urn:civic:dept:{department}"


def parse_department(text: str) -> DepartmentId:
    """From ``7`` or ``urn:civic:dept:7``."""
    if text == EVERYBODY:
        return DepartmentId(0)
    found = _DEPARTMENT.fullmatch(text)
    if not found or int(found[1]) >= 1 << 24:
        raise IdError(
            f"not a department: {text[:60]!r}", hint="write a number such as 7, or urn:civic:dept:7"
        )
    return DepartmentId(int(found[1]))


def asset_id(department: int, sequence: int) -> AssetId:
    """The chain's number of an asset."""
    if not (0 < department < 1 << 24 and 0 < sequence < 1 << 40):
        raise IdError("an asset id has a department of 24 bits and a sequence of 40 bits, both above 0")
    return AssetId(department << 40 | sequence)


def asset_text(asset: int) -> str:
    """``7.12``."""
    return f"{asset >> 40}.{asset & ((1 << 40) - 1)}"


def asset_iri(asset: int) -> str:
    """``urn:civic:asset:7.12``."""
    return f"urn:civic:asset:{asset_text(asset)}"


def parse_asset(text: str) -> AssetId:
    """From ``7.12`` or ``urn:civic:asset:7.12``."""
    found = _ASSET.fullmatch(text)
    if not found:
        raise IdError(f"not an asset: {text[:60]!r}", hint="write department.sequence, such as 7.12")
    return asset_id(int(found[1]), int(found[2]))


def parse_grant(text: str) -> GrantId:
    """From 0x and 64 lower-case hex digits."""
    if not _GRANT.fullmatch(text):
        raise IdError(f"not a grant id: {text[:80]!r}", hint="a grant id is 0x and 64 hex digits")
    return GrantId(text)
