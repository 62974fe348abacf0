"""The vault: the secret outside the database under which the keys of all openings are wrapped, and its rotation.

``keys/vault.json`` holds the secret. The keys of data subjects stand in the database, wrapped under it. A database
may keep old rows in freed pages, its write-ahead log and its backups, so deleting a row erases nothing by itself.
An erasure is complete once the secret is another one and the old one is destroyed: then the wrapped key of the erased
subject opens for nobody, wherever it still lies. The index of subjects and the pseudonyms must stay the same; their
keys travel in the new file, sealed under the new secret.

A rotation goes forward only: it is asked for by a mark (`DUE`), begun by writing the next file, and whoever opens the
vault next finishes it. Until every key is wrapped under the new secret both files stand, and both secrets are read.
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
        """What stores, opens and erases openings."""
        return OpeningVault(derived(self.secret, b"openings"), index_key=self.index)

    def successor(self) -> Vault:
        """The same vault with a new secret."""
        return Vault(secrets.token_bytes(32), self.index, self.pseudonyms)

    def write(self, path: Path, passphrase: str, label: str, demo: bool) -> None:
        """Write it whole, or not at all, where nothing stands yet."""
        nonce = secrets.token_bytes(12)
        kept = nonce + AESGCM(derived(self.secret, b"kept")).encrypt(nonce, self.index + self.pseudonyms, b"")
        building = path.with_suffix(".building")
        building.unlink(missing_ok=True)
        import_secp256k1(building, "vault", self.secret, passphrase, label=label, demo=demo, kept=kept.hex())
        building.rename(path)
        _sync(path.parent)


def read_vault(path: Path, passphrase: str) -> Vault:
    """The vault in a key file. Before its first rotation every key of it is derived from the one secret."""
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
    """The installation's vault; a rotation that is due or was begun is finished first.

    Only for who has the home and its database to itself (`api.runtime.home_lock`); the tables must stand. Raises `VaultKeyWrong` for
    a database of another time than the vault.
    """
    vault = _settled(home, passphrase, engine)
    with engine.connect() as connection:
        vault.openings().must_open(connection)
    return vault


def open_vault_and_forget(home: Home, passphrase: str, engine: Engine) -> int:
    """Where the database is older than the vault and the key of that time is gone: delete what nobody can open any
    more. How many subjects that were."""
    vault = _settled(home, passphrase, engine)
    with engine.begin() as connection:
        return vault.openings().forget_unopened(connection)


def _settled(home: Home, passphrase: str, engine: Engine) -> Vault:
    keys = home.keys
    if (keys / OLD).exists():
        if (keys / NEXT).exists():
            (keys / OLD).unlink()  # a second name of the present file; nothing was exchanged yet
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
    """From here on the vault is rotated before it is opened again, whatever happens to this process."""
    with (home.keys / DUE).open("wb") as file:
        os.fsync(file.fileno())
    _sync(home.keys)


def rotate_vault(settings: Settings, *, forget: bool = False) -> int:
    """Rotate the vault of a stopped service. ``forget``: first delete what the present secret does not open; how many
    subjects that were."""
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
    """Finish a rotation that was asked for; nothing where none was, or where a service that started since did it."""
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
    """Overwrite a file where it lies and unlink it. A file system or disk that writes elsewhere keeps the old blocks."""
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
