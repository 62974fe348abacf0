"""Ethereum's key files, version 3: a secp256k1 secret under a passphrase, compatible with other wallets.

The format is the *Web3 Secret Storage Definition*, version 3: scrypt or PBKDF2 derives 32 bytes from the
passphrase. The first 16 encrypt the secret (AES-128-CTR); the last 16 are hashed with the ciphertext (Keccak-256),
so that a wrong passphrase is detected. Implemented with ``cryptography``, so that a department's client needs no
chain packages (decision 0022).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from eth_hash.auto import keccak

from ledger.chain.signers import address_of

R, P, LENGTH = 8, 1, 32
MOST_WORK = 1 << 30
"""The limit of bytes that scrypt may use (128 n r p), some seconds of work. A wallet's file uses 256 MiB; a file
that asks for more is refused."""
MOST_ROUNDS = 10_000_000
"""The limit of rounds of PBKDF2. A wallet's file has 262,144 to a million."""


class WrongKey(ValueError):
    """The passphrase does not open the file."""


def encrypt(secret: bytes, passphrase: str, rounds: int) -> dict[str, Any]:
    """The file's document for a secret (32 bytes); ``rounds`` is scrypt's n, a power of two."""
    salt, start = secrets.token_bytes(16), secrets.token_bytes(16)
    key = Scrypt(salt, LENGTH, rounds, R, P).derive(passphrase.encode())
    ciphertext = _ctr(key[:16], start, secret)
    return {
        "address": address_of(secret).removeprefix("0x"),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": start.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": LENGTH, "n": rounds, "r": R, "p": P, "salt": salt.hex()},
            "mac": keccak(key[16:32] + ciphertext).hex(),
        },
        "id": str(uuid4()),
        "version": 3,
    }


def decrypt(document: Mapping[str, Any], passphrase: str) -> bytes:
    """The secret (32 bytes). `WrongKey` for a wrong passphrase; `KeyError`, `TypeError` or `ValueError` if the
    document is not of version 3, or asks for more than `MOST_WORK` or `MOST_ROUNDS`."""
    crypto = {str(name).lower(): value for name, value in document.items()}["crypto"]
    if document["version"] != 3 or crypto["cipher"] != "aes-128-ctr":
        raise ValueError("not a key file of version 3")
    key = _derived(str(crypto["kdf"]), crypto["kdfparams"], passphrase.encode())
    ciphertext = _hex(crypto["ciphertext"])
    if not hmac.compare_digest(keccak(key[16:32] + ciphertext), _hex(crypto["mac"])):
        raise WrongKey("the passphrase is another")
    secret = _ctr(key[:16], _hex(crypto["cipherparams"]["iv"]).rjust(16, b"\0"), ciphertext)
    if len(secret) != 32:
        raise ValueError("the secret has not 32 bytes")
    return secret


def _derived(kdf: str, parameters: Mapping[str, Any], passphrase: bytes) -> bytes:
    salt, length = _hex(parameters["salt"]), _number(parameters["dklen"], 64)
    if length < LENGTH:
        raise ValueError("the derived key is too short")
    if kdf == "scrypt":
        n, r, p = (
            _number(parameters[name], most) for name, most in (("n", 1 << 24), ("r", 64), ("p", 1 << 10))
        )
        if 128 * n * r * p > MOST_WORK:
            raise ValueError("the key file asks for too much work")
        return bytes(Scrypt(salt, length, n, r, p).derive(passphrase))
    if kdf != "pbkdf2" or parameters["prf"] != "hmac-sha256":
        raise ValueError("the key file names an unknown derivation")
    return bytes(PBKDF2HMAC(SHA256(), length, salt, _number(parameters["c"], MOST_ROUNDS)).derive(passphrase))


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise ValueError("the key file states a number that cannot be")
    return value


def _hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError("hex is expected")
    return bytes.fromhex(value.removeprefix("0x"))


def _ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    run = Cipher(AES(key), CTR(start)).encryptor()  # Encryption and decryption are the same operation.
    return bytes(run.update(data) + run.finalize())
