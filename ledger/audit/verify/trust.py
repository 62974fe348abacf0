"""The trust file: keys and values with which an auditor checks a log, obtained from a source other than the log.

JSON with ``version`` 1, ``origin``, ``log_key`` (vkey), ``chain_id``, ``contracts`` {ledger, anchor}, ``witnesses``
(vkeys; those of unknown signature types are ignored) and ``quorum``. Optional: ``pins`` [{size, root}], heads that the
auditor kept; ``blocks`` {number: hash}, block hashes from a validator; ``archived`` [{size, root}], fronts of the log
whose leaves may be missing from a bundle that has no signed statement of it; ``timestamp_roots``, PEM certificates of
trusted RFC 3161 services. ``gateway_key`` and ``salt`` are for callers and signers (``api.protocol.trust``) and are not
used for checking the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificate

from ledger.audit.formats.checkpoint import MAX_SIZE, Head, Origin
from ledger.audit.formats.errors import AuditError, NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE
from ledger.audit.formats.note import COSIGNATURE, ED25519, VerifierKey, b64, unb64
from ledger.audit.verify.strict import read_once, write_json
from ledger.small_files import read_small

VERSION = 1
_REQUIRED = {"version", "origin", "log_key", "chain_id", "contracts", "witnesses", "quorum"}
_OPTIONAL = {"pins", "blocks", "archived", "timestamp_roots", "gateway_key", "salt"}
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_DECIMAL = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)


class TrustInvalid(AuditError):
    """The trust file is malformed or contradictory; the message states the fault."""

    code = "audit.trust"


def _with_short_names(value: dict[str, Any]) -> dict[str, Any]:
    """Accept the contracts also under their names on chain, which some trust files use."""
    contracts = value.get("contracts")
    if not isinstance(contracts, dict) or "AuditAnchor" not in contracts:
        return value
    named = {
        "ledger": str(contracts.get("SharingLedger", "")).lower(),
        "anchor": str(contracts["AuditAnchor"]).lower(),
    }
    return value | {"contracts": named}


@dataclass(frozen=True, slots=True)
class Trust:
    """The pinned log key, chain, contracts (0x, lower case), witnesses, quorum, heads and blocks.

    Raises `TrustInvalid` for a log key of another origin, or impossible witnesses or quorum.
    """

    origin: str
    log_key: VerifierKey
    chain_id: int
    ledger_contract: str
    anchor_contract: str
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0
    pins: tuple[Head, ...] = ()
    blocks: Mapping[int, str] = field(default_factory=dict)
    timestamp_roots: tuple[Certificate, ...] = ()
    archived: tuple[Head, ...] = ()

    def __post_init__(self) -> None:
        try:
            origin = Origin.parse(self.origin)
        except NoteInvalid as error:
            raise TrustInvalid(error.message) from error
        if self.log_key.name != self.origin or self.log_key.kind != ED25519:
            raise TrustInvalid("log_key is not an Ed25519 key named after the origin")
        if (origin.chain_id, origin.contract) != (self.chain_id, self.anchor_contract):
            raise TrustInvalid("origin, chain_id and contracts.anchor do not agree")
        check_witnesses(self.log_key, self.witnesses, self.quorum)
        for kind, heads in (("pinned", self.pins), ("archived", self.archived)):
            for head in heads:
                if not 0 <= head.size <= MAX_SIZE or len(head.root) != HASH_SIZE:
                    raise TrustInvalid(f"a {kind} head is not a size and 32 bytes")

    def to_json(self) -> bytes:
        """The bytes of the file, as `parse` reads them."""
        value: dict[str, Any] = {
            "version": VERSION,
            "origin": self.origin,
            "log_key": str(self.log_key),
            "chain_id": self.chain_id,
            "contracts": {"ledger": self.ledger_contract, "anchor": self.anchor_contract},
            "witnesses": [str(key) for key in self.witnesses],
            "quorum": self.quorum,
        }
        if self.pins:
            value["pins"] = [{"size": pin.size, "root": b64(pin.root)} for pin in self.pins]
        if self.archived:
            value["archived"] = [{"size": head.size, "root": b64(head.root)} for head in self.archived]
        if self.blocks:
            value["blocks"] = {str(number): value for number, value in sorted(self.blocks.items())}
        if self.timestamp_roots:
            roots = [root.public_bytes(Encoding.PEM).decode() for root in self.timestamp_roots]
            value["timestamp_roots"] = roots
        return write_json(value)

    @classmethod
    def load(cls, path: Path) -> Trust:
        """Read a file; raises `TrustInvalid`."""
        try:
            return cls.parse(read_small(path))
        except OSError as error:
            raise TrustInvalid(f"the trust file cannot be read: {error}") from error

    @classmethod
    def parse(cls, data: bytes | str) -> Trust:
        """Read JSON in any layout; raises `TrustInvalid`, also for an unknown field."""
        try:
            return cls.of(read_once(data))
        except ValueError as error:
            raise TrustInvalid(f"the trust file is malformed: {error}") from error

    @classmethod
    def of(cls, value: Any) -> Trust:
        """Read the JSON value; raises `TrustInvalid`."""
        try:
            if not isinstance(value, dict):
                raise TrustInvalid("the trust file is not a JSON object")
            value = _with_short_names(value)
            if unknown := value.keys() - _REQUIRED - _OPTIONAL:
                raise TrustInvalid(f"the trust file has members without a meaning: {sorted(unknown)}")
            if not value.keys() >= _REQUIRED:
                raise TrustInvalid(f"the trust file should have {', '.join(sorted(_REQUIRED))}")
            if _number(value["version"]) != VERSION:
                raise TrustInvalid(f"this is a trust file of version {value['version']}, not {VERSION}")
            trust = cls(
                origin=_text(value["origin"]),
                log_key=VerifierKey.parse(_text(value["log_key"])),
                chain_id=_number(value["chain_id"]),
                ledger_contract=_match(_ADDRESS, value["contracts"]["ledger"]),
                anchor_contract=_match(_ADDRESS, value["contracts"]["anchor"]),
                witnesses=tuple(VerifierKey.parse(_text(key)) for key in _list(value["witnesses"])),
                quorum=_number(value["quorum"]),
                pins=_heads(value.get("pins", [])),
                archived=_heads(value.get("archived", [])),
                blocks={
                    int(_match(_DECIMAL, number)): _match(_HASH, block)
                    for number, block in value.get("blocks", {}).items()
                },
                timestamp_roots=tuple(_certificate(text) for text in _list(value.get("timestamp_roots", []))),
            )
        except NoteInvalid as error:
            raise TrustInvalid(f"the trust file holds a malformed key or root: {error.message}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrustInvalid(f"the trust file is malformed: {error}") from error
        return trust


def check_witnesses(log_key: VerifierKey, witnesses: Sequence[VerifierKey], quorum: int) -> None:
    """Raise `TrustInvalid` unless these can be the witnesses and the quorum of the log with this key."""
    if any(key.kind == ED25519 for key in witnesses):
        raise TrustInvalid("a witness key is not a cosignature key (type 4)")
    if len({key.public for key in witnesses}) != len(witnesses):
        raise TrustInvalid("a witness is listed twice")
    if log_key.public in {key.public for key in witnesses}:
        raise TrustInvalid("the log's own key cannot be its witness")
    if not 0 <= quorum <= sum(key.kind == COSIGNATURE for key in witnesses):
        raise TrustInvalid("the quorum is larger than the number of witnesses whose keys can be checked")


def _heads(value: Any) -> tuple[Head, ...]:
    return tuple(Head(_number(item["size"]), unb64(_text(item["root"]), "a root")) for item in _list(value))


def _certificate(text: Any) -> Certificate:
    try:
        return load_pem_x509_certificate(_text(text).encode())
    except ValueError as error:
        raise TrustInvalid("a timestamp root is not a certificate in PEM") from error


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TrustInvalid("the trust file has something else where a list belongs")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TrustInvalid("the trust file has something else where a text belongs")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise TrustInvalid("the trust file has something else where a number belongs")
    return value


def _match(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_text(value)):
        raise TrustInvalid(f"neither lower-case hex of the right length nor a number: {value!r}")
    return str(value)
