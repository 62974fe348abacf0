"""An act on its way from person to person: a message, its documents, and the signatures gathered so far.

An *act file* is the JSON ``{"type", "message", "signatures", "documents", "arguments"}`` (and ``request``, the
access request that a grant answers). Several officers on several machines sign the same file, one after the
other; whoever has the last signature hands it in. Nothing here talks to a service.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from api.sdk.codes import OFFICER_ROLES
from api.sdk.errors import ClientError
from api.sdk.trust import Trust
from contracts.artifacts import eip712_domain, eip712_messages
from ledger.audit.verify.strict import read_once
from ledger.chain.messages import Domain, UnknownMessage, digest, normalise, struct_hash
from ledger.chain.signers import recover, sign_digest

_SHORT = {"SharingLedger": "ledger", "AuditAnchor": "anchor", "CostPools": "pools"}
_SAFE = 1 << 53
"""Integers from here on are written as decimal text: other languages' JSON cannot hold them."""

_MEMBERS = frozenset({"type", "message", "signatures", "documents", "arguments", "request"})
_QUORUM = ("steward", "cdo", "bureau")


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
        """The 32 bytes that every signer signs; MessageError when the message is not of its type."""
        return digest(domain_of(trust, self.type), self.type, self.message)

    @property
    def id(self) -> str:
        """The struct hash, 0x-hex: of a ``Terms`` it is the grant's id."""
        return "0x" + struct_hash(self.type, self.message).hex()

    def signers(self, trust: Trust) -> list[str]:
        """The addresses whose keys signed, in order; SignatureError when one is no signature."""
        said = self.digest(trust)
        return [recover(said, bytes.fromhex(signature[2:])) for signature in self.signatures]

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

    def handed_in(self, trust: Trust) -> dict[str, Any]:
        """The act as the service takes it: the signatures of an admission by what they show.

        With both, the department is admitted at once; the council's alone propose it, the seats' alone activate it.
        """
        document = self.to_json()
        if self.type == "Admission":
            seats = _incoming(self)
            slots: dict[str, list[str]] = {"council": [], "possession": []}
            for signer, signature in zip(self.signers(trust), self.signatures, strict=True):
                slots["possession" if signer.lower() in seats else "council"].append(signature)
            document["signatures"] = {name: given for name, given in slots.items() if given}
        return document

    @classmethod
    def from_json(cls, document: object) -> ActDraft:
        """From an act file; ActFileError, or MessageError when the message is not of its type."""
        if not isinstance(document, dict) or not isinstance(document.get("type"), str):
            raise ActFileError("an act file is a JSON object that names the 'type' of its message")
        if unknown := set(document) - _MEMBERS:
            raise ActFileError(
                f"an act file has no member {sorted(unknown)[0][:40]!r}", hint=f"it has {sorted(_MEMBERS)}"
            )
        signatures, documents = document.get("signatures", []), document.get("documents", [])
        arguments, request = document.get("arguments", {}), document.get("request")
        if not isinstance(signatures, list) or not all(_is_signature(one) for one in signatures):
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
        return ActDraft.from_json(read_once(path.read_text("utf-8")))
    except FileNotFoundError as missing:
        raise ActFileError(f"there is no act file at {path}") from missing
    except (OSError, ValueError, RecursionError) as damaged:
        raise ActFileError(
            f"{path} is not an act file", hint="it is the JSON that --save writes"
        ) from damaged


def write_act(path: Path, draft: ActDraft, *, replacing: bool = False) -> None:
    """Write an act file, whole or not at all; an existing file stays unless ``replacing``."""
    if path.exists() and not replacing:
        raise ActFileError(f"there is a file at {path} already", hint="choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_text(json.dumps(draft.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    temporary.replace(path)


def domain_of(trust: Trust, kind: str) -> Domain:
    """The EIP-712 domain of the contract that takes messages of this type, as the trust file pins it."""
    for contract, short in _SHORT.items():
        if kind in eip712_messages(contract):
            address = trust.contracts.get(contract) or trust.contracts.get(short)
            if address is None:
                raise ActFileError(f"the trust file does not name the {contract} contract")
            fixed = eip712_domain(contract)
            return Domain(fixed["name"], fixed["version"], trust.chain_id, address, trust.salt)
    raise UnknownMessage(f"no contract takes a message called {kind[:60]!r}")


def sign_act(draft: ActDraft, trust: Trust, secrets: Iterable[bytes]) -> ActDraft:
    """The draft with one more signature for every 32-byte secret; who signed already is not asked twice."""
    said = draft.digest(trust)
    signatures, signed = list(draft.signatures), set(draft.signers(trust))
    for secret in secrets:
        signature = sign_digest(secret, said)
        if (signer := recover(said, signature)) not in signed:
            signatures.append("0x" + signature.hex())
            signed.add(signer)
    return arranged(replace(draft, signatures=tuple(signatures)), trust)


def arranged(draft: ActDraft, trust: Trust, roles: Mapping[str, int] | None = None) -> ActDraft:
    """The signatures in the order in which the contract reads them.

    Who comes in (a new seat's possession) stands after who decides; with ``roles`` the ADMIN who seats a STEWARD stands
    before the second officer. With ``roles`` (address -> role bits) a
    quorum is put as the asset's class demands it: steward, chief data officer, data bureau.
    """
    signers = draft.signers(trust)
    seats = _incoming(draft)
    if seats:
        last = {address: place for place, address in enumerate(seats)}
        admin = OFFICER_ROLES["admin"] if draft.type == "AddOfficer" and roles else 0
        places = sorted(
            range(len(signers)),
            key=lambda i: (last.get(signers[i].lower(), -1), not (roles or {}).get(signers[i], 0) & admin),
        )
        return replace(draft, signatures=tuple(draft.signatures[i] for i in places))
    if roles and draft.type in ("Terms", "GrantBatch", "RetireAsset", "Reclassify") and len(signers) <= 3:
        for order in permutations(range(len(signers))):
            need = [OFFICER_ROLES[role] for role in _QUORUM[: len(order)]]
            if all(roles.get(signers[i], 0) & bit for i, bit in zip(order, need, strict=True)):
                return replace(draft, signatures=tuple(draft.signatures[i] for i in order))
    return draft


def _incoming(draft: ActDraft) -> list[str]:
    """The addresses, lower case, that show possession of their key, in the order of the message."""
    message = draft.message
    match draft.type:
        case "Admission":
            return [str(seat["holder"]).lower() for seat in message["seats"]]
        case "AddOfficer":
            return [str(message["officer"]).lower()]
        case "AddAttestKey":
            return [str(message["key"]).lower()]
        case "RotateKey":
            return [str(message["from"]).lower(), str(message["to"]).lower()]
    return []


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _portable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= _SAFE else value


def _is_signature(value: object) -> bool:
    if not isinstance(value, str) or len(value) != 132 or not value.startswith("0x"):
        return False
    return all(character in "0123456789abcdefABCDEF" for character in value[2:])
