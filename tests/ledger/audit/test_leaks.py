"""What the log reveals: from everything public and a dictionary of all values, nothing is recovered.

Public are hash tiles, checkpoints and proofs; leaves go to auditors. The dictionary holds every citizen id of the
city, every region and every birth year, and the attacker knows exactly how events are built and hashed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ledger.audit.formats.events import Event
from ledger.audit.keeping.export import export_tiles
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import commit_all
from ledger.audit.log.writer import GroupCommit
from ledger.store.engine import reader

REGIONS = [f"{province}{city:02d}00" for province in (31, 32, 33, 44, 51) for city in range(1, 30)]
YEARS = [str(year) for year in range(1920, 2027)]
CITIZENS = [f"{region}{year}0101{n:04d}" for region, year, n in product(REGIONS[:40], YEARS[::3], range(12))]


def read_of(make: Any, citizen: str, number: int) -> NewEntry:
    """A read of one row as the gateway logs it: its literals, request and context only as commitments."""
    values = {
        "query.id": citizen,
        "query.region": citizen[:6],
        "query.birth_year": citizen[6:10],
        "request": f'"@method": GET\n"@target-uri": https://city.example/v1/people?id={citizen}',
        "context": {"department": 3, "purpose": "dpv:ServiceProvision"},
    }
    commitments, openings = commit_all(values, citizen)
    plan = hashlib.sha256(b"select name where id = ?").hexdigest()
    event: Event = make.event(commitments=commitments, plan_hash=f"0x{plan}", counts={"rows": 1})
    assert number >= 0
    return NewEntry(event, openings)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def read(writer: GroupCommit, make: Any) -> list[str]:
    """Sixty citizens whose records were read."""
    chosen = CITIZENS[:: len(CITIZENS) // 60][:60]
    for number, citizen in enumerate(chosen):
        writer.append(read_of(make, citizen, number)).result()
    return chosen


def guesses(value: str, name: str) -> list[bytes]:
    """The forms in which a careless log would write or hash a value."""
    spellings = [
        value.encode(),
        json.dumps(value).encode(),
        json.dumps([name, value]).encode(),
        json.dumps([name, value], separators=(",", ":")).encode(),
        json.dumps({name: value}, separators=(",", ":")).encode(),
        json.dumps(["", name, value], separators=(",", ":")).encode(),
        f"select name where id = '{value}'".encode(),
    ]
    return [prefix + spelling for spelling in spellings for prefix in (b"", b"\x00")]


def forms(digest: bytes) -> tuple[bytes, ...]:
    return (
        digest,
        digest.hex().encode(),
        base64.b64encode(digest)[:42],
        base64.urlsafe_b64encode(digest).rstrip(b"="),
    )


def test_a_dictionary_of_all_values_recovers_nothing(log: AuditLog, read: list[str], tmp_path: Path) -> None:
    export_tiles(log, tmp_path / "tiles")
    everything = b"\n".join(p.read_bytes() for p in sorted((tmp_path / "tiles").rglob("*")) if p.is_file())
    assert b"commitments" in everything
    tokens = set(everything.replace(b'"', b"\n").replace(b",", b"\n").split(b"\n"))
    hashes = everything
    recovered = []
    for name, values in (("query.id", CITIZENS), ("query.region", REGIONS), ("query.birth_year", YEARS)):
        for value in values:
            if value.encode() in tokens or (len(value) > 6 and value.encode() in everything):
                recovered.append(value)
            for guess in guesses(value, name):
                digest = hashlib.sha256(guess).digest()
                if any(form in tokens for form in forms(digest)[1:]) or (value in read and digest in hashes):
                    recovered.append(value)
    assert recovered == []


def test_equal_values_have_different_commitments(log: AuditLog, writer: GroupCommit, make: Any) -> None:
    for number in range(20):
        writer.append(read_of(make, CITIZENS[0], number)).result()
    digests = [
        digest for entry in log.entries(0) for digest in json.loads(entry.leaf)["commitments"].values()
    ]
    assert len(set(digests)) == len(digests) == 100


def test_dictionary_attack_succeeds_on_unsalted_digests(
    log: AuditLog, writer: GroupCommit, make: Any
) -> None:
    """The test above can fail: if the leaf contains the value's plain digest, the same dictionary finds
    it."""
    careless = base64.urlsafe_b64encode(hashlib.sha256(CITIZENS[77].encode()).digest()).rstrip(b"=").decode()
    writer.append(make.entry(commitments={"query.id": careless})).result()
    leaf = log.entry(0).leaf
    found = [
        citizen
        for citizen in CITIZENS
        if any(
            form in leaf for g in guesses(citizen, "query.id") for form in forms(hashlib.sha256(g).digest())
        )
    ]
    assert found == [CITIZENS[77]]


def test_subject_index_reveals_no_subject(log: AuditLog, engine: Engine, read: list[str]) -> None:
    with reader(engine).connect() as conn:
        tags = {bytes(row[0]) for row in conn.exec_driver_sql("SELECT tag FROM audit_subject")}
    assert len(tags) == 60
    for citizen in CITIZENS:
        for guess in guesses(citizen, "subject"):
            assert hashlib.sha256(guess).digest() not in tags
