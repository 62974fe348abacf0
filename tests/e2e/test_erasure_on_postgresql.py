"""What was erased cannot be read from PostgreSQL's files: not from the heap, the write-ahead log or a dump."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from api.demo.governing import PENSION_CHECK
from api.demo.participants import AUDIT, ELDER_CARE, PASSPHRASE
from api.protocol.keystore import open_secp256k1
from api.sdk.errors import ServiceProblem
from tests.e2e.test_the_keepers_of_the_log import civic, one_person
from tests.simulators.city import founded_home, open_city
from tests.simulators.postgres import base_backup, files_of, ordinary_database

pytestmark = pytest.mark.needs("postgresql")
OFFICER = "0x" + "11" * 20


@dataclass
class FileReader:
    """An attacker with a copy of the files and one vault key, who uses the documented formulas."""

    secret: bytes

    def keys_in(self, data: bytes) -> set[bytes]:
        """Every 40-byte window that can be unwrapped."""
        master = HKDF(SHA256(), 32, salt=None, info=b"civicledger/openings").derive(self.secret)
        wrap = hmac.digest(master, b"civic openings wrap", "sha256")
        found = set()
        for start in range(len(data) - 39):
            try:
                found.add(aes_key_unwrap(wrap, data[start : start + 40]))
            except InvalidUnwrap:
                continue
        return found


def literals(keys: set[bytes], rows: list[tuple[int, str, bytes]]) -> str:
    """The values of these openings under any of these keys."""
    said = []
    for index, name, sealed in rows:
        for key in keys:
            try:
                found = AESGCM(key).decrypt(sealed[:12], sealed[12:], b"%d\n%s" % (index, name.encode()))
            except InvalidTag:
                continue
            said.append(base64.urlsafe_b64decode(found + b"==").decode())
    return "\n".join(said)


@dataclass
class ErasedCity:
    """A city on PostgreSQL in which a person was read and erased, and what an attacker copied before the
    erasure."""

    home: Path
    server: str
    url: str
    person: str
    other: str
    tags: list[bytes]
    rows: list[tuple[int, str, bytes]]
    vault_file: bytes
    secret: bytes

    def near_tags(self, data: bytes) -> bytes:
        """The bytes next to the tags of the erased keys, anywhere in the files: a row contains both."""
        near = []
        for tag in self.tags:
            at = data.find(tag)
            while at >= 0:
                near.append(data[max(0, at - 60) : at + 120])
                at = data.find(tag, at + 1)
        return b"".join(near)


@pytest.fixture(scope="module")
def erased(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErasedCity]:
    home = tmp_path_factory.mktemp("erasure") / "city"
    with ordinary_database(postgres_server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVIC_DATABASE_URL", url)
        founded_home(home)
        city = open_city(home)
        asset = city.assets["population_register"]
        person = one_person(city)
        other = "310101198502022345"
        elder = city.of(ELDER_CARE).civic
        for subject in (person, other, person):
            where = {"column": "citizen_id", "op": "eq", "value": subject}
            with contextlib.suppress(ServiceProblem):  # No use is left; the refusal is recorded as well.
                elder.read(asset, PENSION_CHECK, {"where": where})
        city.service.stop()
        with psycopg.connect(url) as conn:
            tags = {bytes(row[0]) for row in conn.execute("SELECT tag FROM audit_subject")}
            rows = [
                (int(index), str(name), bytes(sealed))
                for index, name, sealed in conn.execute("SELECT idx, name, sealed FROM audit_opening")
            ]
        vault = home / "keys" / "vault.json"
        before, secret = vault.read_bytes(), open_secp256k1(vault, PASSPHRASE)
        civic("audit", "erase", "--home", home, "--asset", asset, "--subject", person, "--officer", OFFICER)
        with psycopg.connect(url) as conn:
            kept = {bytes(row[0]) for row in conn.execute("SELECT tag FROM audit_subject")}
        gone = sorted(tags - kept)
        yield ErasedCity(home, postgres_server, url, person, other, gone, rows, before, secret)


def test_key_of_erased_openings_is_not_in_the_home(erased: ErasedCity) -> None:
    document = json.loads(erased.vault_file)
    ciphertext = document["crypto"]["ciphertext"].encode()
    assert open_secp256k1(erased.home / "keys" / "vault.json", PASSPHRASE) != erased.secret
    for path in erased.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert ciphertext not in data, path
            assert erased.secret not in data, path


def test_new_key_decrypts_nothing_erased_in_heap_wal_or_dump(erased: ErasedCity) -> None:
    files = list(files_of(erased.server))
    near = b"".join(erased.near_tags(data) for data in files)
    assert erased.tags
    assert near, "the write-ahead log keeps the old rows: the database does not help"
    old = FileReader(erased.secret).keys_in(near)
    assert erased.person in literals(old, erased.rows), "with the old key the thief would read it"
    thief = FileReader(open_secp256k1(erased.home / "keys" / "vault.json", PASSPHRASE))
    assert not thief.keys_in(near)
    opened = thief.keys_in(_heap_of_subjects(erased))
    assert erased.other in literals(opened, erased.rows), "who was not erased is still opened"
    assert erased.person not in literals(opened, erased.rows)
    dump = subprocess.run(
        [_pg_dump(), "--dbname", erased.url, "--data-only", "--inserts"], capture_output=True, check=True
    ).stdout
    for data in (dump, *files):
        assert erased.person.encode() not in data
    hexed = dump.decode()
    assert not any(tag.hex() in hexed for tag in erased.tags)


def test_later_physical_backup_decrypts_nothing_erased(erased: ErasedCity, tmp_path: Path) -> None:
    """The files may contain old rows, in the heap or the write-ahead log, but no key in them opens what was
    erased."""
    files = base_backup(erased.server, tmp_path / "backup")
    thief = FileReader(open_secp256k1(erased.home / "keys" / "vault.json", PASSPHRASE))
    assert not thief.keys_in(b"".join(erased.near_tags(data) for data in files))
    opened = thief.keys_in((tmp_path / "backup" / _place_of_subjects(erased)).read_bytes())
    assert erased.other in literals(opened, erased.rows), "who was not erased is still opened"
    assert erased.person not in literals(opened, erased.rows)
    ciphertext = json.loads(erased.vault_file)["crypto"]["ciphertext"].encode()
    for data in files:
        assert erased.person.encode() not in data
        assert erased.secret not in data
        assert ciphertext not in data


@pytest.mark.drill
def test_the_city_serves_calls_after_the_erasure(erased: ErasedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIC_DATABASE_URL", erased.url)
    assert civic("audit", "fsck", "--home", erased.home)["ok"]
    city = open_city(erased.home)
    try:
        auditor = city.of(AUDIT).civic
        asset = city.assets["population_register"]
        assert auditor.readers(asset, erased.person)["named"] == []
        assert len(auditor.readers(asset, erased.other)["named"]) == 1
        where = {"column": "citizen_id", "op": "eq", "value": erased.person}
        with pytest.raises(ServiceProblem):
            city.of(ELDER_CARE).civic.read(asset, PENSION_CHECK, {"where": where})
        assert len(auditor.readers(asset, erased.person)["named"]) == 1, "read about again"
        with pytest.raises(AssertionError, match=r"home\.locked"):
            civic("audit", "rotate-vault", "--home", erased.home)
    finally:
        city.service.stop()
    secret = open_secp256k1(erased.home / "keys" / "vault.json", PASSPHRASE)
    assert civic("audit", "rotate-vault", "--home", erased.home) == {"rotated": True, "forgotten": 0}
    assert open_secp256k1(erased.home / "keys" / "vault.json", PASSPHRASE) != secret


def _heap_of_subjects(erased: ErasedCity) -> bytes:
    with psycopg.connect(erased.server, autocommit=True) as conn:
        row = conn.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0], _place_of_subjects(erased)).read_bytes()


def _place_of_subjects(erased: ErasedCity) -> str:
    """The file of the subjects' table in the server's directory."""
    with psycopg.connect(erased.url) as conn:
        place = conn.execute("SELECT pg_relation_filepath('audit_subject')").fetchone()
    assert place is not None
    return str(place[0])


def _pg_dump() -> str:
    return str(sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))[-1])
