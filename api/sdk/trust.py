"""The trust file: what a caller pinned when it was handed the installation's identity, out of band.

``{"version": 1, "origin": ..., "log_key": vkey, "gateway_key": hex, "chain_id": ..., "contracts": {...},
"salt": 0x.., "witnesses": [...], "quorum": n}``. The SDK reads it whole; ``civic audit verify`` reads the
members that concern the log and ignores those that concern the gateway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.sdk.errors import ProfileError
from ledger.audit.errors import NoteInvalid
from ledger.audit.note import VerifierKey


@dataclass(frozen=True, slots=True)
class Trust:
    """What the caller trusts of an installation; ``document`` is the file as read."""

    log_key: VerifierKey
    gateway_key: Ed25519PublicKey
    chain_id: int
    salt: str
    contracts: dict[str, str]
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Trust:
        """Read a trust file; ProfileError when it is missing or damaged."""
        try:
            return cls.parse(json.loads(path.read_text()))
        except FileNotFoundError as missing:
            raise ProfileError(
                f"there is no trust file at {path}", hint="ask the operator and a second source for it"
            ) from missing
        except (OSError, ValueError) as damaged:
            raise ProfileError(f"the trust file {path} is damaged") from damaged

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Trust:
        """From the JSON object."""
        try:
            return cls(
                log_key=VerifierKey.parse(document["log_key"]),
                gateway_key=Ed25519PublicKey.from_public_bytes(bytes.fromhex(document["gateway_key"])),
                chain_id=int(document["chain_id"]),
                salt=str(document["salt"]),
                contracts={str(name): str(address) for name, address in document["contracts"].items()},
                document=document,
            )
        except (KeyError, TypeError, ValueError, AttributeError, NoteInvalid) as damaged:
            raise ProfileError("the trust document lacks a member or has a bad one") from damaged
