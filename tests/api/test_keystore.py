"""Key files are encrypted, never overwritten, and say what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from api.sdk.errors import KeystoreError, WrongPassphrase
from api.sdk.keystore import Kind, create_key, import_secp256k1, key_info, open_ed25519, open_secp256k1


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


def test_a_secret_never_stands_in_the_file(tmp_path: Path) -> None:
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
def test_rubbish_is_refused_by_name(tmp_path: Path, content: str) -> None:
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
