"""The trust file: the identity of an installation, which the caller got by another channel than the service.

``{"version": 1, "origin": ..., "log_key": vkey, "gateway_key": hex, "chain_id": ..., "contracts": {...}, "salt":
0x.., "witnesses": [...], "quorum": n}``. The SDK reads it whole; ``civic audit verify`` reads the members about the
log and ignores those about the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.protocol.errors import ProfileError
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import ED25519, VerifierKey
from ledger.audit.verify.strict import read_once
from ledger.audit.verify.trust import TrustInvalid, check_witnesses
from ledger.ids import IdError, parse_digest, parse_public_key
from ledger.small_files import read_small


@dataclass(frozen=True, slots=True)
class Trust:
    """The identity of an installation that the caller pinned; ``document`` is the file as read."""

    log_key: VerifierKey
    gateway_key: Ed25519PublicKey
    chain_id: int
    salt: str
    contracts: dict[str, str]
    document: dict[str, Any]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0

    @classmethod
    def read(cls, path: Path) -> Trust:
        """Read a trust file; ProfileError if it is missing or damaged."""
        try:
            return cls.parse(read_once(read_small(path)))
        except FileNotFoundError as missing:
            raise ProfileError(
                f"there is no trust file at {path}", hint="ask the operator and a second source for it"
            ) from missing
        except (OSError, ValueError) as damaged:
            raise ProfileError(f"the trust file {path} is damaged: {damaged}") from damaged

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Trust:
        """From the JSON object."""
        try:
            log_key, chain_id = VerifierKey.parse(document["log_key"]), document["chain_id"]
            texts = [document["salt"], *document["contracts"].values()]
            if type(chain_id) is not int or chain_id < 0 or any(type(text) is not str for text in texts):
                raise TypeError("chain_id is a number, salt and addresses are texts")
            if log_key.kind != ED25519 or log_key.name != document["origin"]:
                raise ValueError("log_key is not an Ed25519 key named after the origin")
            witnesses = tuple(VerifierKey.parse(text) for text in document.get("witnesses", []))
            quorum = document.get("quorum", 0)
            if type(quorum) is not int:
                raise TypeError("quorum is a number")
            check_witnesses(log_key, witnesses, quorum)
            return cls(
                log_key=log_key,
                gateway_key=Ed25519PublicKey.from_public_bytes(
                    bytes.fromhex(parse_public_key(document["gateway_key"]))
                ),
                chain_id=chain_id,
                salt=parse_digest(document["salt"]),
                contracts=dict(document["contracts"]),
                document=document,
                witnesses=witnesses,
                quorum=quorum,
            )
        except TrustInvalid as damaged:
            raise ProfileError(f"the trust document cannot be used: {damaged.message}") from damaged
        except (KeyError, TypeError, ValueError, AttributeError, NoteInvalid, IdError) as damaged:
            raise ProfileError("the trust document lacks a member or has a bad one") from damaged
