"""Encrypted key files.

Officers and attest keys (secp256k1) are Ethereum V3 keystores, so that other wallets can open them. Service keys,
the log key and the gateway's answer key (Ed25519) are encrypted PKCS #8. Both are JSON files with a ``civic``
member that states the purpose of the key and whether it is a demo's; a demo's key is refused in production mode.
"""

from __future__ import annotations

import json
import os
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from api.protocol import v3_keystore
from api.protocol.errors import KeystoreError, WrongPassphrase
from ledger.audit.verify.strict import read_once
from ledger.chain.signers import address_of
from ledger.small_files import read_small

Kind = Literal[
    "officer", "attest", "relayer", "recovery", "council", "vault", "service", "log", "gateway", "witness"
]
SECP256K1_KINDS = frozenset({"officer", "attest", "relayer", "recovery", "council", "vault"})

SCRYPT_ROUNDS = 1 << 17
MAX_PASSPHRASE = 1023
"""In bytes, the limit of OpenSSL."""
DEMO_ROUNDS = 1 << 10
"""A demo's passphrase is public, so slow key derivation would not protect it."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The public facts of a key file, readable without its passphrase.

    ``public`` is the address (0x, checksummed) of a secp256k1 key or the public key (64 hex) of an Ed25519 one.
    """

    path: Path
    kind: Kind
    public: str
    demo: bool
    label: str
    kept: str = ""
    """Other keys sealed under this key (hex); only a vault has any."""


def create_key(path: Path, kind: Kind, passphrase: str, *, label: str = "", demo: bool = False) -> KeyInfo:
    """Create a key and write it encrypted (mode 0600); an existing file is not overwritten."""
    return _write_key(path, kind, passphrase, label, demo, None)


def import_secp256k1(
    path: Path,
    kind: Kind,
    secret: bytes,
    passphrase: str,
    *,
    label: str = "",
    demo: bool = False,
    kept: str = "",
) -> KeyInfo:
    """Write an existing secp256k1 secret (32 bytes), encrypted."""
    if kind not in SECP256K1_KINDS or len(secret) != 32:
        raise KeystoreError("only a secp256k1 secret of 32 bytes can be brought in")
    return _write_key(path, kind, passphrase, label, demo, secret, kept)


def _write_key(
    path: Path, kind: Kind, passphrase: str, label: str, demo: bool, secret: bytes | None, kept: str = ""
) -> KeyInfo:
    if not passphrase:
        raise KeystoreError(
            "a key file needs a passphrase", hint="give --passphrase-file or CIVIC_PASSPHRASE"
        )
    if len(passphrase.encode()) > MAX_PASSPHRASE:
        raise KeystoreError(
            f"a passphrase has at most {MAX_PASSPHRASE} bytes", hint="is this the passphrase file?"
        )
    if kind in SECP256K1_KINDS:
        document = _secp256k1_document(secret or secrets.token_bytes(32), passphrase, demo)
        public = document.pop("_public")
    else:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw().hex()
        pem = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
        )
        document = {"pem": pem.decode()}
    document["civic"] = {"kind": kind, "public": public, "demo": demo, "label": label}
    if kept:
        document["civic"]["kept"] = kept
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exists:
        raise KeystoreError(
            f"there is a key file at {path} already",
            hint="choose another name; key files are never overwritten",
        ) from exists
    with os.fdopen(handle, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return KeyInfo(path, kind, public, demo, label, kept)


def _secp256k1_document(secret: bytes, passphrase: str, demo: bool) -> dict[str, Any]:
    document = v3_keystore.encrypt(secret, passphrase, DEMO_ROUNDS if demo else SCRYPT_ROUNDS)
    document["_public"] = address_of(secret)
    return document


def key_info(path: Path) -> KeyInfo:
    """Read the public facts of a key file."""
    document = _read(path)
    about = document["civic"]
    try:
        return KeyInfo(
            path,
            about["kind"],
            str(about["public"]),
            bool(about["demo"]),
            str(about.get("label", "")),
            str(about.get("kept", "")),
        )
    except (KeyError, TypeError) as damaged:
        raise KeystoreError(f"{path} does not say what its key is for") from damaged


def open_secp256k1(path: Path, passphrase: str) -> bytes:
    """The 32-byte secret of an officer, attest, relayer, recovery or council key."""
    document, info = _read(path), key_info(path)
    if info.kind not in SECP256K1_KINDS:
        raise KeystoreError(f"{path} holds a {info.kind} key, not a secp256k1 one")
    try:
        secret = _decrypted(document, passphrase)
        address = address_of(secret)
    except v3_keystore.WrongKey as refused:
        raise WrongPassphrase(f"the passphrase does not open {path.name}") from refused
    except (KeyError, TypeError, ValueError, AttributeError) as damaged:
        raise KeystoreError(f"{path} is not a V3 keystore") from damaged
    if address != info.public:
        raise KeystoreError(f"{path} names another address than its key has")
    return secret


def _decrypted(document: dict[str, Any], passphrase: str) -> bytes:
    """Some wallets (ethers) normalise a passphrase to NFKC, which replaces full-width letters by plain ones; both
    forms are tried."""
    try:
        return v3_keystore.decrypt(document, passphrase)
    except v3_keystore.WrongKey:
        folded = unicodedata.normalize("NFKC", passphrase)
        if folded == passphrase:
            raise
        return v3_keystore.decrypt(document, folded)


def open_ed25519(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private key of a service, log, gateway or witness key file."""
    document, info = _read(path), key_info(path)
    if info.kind in SECP256K1_KINDS:
        raise KeystoreError(f"{path} holds a {info.kind} key, not an Ed25519 one")
    try:
        key = load_pem_private_key(str(document["pem"]).encode(), passphrase.encode())
    except (ValueError, InvalidKey) as refused:
        raise WrongPassphrase(f"the passphrase does not open {path.name}") from refused
    except (KeyError, TypeError) as damaged:
        raise KeystoreError(f"{path} is not an encrypted PKCS #8 key file") from damaged
    if not isinstance(key, Ed25519PrivateKey) or key.public_key().public_bytes_raw().hex() != info.public:
        raise KeystoreError(f"{path} names another public key than its key has")
    return key


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_once(read_small(path))
    except FileNotFoundError as missing:
        raise KeystoreError(
            f"there is no key file at {path}", hint="list them with: civic keys list"
        ) from missing
    except (OSError, ValueError) as damaged:
        raise KeystoreError(f"{path} cannot be read as a key file") from damaged
    if not isinstance(document, dict) or not isinstance(document.get("civic"), dict):
        raise KeystoreError(
            f"{path} is not a Civic Ledger key file", hint="make one with: civic keys new NAME --kind KIND"
        )
    return document
