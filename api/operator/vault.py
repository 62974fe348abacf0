"""The vault: the secret outside the database under which the keys of all openings are wrapped, and its rotation.

``keys/vault.json`` holds the secret. The keys of data subjects are in the database, wrapped under it. A
database may keep old rows in freed pages, its write-ahead log and its backups, so deleting a row does not
erase the data. An erasure is complete after the secret was replaced and the old one destroyed: then no copy
of the erased subject's wrapped key can be opened. The index of subjects and the pseudonyms must not change;
their keys are copied into the new file, sealed under the new secret.

A rotation is never undone: a mark (`DUE`) requests it, writing the next file begins it, and the next opening
of the vault finishes it. Both files exist, and both secrets are read, until every key is wrapped under the
new secret.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Engine

from api.operator.homes import at_home, open_database
from api.protocol.errors import KeystoreError
from api.protocol.keystore import import_secp256k1, key_info, open_secp256k1
from api.runtime.home_lock import HomeLocked, locked_home
from api.runtime.settings import Home, Settings, read_passphrase
from ledger.audit.log.openings import OpeningVault
from ledger.store.sole import sole

FILE, NEXT, OLD, DUE = "vault.json", "vault.next.json", "vault.old.json", "vault.rotation-due"


@dataclass(frozen=True, slots=True, repr=False)
class Vault:
    """``secret`` wraps the subjects' keys and is rotated; ``index`` and ``pseudonyms`` never change."""

    secret: bytes
    index: bytes
    pseudonyms: bytes

    def openings(self) -> OpeningVault:
        """The store that saves, opens and erases openings."""
        return OpeningVault(derived(self.secret, b"openings"), index_key=self.index)

    def successor(self) -> Vault:
        """The same vault with a new secret."""
        return Vault(secrets.token_bytes(32), self.index, self.pseudonyms)

    def write(self, path: Path, passphrase: str, label: str, demo: bool) -> None:
        """Write the file atomically to a path that does not exist yet."""
        nonce = secrets.token_bytes(12)
        kept = nonce + AESGCM(derived(self.secret, b"kept")).encrypt(nonce, self.index + self.pseudonyms, b"")
        building = path.with_suffix(".building")
        building.unlink(missing_ok=True)
        import_secp256k1(building, "vault", self.secret, passphrase, label=label, demo=demo, kept=kept.hex())
        building.rename(path)
        _sync(path.parent)


def read_vault(path: Path, passphrase: str) -> Vault:
    """The vault in a key file. Before the first rotation, all its keys are derived from the one secret."""
    secret, kept = open_secp256k1(path, passphrase), key_info(path).kept
    if not kept:
        index = OpeningVault(derived(secret, b"openings")).index_key
        return Vault(secret, index, derived(secret, b"pseudonyms"))
    try:
        sealed = bytes.fromhex(kept)
        both = AESGCM(derived(secret, b"kept")).decrypt(sealed[:12], sealed[12:], b"")
    except (ValueError, InvalidTag) as damaged:
        raise KeystoreError(
            f"{path} is damaged: the keys it keeps do not open", hint="restore it from a backup"
        ) from damaged
    return Vault(secret, both[:32], both[32:])


def open_vault(home: Home, passphrase: str, engine: Engine) -> Vault:
    """The installation's vault; a requested or interrupted rotation is finished first.

    The caller must have locked the home (`api.runtime.home_lock`) and its database, and the tables must
    exist. Raises `VaultKeyWrong` if the keys in the database were not wrapped under this vault.
    """
    vault = _rotated(home, passphrase, engine)
    with engine.connect() as connection:
        vault.openings().must_open(connection)
    return vault


def open_vault_and_forget(home: Home, passphrase: str, engine: Engine) -> int:
    """For a database older than the vault, whose former secret is destroyed: delete what can no longer be
    opened, and return the number of subjects."""
    vault = _rotated(home, passphrase, engine)
    with engine.begin() as connection:
        return vault.openings().forget_unopened(connection)


def _rotated(home: Home, passphrase: str, engine: Engine) -> Vault:
    keys = home.keys
    if (keys / OLD).exists():
        if (keys / NEXT).exists():
            (keys / OLD).unlink()  # A second name of the current file; nothing was replaced yet.
        else:
            _destroy(keys / OLD)
    vault = read_vault(keys / FILE, passphrase)
    if (keys / NEXT).exists():
        vault = _finish(keys, vault, passphrase, engine)
    if (keys / DUE).exists():
        info = key_info(keys / FILE)
        vault.successor().write(keys / NEXT, passphrase, info.label, info.demo)
        vault = _finish(keys, vault, passphrase, engine)
        (keys / DUE).unlink()
        _sync(keys)
    return vault


def request_rotation(home: Home) -> None:
    """Request a rotation durably: the vault is rotated before it is opened again, even if this process is
    killed."""
    with (home.keys / DUE).open("wb") as file:
        os.fsync(file.fileno())
    _sync(home.keys)


def rotate_vault(settings: Settings, *, forget: bool = False) -> int:
    """Rotate the vault of a stopped service. ``forget``: first delete what the current secret does not open,
    and return the number of subjects."""
    home, settings = at_home(settings)
    passphrase = read_passphrase(settings)
    with locked_home(home.path):
        engine = open_database(home, settings)
        try:
            with sole(engine):
                gone = open_vault_and_forget(home, passphrase, engine) if forget else 0
                request_rotation(home)
                open_vault(home, passphrase, engine)
                return gone
        finally:
            engine.dispose()


def finish_rotation(settings: Settings) -> None:
    """Finish a requested rotation; do nothing if there is none or a service has already finished it."""
    home, _ = at_home(settings)
    if not _is_due(home.keys):
        return
    try:
        rotate_vault(settings)
    except HomeLocked:
        if _is_due(home.keys):
            raise


def _is_due(keys: Path) -> bool:
    return any((keys / name).exists() for name in (DUE, NEXT, OLD))


def derived(secret: bytes, purpose: bytes) -> bytes:
    """A 32-byte key for one purpose from the installation's vault secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=b"civicledger/" + purpose).derive(secret)


def _finish(keys: Path, vault: Vault, passphrase: str, engine: Engine) -> Vault:
    successor = read_vault(keys / NEXT, passphrase)
    vault.openings().rewrap(engine, successor.openings())
    os.link(keys / FILE, keys / OLD)
    (keys / NEXT).rename(keys / FILE)
    _sync(keys)
    _destroy(keys / OLD)
    return successor


def _destroy(path: Path) -> None:
    """Overwrite a file in place and delete it. A file system or disk that does not write in place keeps the
    old blocks."""
    with path.open("r+b") as file:
        file.write(secrets.token_bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
