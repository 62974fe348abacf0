"""A signed act: an EIP-712 message, its signatures, the unsigned arguments of the call, and documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from ledger.acts.form import ACT_MEMBERS, is_signature
from ledger.catalogue.metadata import MetadataError, canonical_json
from ledger.chain.calls import ActFunction, Signatures, arrange
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.messages import normalise
from ledger.errors import LedgerError
from ledger.ids import ACTIVATION, IdError, parse_uuid

if TYPE_CHECKING:
    from ledger.chain.contracts import Call

State = Literal["awaiting-file", "received", "submitted", "mined", "recorded", "failed", "expired"]
AWAITING_FILE: State = "awaiting-file"
"""The state of an accepted new version of a dataset whose file was not uploaded yet. It is not sent before the upload, and
reads use the previous version."""
FINAL: frozenset[State] = frozenset({"recorded", "failed", "expired"})

MAX_SIGNATURES = 64
MAX_DOCUMENTS = 1_000
MAX_DOCUMENT = 1 << 20


class ActError(LedgerError):
    """A signed act is malformed and was not accepted."""

    code = "act.invalid"


class ActUnknown(ActError):
    """No act has this digest."""

    code = "not-found.act"


class ActPending(ActError):
    """The act was accepted and is not recorded yet; query it again by its digest."""

    code = "act.pending"


@dataclass(frozen=True, slots=True)
class SignedAct:
    """A normalised message of one EIP-712 type, and the contract function that receives it.

    ``signatures`` maps each slot of the function to signatures of 65 bytes, in the order that the contract requires.
    ``arguments`` are the unsigned arguments of the call (parent terms, a consistency proof). ``documents`` are canonical
    JSON bodies whose SHA-256 is in the message. ``request`` is the access request that a grant answers.
    """

    type: str
    message: Mapping[str, Any]
    function: ActFunction
    signatures: Signatures
    arguments: Mapping[str, Any] = field(default_factory=dict)
    documents: tuple[bytes, ...] = ()
    request: UUID | None = None

    def with_last_use(self, last_use: Mapping[str, Any], signature: str) -> SignedAct:
        """The delegation with the last total of its counted parent grant and the signature of it (0x-hex), as the
        contract requires. The officers' message and signatures do not change."""
        arguments = {"chain": self.arguments["chain"], "lastUse": dict(last_use)}
        signatures = {
            "signatures": self.signatures["signatures"],
            "useSignature": (bytes.fromhex(signature[2:]),),
        }
        function, named = arrange(self.type, self.message, signatures, arguments)
        return replace(self, function=function, signatures=named, arguments=arguments)

    @property
    def deadline(self) -> int | None:
        """Unix seconds after which the contract refuses the message; None for a message without one."""
        value = self.message.get("deadline")
        return value if isinstance(value, int) else None

    @property
    def all_signatures(self) -> tuple[bytes, ...]:
        """The signatures of all slots, in the order of the function's parameters."""
        return tuple(s for slot in self.function.slots for s in self.signatures[slot])

    def digest(self, deployment: Deployment) -> bytes:
        """The EIP-712 digest that was signed, 32 bytes."""
        return act_digest(deployment, self.type, self.message)

    def signed(self, slot: str, deployment: Deployment) -> bytes:
        """The 32-byte digest that the signatures of this slot are over: the act's digest, or for the last total of a
        delegation the digest of that total."""
        if slot != "useSignature":
            return self.digest(deployment)
        return act_digest(deployment, "Use", self.arguments["lastUse"])

    def id(self, deployment: Deployment) -> str:
        """The id of the act in the outbox: its digest as 0x-hex.

        The proposal and the activation of an admission are two acts over one message: the id of the activation has the
        function's name as a suffix.
        """
        text = "0x" + self.digest(deployment).hex()
        return text + ACTIVATION if self.function.name == "activate" else text

    def call(self, deployment: Deployment) -> Call:
        """The contract call of the act. Raises `MessageError` when an argument is not of its type."""
        from ledger.chain.contracts import call_of  # imported here: the client package lacks its dependencies

        return call_of(deployment, self.function, self.message, self.signatures, self.arguments)

    @classmethod
    def from_json(cls, document: object) -> SignedAct:
        """Read the JSON form ``{"type", "message", "signatures", "arguments"?, "documents"?, "request"?}``.

        ``signatures`` is a list of 0x-hex, or an object of such lists by slot. Raises `ActError`, or
        `MessageError` when the message is not of its type.
        """
        if not isinstance(document, Mapping):
            raise ActError("an act is a JSON object")
        for member in document:
            if member not in ACT_MEMBERS:
                raise ActError(
                    f"an act has no member {str(member)[:40]!r}", hint=f"it has {sorted(ACT_MEMBERS)}"
                )
        name = document.get("type")
        if not isinstance(name, str):
            raise ActError("an act names the 'type' of its message")
        arguments = document.get("arguments") or {}
        if not isinstance(arguments, Mapping):
            raise ActError("'arguments' is a JSON object")
        message = normalise(name, document.get("message", {}))
        function, named = arrange(name, message, _signatures(document.get("signatures")), arguments)
        from ledger.chain.call_data import encode_call

        encode_call(function, message, named, arguments)
        return cls(
            name,
            message,
            function,
            named,
            dict(arguments),
            _documents(document.get("documents") or []),
            _request(document.get("request")),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form without the documents."""
        return {
            "type": self.type,
            "message": dict(self.message),
            "signatures": {
                slot: ["0x" + signature.hex() for signature in given]
                for slot, given in self.signatures.items()
            },
            "arguments": dict(self.arguments),
        } | ({} if self.request is None else {"request": str(self.request)})


def sha256_hex(body: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(body).hexdigest()


def _signatures(value: object) -> tuple[bytes, ...] | dict[str, tuple[bytes, ...]]:
    if isinstance(value, Mapping):
        return {str(slot): _signature_list(given) for slot, given in value.items()}
    return _signature_list(value)


def _signature_list(value: object) -> tuple[bytes, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SIGNATURES:
        raise ActError(
            f"'signatures' is a list of 1 to {MAX_SIGNATURES} signatures, or an object of such lists"
        )
    for index, signature in enumerate(value):
        if not is_signature(signature):
            raise ActError(f"signature {index} is not 0x and 130 hex digits")
    return tuple(bytes.fromhex(signature[2:]) for signature in value)


def _documents(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_DOCUMENTS:
        raise ActError(f"'documents' is a list of at most {MAX_DOCUMENTS} JSON objects")
    bodies = []
    for index, document in enumerate(value):
        if not isinstance(document, Mapping):
            raise ActError(f"document {index} is not a JSON object")
        try:
            body = canonical_json(document)
        except MetadataError as error:
            raise ActError(f"document {index}: {error.message}") from None
        if len(body) > MAX_DOCUMENT:
            raise ActError(f"document {index} has more than {MAX_DOCUMENT} bytes")
        bodies.append(body)
    return tuple(bodies)


def _request(value: object) -> UUID | None:
    if value is None:
        return None
    try:
        return parse_uuid(str(value))
    except IdError as other:
        raise ActError("'request' is the id of an access request, a UUID", hint=other.hint) from other
