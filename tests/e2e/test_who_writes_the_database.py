"""A person who can write the database, and holds no key and no file: no additional data are released, and the
change is detected."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from access_policy.terms.templates import agreement
from api.demo.city import City, hand_in
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, EDUCATION, ELDER_CARE, PLANNING, Part
from api.sdk.client import Civic
from api.sdk.drafts import (
    NewServiceKey,
    acceptance_of,
    draft_grant,
    draft_service_key,
    draft_service_key_removal,
    draft_version,
    sign_act,
    source_of,
)
from api.sdk.errors import ServiceProblem
from api.sdk.transport import ServiceKey
from ledger.chain.signers import address_of
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import open_city, take_version

FOREVER = 2**40 - 1
NAMES: dict[str, Any] = {"columns": ["citizen_id"]}
AIR: dict[str, Any] = {"columns": ["pm25"], "limit": 1}


@contextmanager
def database(city: City) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(city.home / "ledger.sqlite", timeout=30)
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(
        f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )


def stranger(city: City, department: Part, folder: Path, private: Ed25519PrivateKey | None = None) -> Civic:
    """An attacker with his own key who claims to be this department."""
    key = ServiceKey(department.number, private or Ed25519PrivateKey.generate())
    return Civic(city.service.url, city.trust, folder / "stranger", key)


def public_of(key: ServiceKey) -> str:
    return "0x" + key.private.public_key().public_bytes_raw().hex()


def insert_key(city: City, key: ServiceKey, roles: int) -> None:
    with database(city) as connection:
        insert(
            connection,
            "service_key",
            department=key.department,
            key=public_of(key),
            hpke="0x" + "00" * 32,
            roles=roles,
            not_before=0,
            not_after=FOREVER,
            removed=0,
        )


def code_of(call: Any) -> str:
    with pytest.raises(ServiceProblem) as refused:
        call()
    return str(refused.value.code)


def test_an_inserted_key_reads_nothing_and_audits_nothing(shared_city: City, tmp_path: Path) -> None:
    city = shared_city
    for part, roles in ((ELDER_CARE, 1), (AUDIT, 4), (ELDER_CARE, 7)):
        private = Ed25519PrivateKey.generate()
        insert_key(city, ServiceKey(part.number, private), roles)
        thief = stranger(city, part, tmp_path, private)
        asset = city.assets["population_register"]
        assert code_of(lambda a=asset, t=thief: t.read(a, PENSION_CHECK, NAMES)) == "signature.unknown-key"
        assert code_of(lambda t=thief: t.openings(3)) == "signature.unknown-key"
        assert code_of(lambda t=thief: t.entries_page()) == "signature.unknown-key"


def test_changed_role_row_gives_no_audit_access(shared_city: City) -> None:
    city, reader = shared_city, shared_city.of(PLANNING)
    with database(city) as connection:
        connection.execute(
            "UPDATE service_key SET roles = 7 WHERE department = ?", (reader.service.department,)
        )
    try:
        assert code_of(lambda: reader.civic.entries_page()) == "caller.not-auditor"
        assert code_of(lambda: reader.civic.openings(3)) == "caller.not-auditor"
        assert reader.civic.read(city.assets["air_quality"], AIR_POLICY, AIR).rows()
    finally:
        with database(city) as connection:
            connection.execute(
                "UPDATE service_key SET roles = 1 WHERE department = ?", (reader.service.department,)
            )


def test_removed_key_stays_removed(shared_city: City, tmp_path: Path) -> None:
    city, admin = shared_city, shared_city.of(PLANNING)
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    second = stranger(city, PLANNING, tmp_path, private)
    draft = draft_service_key(PLANNING.number, NewServiceKey(public, ("reader",)), epoch=1)
    hand_in(city, admin, draft, [admin.secrets["admin"]])
    assert second.read(city.assets["air_quality"], AIR_POLICY, AIR).rows()
    hand_in(
        city, admin, draft_service_key_removal(PLANNING.number, public, epoch=1), [admin.secrets["admin"]]
    )
    with database(city) as connection:
        connection.execute("UPDATE service_key SET removed = 0, not_after = ?", (FOREVER,))
    assert (
        code_of(lambda: second.read(city.assets["air_quality"], AIR_POLICY, AIR)) == "signature.unknown-key"
    )


def test_stored_document_never_determines_a_path(shared_city: City) -> None:
    """A signed hash is not enough: a document whose form was never checked is refused."""
    city, civic = shared_city, shared_city.of(PLANNING).civic
    [other] = (city.home / "data" / city.assets["weather"]).iterdir()
    sha256 = f"../{city.assets['weather']}/{other.name.removesuffix('.csv')}"
    entry = dict(civic.dataset("6.1")["metadata"])
    for source in (
        {"format": "csv", "sha256": sha256, "bytes": other.stat().st_size},
        {"format": "csv", "opening": "0"},
    ):
        opening = {"sha256": sha256, "bytes": other.stat().st_size, "salt": "00" * 16}
        named = hashlib.sha256(rfc8785.dumps(opening)).hexdigest()
        source = {**source, "opening": named} if "opening" in source else source
        body = rfc8785.dumps({**entry, "source": source})
        forged = hashlib.sha256(body).hexdigest()
        with database(city) as connection:
            [(good,)] = connection.execute("SELECT metadata_hash FROM asset WHERE id = '6.1'").fetchall()
            insert(connection, "document", sha256=forged, body=body)
            insert(connection, "document", sha256=named, body=rfc8785.dumps(opening))
            connection.execute("UPDATE asset SET metadata_hash = ? WHERE id = '6.1'", ("0x" + forged,))
        try:
            code = code_of(lambda: civic.read("6.1", AIR_POLICY, AIR))
            assert code == "asset.metadata-missing"
            owner = next(a for a in city.actors.values() if a.part.slug == "environment")
            code = code_of(lambda o=owner: o.civic.upload("6.1", other))
            assert code in ("asset.version-unsigned", "asset.metadata-missing")
        finally:
            with database(city) as connection:
                connection.execute("UPDATE asset SET metadata_hash = ? WHERE id = '6.1'", (good,))


def test_the_stored_opening_must_be_the_one_the_entry_names(shared_city: City) -> None:
    """The row of the signed opening is overwritten with the file of another department."""
    city, civic = shared_city, shared_city.of(PLANNING).civic
    [other] = (city.home / "data" / city.assets["weather"]).iterdir()
    named = civic.dataset("6.1")["metadata"]["source"]["opening"]
    forged = rfc8785.dumps(
        {
            "sha256": f"../{city.assets['weather']}/{other.stem}",
            "bytes": other.stat().st_size,
            "salt": "00" * 16,
        }
    )
    with database(city) as connection:
        [(good,)] = connection.execute("SELECT body FROM document WHERE sha256 = ?", (named,)).fetchall()
        connection.execute("UPDATE document SET body = ? WHERE sha256 = ?", (forged, named))
    try:
        assert code_of(lambda: civic.read("6.1", AIR_POLICY, AIR)) == "asset.metadata-missing"
    finally:
        with database(city) as connection:
            connection.execute("UPDATE document SET body = ? WHERE sha256 = ?", (good, named))


def test_a_superseded_version_is_not_read_again(shared_city: City) -> None:
    """Its hash was signed earlier; the chain shows that a later version replaced it."""
    city = shared_city
    owner = next(a for a in city.actors.values() if a.part.slug == "environment")
    asset = city.assets["weather"]
    civic = city.of(PLANNING).civic
    [file] = (city.home / "data" / asset).iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    shorter = city.home / "shorter.csv"
    shorter.write_bytes(b"".join(lines[:50]))
    entry = dict(civic.dataset(asset)["metadata"]) | {"source": source_of(shorter)}
    take_version(city, owner, draft_version(asset, 2, entry), shorter)
    with database(city) as connection:
        [(good,)] = connection.execute("SELECT metadata_hash FROM asset WHERE id = ?", (asset,)).fetchall()
        [(first,)] = connection.execute(
            "SELECT args FROM chain_event WHERE name = 'AssetRegistered' AND subject = ?", (f"asset:{asset}",)
        ).fetchall()
        connection.execute(
            "UPDATE asset SET version = 1, metadata_hash = ? WHERE id = ?",
            (orjson.loads(first)["metadata"], asset),
        )
    query: dict[str, Any] = {"columns": ["temperature"], "limit": 1}
    assert code_of(lambda: civic.read(asset, "dpv:PublicBenefit", query)).startswith("asset.version")
    with database(city) as connection:
        connection.execute("UPDATE asset SET version = 2, metadata_hash = ? WHERE id = ?", (good, asset))
    assert civic.read(asset, "dpv:PublicBenefit", query).rows()


def test_spent_grant_stays_spent_if_charges_are_changed(city: City) -> None:
    civic = city.of(ELDER_CARE).civic
    register = city.assets["population_register"]
    grant = city.grants["pension-check"]
    for _ in range(3):
        assert civic.read(register, PENSION_CHECK, NAMES).rows()

    def spent() -> None:
        with pytest.raises(ServiceProblem) as refused:
            city.of(ELDER_CARE).civic.read(register, PENSION_CHECK, NAMES)
        assert refused.value.code in ("uses.taken", "constraint.count", "uses.exhausted"), refused.value.code
        assert city.of(ELDER_CARE).civic.grant(grant)["used"] == 3

    spent()
    edits = (
        "DELETE FROM grant_charge",
        "UPDATE grant_charge SET used = 0, first = 9999999999999999",
        "UPDATE audit_entry SET grant_id = NULL, decision = NULL WHERE decision = 'permit'",
        "DELETE FROM grant_charge",
    )
    for edit in edits:
        with database(city) as connection:
            connection.execute(edit)
        spent()
    city.service.stop()
    with database(city) as connection:
        connection.execute("DELETE FROM grant_charge")
    city = open_city(city.home)
    try:
        spent()
        city.service.stop()
        (city.home / "uses-in-log.json").unlink()
        with database(city) as connection:
            connection.execute("DELETE FROM grant_charge")
        city = open_city(city.home)
        spent()
    finally:
        city.service.stop()


def test_unsigned_acceptance_is_ignored(shared_city: City) -> None:
    city, grantee = shared_city, shared_city.of(PLANNING)
    grant = city.grants["air-planning"]
    query = "SELECT officer, signature, accepted_at FROM grant_acceptance WHERE grant_id = ?"
    with database(city) as connection:
        [(officer, signature, moment)] = connection.execute(query, (grant,)).fetchall()
    other = city.of(ELDER_CARE).keys["steward"].public
    junk = (
        (officer, b"\1" * 65),
        (officer, b""),
        (other, signature),
        (officer, signature[:-1] + bytes([55 - signature[-1]])),
    )
    assert grantee.civic.read(city.assets["air_quality"], AIR_POLICY, AIR).rows()
    for who, what in junk:
        with database(city) as connection:
            insert(
                connection,
                "grant_acceptance",
                grant_id=grant,
                officer=who,
                signature=what,
                accepted_at=moment,
            )
        with pytest.raises(ServiceProblem) as refused:
            grantee.civic.read(city.assets["air_quality"], AIR_POLICY, AIR)
        assert refused.value.reasons == ["grant.not-accepted"]
        assert grantee.civic.grant(grant)["accepted_by"] is None
    with database(city) as connection:
        insert(
            connection,
            "grant_acceptance",
            grant_id=grant,
            officer=officer,
            signature=signature,
            accepted_at=moment,
        )
    assert grantee.civic.read(city.assets["air_quality"], AIR_POLICY, AIR).rows()


def test_inserted_seat_cannot_accept(shared_city: City) -> None:
    """The attacker signs the real Terms with his own key, and a row of his says that he is an officer of the
    grantee."""
    city = shared_city
    owner = next(a for a in city.actors.values() if a.part.slug == "environment")
    terms_end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    terms = agreement(
        department_iri(owner.part.number),
        department_iri(EDUCATION.number),
        asset_iri(parse_asset(city.assets["air_quality"])),
        columns=("no2",),
        purposes=(AIR_POLICY,),
        expiry=terms_end,
        max_uses=5,
    )
    draft = draft_grant(
        city.assets["air_quality"],
        EDUCATION.number,
        terms,
        not_before=0,
        expiry=int(terms_end.timestamp()),
        max_uses=5,
    )
    hand_in(city, owner, draft, [owner.secrets["steward"]])
    secret = hashlib.sha256(b"a stranger").digest()
    with database(city) as connection:
        insert(
            connection,
            "seat",
            holder=address_of(secret),
            department=EDUCATION.number,
            roles=2,
            not_before=0,
            not_after=FOREVER,
            flags=0,
        )
    signed = sign_act(acceptance_of(draft.message), city.trust, [secret])
    civic = city.of(EDUCATION).civic
    assert code_of(lambda: civic.accept(draft.id, signed.signatures[0])) == "caller.not-grantee"
    with database(city) as connection:
        raw = bytes.fromhex(signed.signatures[0][2:])
        insert(
            connection,
            "grant_acceptance",
            grant_id=draft.id,
            officer=address_of(secret),
            signature=raw,
            accepted_at=1,
        )
    with pytest.raises(ServiceProblem) as refused:
        civic.read(city.assets["air_quality"], AIR_POLICY, {"columns": ["no2"]}, grant=draft.id)
    assert refused.value.reasons == ["grant.not-accepted"]


def test_log_answers_match_their_leaves(shared_city: City) -> None:
    city, auditor = shared_city, shared_city.of(AUDIT).civic
    entries = list(auditor.entries(department=PLANNING.number, type="gateway:read"))
    index = entries[0]["index"] if entries else 5
    [found] = [e for e in auditor.entries() if e["index"] == index]
    for column, value in (
        ("purpose", "dpv:Marketing"),
        ("grant_id", b"\7" * 32),
        ("actor", "5:" + "ab" * 32),
    ):
        with database(city) as connection:
            [(good,)] = connection.execute(
                f"SELECT {column} FROM audit_entry WHERE idx = ?", (index,)
            ).fetchall()
            connection.execute(f"UPDATE audit_entry SET {column} = ? WHERE idx = ?", (value, index))
        try:
            with pytest.raises(ServiceProblem) as refused:
                list(auditor.entries(type=found["entry"]["type"]))
            assert refused.value.code == "audit.log_corrupt"
        finally:
            with database(city) as connection:
                connection.execute(f"UPDATE audit_entry SET {column} = ? WHERE idx = ?", (good, index))


def test_free_repeat_period_comes_from_the_log(shared_city: City) -> None:
    """The record of a release says that it was charged just now, or that it belongs to another key; its entry
    does not."""
    city, civic = shared_city, shared_city.of(PLANNING).civic
    first = civic.read(city.assets["air_quality"], AIR_POLICY, AIR, idempotency_key="kept-for-long")
    again = civic.read(city.assets["air_quality"], AIR_POLICY, AIR, idempotency_key="kept-for-long")
    assert again.rows() == first.rows()
    other = city.grants["weather-open"]
    for edit, value in (("grant_id", other), ("department", 3), ("purpose", "dpv:Marketing")):
        with database(city) as connection:
            [(good,)] = connection.execute(
                f"SELECT {edit} FROM release WHERE asset = '6.1' AND request_hash <> ''"
            ).fetchall()
            connection.execute(
                f"UPDATE release SET {edit} = ? WHERE asset = '6.1' AND request_hash <> ''", (value,)
            )
        try:
            code = code_of(
                lambda: civic.read(
                    city.assets["air_quality"], AIR_POLICY, AIR, idempotency_key="kept-for-long"
                )
            )
            assert code == "idempotency.expired"
        finally:
            with database(city) as connection:
                connection.execute(
                    f"UPDATE release SET {edit} = ? WHERE asset = '6.1' AND request_hash <> ''", (good,)
                )
