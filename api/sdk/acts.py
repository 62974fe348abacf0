"""An act file: a message, its documents, and the signatures so far.

An *act file* is the JSON ``{"type", "message", "signatures", "documents", "arguments"}`` (and ``request``, the
access request that a grant answers). Several officers on several machines sign the same file, one after the other;
the last signer hands it in. This module does not contact a service.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from api.protocol.errors import ClientError
from api.protocol.names import SHORT_NAMES
from api.protocol.trust import Trust
from ledger.acts.form import ACT_MEMBERS, is_signature
from ledger.audit.verify.strict import read_once
from ledger.chain.messages import Domain, digest, normalise, record_id
from ledger.chain.signers import recover, sign_digest
from ledger.small_files import read_text

_SAFE = 1 << 53
"""Integers from here on are written as decimal text, because JSON parsers of other languages cannot hold them."""


MOST_SIGNATURES = 128
"""The most signatures of an act file: two lists of what a service takes in each."""


class ActFileError(ClientError):
    """An act file cannot be used."""

    code = "act.file"


@dataclass(frozen=True, slots=True)
class ActDraft:
    """A message of one EIP-712 type with its documents; ``signatures`` are 0x-hex of 65 bytes each."""

    type: str
    message: Mapping[str, Any]
    documents: tuple[Mapping[str, Any], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    signatures: tuple[str, ...] = ()
    request: str | None = None

    def digest(self, trust: Trust) -> bytes:
        """The 32 bytes that every signer signs; MessageError if the message is not of its type."""
        return digest(domain_of(trust, self.type), self.type, self.message)

    @property
    def id(self) -> str:
        """The struct hash, 0x-hex: of a ``Terms`` it is the grant's id."""
        return record_id(self.type, self.message)

    def signers(self, trust: Trust) -> list[str]:
        """The addresses whose keys signed, in order; SignatureError if one is not a valid signature."""
        message_digest = self.digest(trust)
        return [recover(message_digest, bytes.fromhex(signature[2:])) for signature in self.signatures]

    def to_json(self) -> dict[str, Any]:
        """The act file."""
        document: dict[str, Any] = {
            "type": self.type,
            "message": _portable(dict(self.message)),
            "signatures": list(self.signatures),
            "documents": [dict(body) for body in self.documents],
            "arguments": _portable(dict(self.arguments)),
        }
        return document if self.request is None else document | {"request": self.request}

    @classmethod
    def from_json(cls, document: object) -> ActDraft:
        """Parse an act file; ActFileError, or MessageError if the message is not of its type."""
        if not isinstance(document, dict) or not isinstance(document.get("type"), str):
            raise ActFileError("an act file is a JSON object that names the 'type' of its message")
        if unknown := set(document) - ACT_MEMBERS:
            raise ActFileError(
                f"an act file has no member {sorted(unknown)[0][:40]!r}", hint=f"it has {sorted(ACT_MEMBERS)}"
            )
        signatures, documents = document.get("signatures", []), document.get("documents", [])
        arguments, request = document.get("arguments", {}), document.get("request")
        if isinstance(signatures, list) and len(signatures) > MOST_SIGNATURES:
            raise ActFileError(
                f"an act has at most {MOST_SIGNATURES} signatures, this file {len(signatures)}"
            )
        if not isinstance(signatures, list) or not all(is_signature(one) for one in signatures):
            raise ActFileError("'signatures' is a list of 0x and 130 hex digits each")
        if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
            raise ActFileError("'documents' is a list of JSON objects")
        if not isinstance(arguments, dict) or not (request is None or isinstance(request, str)):
            raise ActFileError("'arguments' is a JSON object, 'request' the id of an access request")
        kind = document["type"]
        message = normalise(kind, document.get("message", {}))
        return cls(kind, message, tuple(documents), arguments, tuple(signatures), request)


def read_act(path: Path) -> ActDraft:
    """Read an act file."""
    try:
        return ActDraft.from_json(read_once(read_text(path)))
    except FileNotFoundError as missing:
        raise ActFileError(f"there is no act file at {path}") from missing
    except (OSError, ValueError, RecursionError) as damaged:
        raise ActFileError(
            f"{path} is not an act file", hint="it is the JSON that --save writes"
        ) from damaged


def write_act(path: Path, draft: ActDraft, *, replacing: ActDraft | None = None) -> None:
    """Write an act file atomically; an existing file is overwritten only if it still holds the draft ``replacing``.

    The directory may belong to somebody else, so nothing that exists there is written to.
    """
    if replacing is None and path.exists():
        raise ActFileError(f"there is a file at {path} already", hint="choose another name")
    if replacing is not None and read_act(path) != replacing:
        raise ActFileError(
            f"{path} changed while it was signed, and is as it was changed",
            hint="read it again, and sign again",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(json.dumps(draft.to_json(), ensure_ascii=False, indent=1) + "\n")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def domain_of(trust: Trust, kind: str) -> Domain:
    """The EIP-712 domain of the contract that accepts messages of this type, as the trust file pins it."""
    from ledger.chain.calls import functions_of

    contract = functions_of(kind)[0].contract
    address = trust.contracts.get(contract) or trust.contracts.get(SHORT_NAMES[contract])
    if address is None:
        raise ActFileError(f"the trust file does not name the {contract} contract")
    return Domain.of(contract, trust.chain_id, address, trust.salt)


def sign_act(draft: ActDraft, trust: Trust, secrets: Iterable[bytes]) -> ActDraft:
    """The draft with one more signature for every 32-byte secret; a key that has signed already is skipped."""
    message_digest = draft.digest(trust)
    signatures, signed = list(draft.signatures), set(draft.signers(trust))
    for secret in secrets:
        signature = sign_digest(secret, message_digest)
        if (signer := recover(message_digest, signature)) not in signed:
            signatures.append("0x" + signature.hex())
            signed.add(signer)
    return replace(draft, signatures=tuple(signatures))


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _portable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= _SAFE else value
