"""Key files are encrypted, never overwritten, and say what they are for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Literal

import pytest
from eth_account import Account
from eth_hash.auto import keccak

from api.protocol import v3_keystore
from api.protocol.errors import KeystoreError, WrongPassphrase
from api.protocol.keystore import Kind, create_key, import_secp256k1, key_info, open_ed25519, open_secp256k1

GROUP_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@pytest.mark.parametrize("kind", ["officer", "attest", "council"])
def test_a_secp256k1_key_opens_with_its_passphrase_alone(tmp_path: Path, kind: Kind) -> None:
    info = create_key(tmp_path / "k.json", kind, "right", demo=True)
    assert Account.from_key(open_secp256k1(info.path, "right")).address == info.public
    with pytest.raises(WrongPassphrase):
        open_secp256k1(info.path, "wrong")


def test_an_ed25519_key_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    info = create_key(tmp_path / "k.json", "service", "right")
    assert open_ed25519(info.path, "right").public_key().public_bytes_raw().hex() == info.public
    with pytest.raises(WrongPassphrase):
        open_ed25519(info.path, "wrong")


def test_another_wallet_opens_an_officer_key(tmp_path: Path) -> None:
    info = create_key(tmp_path / "k.json", "officer", "right", demo=True)
    document = json.loads(info.path.read_text())
    assert Account.from_key(Account.decrypt(document, "right")).address == info.public


def test_a_key_file_is_never_overwritten_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    info = create_key(tmp_path / "k.json", "service", "right")
    before = info.path.read_bytes()
    with pytest.raises(KeystoreError):
        create_key(tmp_path / "k.json", "service", "other")
    assert info.path.read_bytes() == before
    assert info.path.stat().st_mode & 0o777 == 0o600


def test_key_file_does_not_contain_the_secret(tmp_path: Path) -> None:
    secret = bytes(range(1, 33))
    info = import_secp256k1(tmp_path / "k.json", "relayer", secret, "right", demo=True)
    assert secret.hex() not in info.path.read_text()
    assert open_secp256k1(info.path, "right") == secret


def test_a_demo_key_says_so(tmp_path: Path) -> None:
    assert create_key(tmp_path / "a.json", "officer", "p", demo=True).demo
    assert not key_info(create_key(tmp_path / "b.json", "service", "p").path).demo


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"civic": 1}', '{"civic": {"kind": "officer"}}', "\x00"]
)
def test_malformed_key_file_is_refused_with_its_code(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    with pytest.raises(KeystoreError):
        key_info(path)


def test_a_key_that_was_swapped_in_its_file_is_refused(tmp_path: Path) -> None:
    first = create_key(tmp_path / "a.json", "service", "p")
    second = create_key(tmp_path / "b.json", "service", "p")
    document = json.loads(first.path.read_text())
    document["pem"] = json.loads(second.path.read_text())["pem"]
    first.path.write_text(json.dumps(document))
    with pytest.raises(KeystoreError):
        open_ed25519(first.path, "p")


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError):
        create_key(tmp_path / "k.json", "service", "")


@pytest.mark.parametrize(("kdf", "rounds"), [("scrypt", 1024), ("pbkdf2", 1000)])
def test_a_key_file_of_another_wallet_is_opened(
    tmp_path: Path, kdf: Literal["scrypt", "pbkdf2"], rounds: int
) -> None:
    """As eth-account writes it; the members that are ours are added by whoever brings the file."""
    secret = bytes(range(2, 34))
    info = import_secp256k1(tmp_path / "k.json", "officer", secret, "right", demo=True)
    document = Account.encrypt(secret, "right", kdf=kdf, iterations=rounds)
    document["Crypto" if kdf == "pbkdf2" else "crypto"] = document.pop("crypto")
    document["civic"] = json.loads(info.path.read_text())["civic"]
    info.path.write_text(json.dumps(document))
    assert open_secp256k1(info.path, "right") == secret
    with pytest.raises(WrongPassphrase):
        open_secp256k1(info.path, "wrong")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kdfparams.n", 1 << 24), ("kdfparams.n", -1), ("kdfparams.n", True), ("kdfparams.n", 3), ("kdfparams.r", 1 << 20),
        ("kdfparams.p", 1 << 20), ("kdfparams.p", 1 << 11), ("kdfparams.dklen", 16), ("kdfparams.dklen", 1 << 40), ("kdfparams.salt", 7),
        ("kdfparams.salt", "xyz"), ("kdf", "none"), ("kdf", "pbkdf2"), ("cipher", "aes-256-gcm"), ("ciphertext", None),
        ("mac", "0"), ("cipherparams", []), ("cipherparams.iv", "00" * 17), ("kdfparams", "scrypt"),
    ],
)  # fmt: skip
def test_a_key_file_that_asks_for_odd_things_is_refused_at_once(
    tmp_path: Path, path: str, value: object
) -> None:
    """The numbers are the file giver's: scrypt with n = 2^24 takes 16 GB."""
    info = create_key(tmp_path / "k.json", "officer", "right", demo=True)
    document = json.loads(info.path.read_text())
    place = document["crypto"]
    *parts, last = path.split(".")
    for part in parts:
        place = place[part]
    place[last] = value
    info.path.write_text(json.dumps(document))
    began = time.monotonic()
    with pytest.raises(KeystoreError):
        open_secp256k1(info.path, "right")
    assert time.monotonic() - began < 1


def test_many_passes_of_scrypt_count_as_its_memory_does() -> None:
    """n = 2^20 sixteen times over is a minute of this machine."""
    document = v3_keystore.encrypt(bytes(range(1, 33)), "right", 1024)
    document["crypto"]["kdfparams"] |= {"n": 1 << 20, "p": 16}
    began = time.monotonic()
    with pytest.raises(ValueError, match="too much"):
        v3_keystore.decrypt(document, "right")
    assert time.monotonic() - began < 1


def test_a_passphrase_in_full_width_letters_opens_what_another_wallet_wrote(tmp_path: Path) -> None:
    """ethers folds a passphrase (NFKC) before it uses it; a Chinese keyboard writes full-width signs."""
    secret, typed = bytes(range(2, 34)), "\u53e3\u4ee4\uff0c\uff21\uff11"
    info = import_secp256k1(tmp_path / "k.json", "officer", secret, typed, demo=True)
    assert open_secp256k1(info.path, typed) == secret
    document = Account.encrypt(secret, "\u53e3\u4ee4,A1", kdf="pbkdf2", iterations=1000)
    document["civic"] = json.loads(info.path.read_text())["civic"]
    info.path.write_text(json.dumps(document))
    assert open_secp256k1(info.path, typed) == secret
    with pytest.raises(WrongPassphrase):
        open_secp256k1(info.path, typed + "\uff12")


@pytest.mark.parametrize("secret", [0, GROUP_ORDER, GROUP_ORDER + 1], ids=["nothing", "order", "more"])
def test_a_secret_that_is_no_key_is_refused_by_name(tmp_path: Path, secret: int) -> None:
    """A right passphrase, a right MAC, and a number that no key has."""
    info = create_key(tmp_path / "k.json", "officer", "right", demo=True)
    document = json.loads(info.path.read_text())
    crypto = document["crypto"]
    key = v3_keystore._derived("scrypt", crypto["kdfparams"], b"right")
    start = bytes.fromhex(crypto["cipherparams"]["iv"])
    ciphertext = v3_keystore._ctr(key[:16], start, secret.to_bytes(32, "big"))
    crypto |= {"ciphertext": ciphertext.hex(), "mac": keccak(key[16:] + ciphertext).hex()}
    info.path.write_text(json.dumps(document))
    with pytest.raises(KeystoreError):
        open_secp256k1(info.path, "right")
