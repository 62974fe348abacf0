"""The operator's attempts with its own database, relayer and clock, and the check that refuses each."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from api.demo.city import City
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import AUDIT, ELDER_CARE, PLANNING, PUBLIC_SECURITY
from api.protocol.keystore import open_secp256k1
from api.sdk.drafts import draft_grant, draft_revocation, sign_act
from api.sdk.errors import ServiceProblem
from tests.simulators.city import open_city


def denied(
    city: City,
    *,
    asset: str = "population_register",
    purpose: str = PENSION_CHECK,
    query: Mapping[str, Any] | None = None,
) -> ServiceProblem:
    with pytest.raises(ServiceProblem) as refused:
        city.of(ELDER_CARE).civic.read(city.assets[asset], purpose, query or {"columns": ["citizen_id"]})
    return refused.value


def test_changed_terms_with_a_matching_hash_are_a_logged_denial(city: City) -> None:
    grant = city.grants["pension-check"]
    with sqlite3.connect(city.home / "ledger.sqlite", timeout=30) as database:
        [(terms_hash,)] = database.execute("SELECT terms_hash FROM sharing_grant WHERE id = ?", (grant,))
        [(body,)] = database.execute(
            "SELECT body FROM document WHERE sha256 = ?", (terms_hash.removeprefix("0x"),)
        )
        document = json.loads(body)
        refinements = document["permission"][0]["target"]["refinement"]
        columns = next(item for item in refinements if item["leftOperand"] == "columns")
        columns["rightOperand"] = [*columns["rightOperand"], "surname"]
        wider = rfc8785.dumps(document)
        digest = hashlib.sha256(wider).hexdigest()
        database.execute("INSERT INTO document (sha256, body) VALUES (?, ?)", (digest, wider))
        database.execute("UPDATE sharing_grant SET terms_hash = ? WHERE id = ?", ("0x" + digest, grant))
    refused = denied(city, query={"columns": ["citizen_id", "surname"]})
    assert "grant.id-mismatch" in refused.reasons
    assert refused.receipt is not None
    entries = list(city.of(AUDIT).civic.entries(decision="deny", department=ELDER_CARE.number))
    assert "grant.id-mismatch" in entries[-1]["entry"]["reasons"]


def test_a_grant_invented_in_the_database_is_not_on_the_chain(city: City) -> None:
    grant = city.grants["pension-check"]
    forged = "0x" + "ab" * 32
    with sqlite3.connect(city.home / "ledger.sqlite", timeout=30) as database:
        database.row_factory = sqlite3.Row
        [row] = database.execute("SELECT * FROM sharing_grant WHERE id = ?", (grant,)).fetchall()
        values = dict(row) | {"id": forged, "log_index": row["log_index"] + 1_000}
        names = ", ".join(f'"{name}"' for name in values)
        database.execute("DELETE FROM sharing_grant WHERE id = ?", (grant,))
        database.execute(
            f"INSERT INTO sharing_grant ({names}) VALUES ({', '.join('?' * len(values))})",
            tuple(values.values()),
        )
    assert denied(city).reasons[0] in ("grant.id-mismatch", "grant.not-on-chain")


def test_a_revoked_grant_made_active_again_in_the_database_stays_revoked(city: City) -> None:
    steward = city.of(PUBLIC_SECURITY)
    grant = city.grants["pension-check"]
    revoke = sign_act(draft_revocation(grant, "purpose-ended"), city.trust, [steward.secrets["steward"]])
    steward.civic.act(revoke.type, revoke.message, revoke.signatures)
    with sqlite3.connect(city.home / "ledger.sqlite", timeout=30) as database:
        database.execute("UPDATE sharing_grant SET state = 1 WHERE id = ?", (grant,))
    assert denied(city).reasons == ["grant.revoked"]


def test_a_revocation_denies_when_received_not_when_mined(city: City) -> None:
    steward = city.of(PUBLIC_SECURITY)
    revoke = sign_act(
        draft_revocation(city.grants["pension-check"], "legal-order"),
        city.trust,
        [steward.secrets["steward"]],
    )
    state = steward.civic.act(revoke.type, revoke.message, revoke.signatures, wait_s=0)
    assert state["state"] in ("received", "submitted")
    assert denied(city).reasons == ["grant.revoked"]


def test_operator_keys_cannot_grant_widen_extend_or_transfer(city: City) -> None:
    """The relayer's and the gateway's keys sign valid messages, but have no role in the contract."""
    relayer = open_secp256k1(city.home / "keys" / "relayer.json", "open-demo")
    attest = open_secp256k1(city.home / "keys" / "attest.json", "open-demo")
    civic = city.of(PLANNING).civic
    signed = civic.grant(city.grants["air-planning"])
    agreement, terms = signed["agreement"], dict(signed["terms"])
    fresh = draft_grant(
        city.assets["air_quality"],
        PLANNING.number,
        agreement,
        not_before=int(terms["notBefore"]),
        expiry=int(terms["expiry"]),
        max_uses=int(terms["maxUses"]),
    )
    for secret in (relayer, attest):
        forged = sign_act(fresh, city.trust, [secret])
        with pytest.raises(ServiceProblem) as refused:
            civic.act(forged.type, forged.to_json()["message"], forged.signatures, documents=forged.documents)
        assert refused.value.code.startswith("act."), refused.value.code
    register = {
        "asset": 2 << 40 | 99,
        "class": 1,
        "sharing": 2,
        "metadata": "0x" + "11" * 32,
        "deadline": int(time.time()) + 60,
    }
    with pytest.raises(ServiceProblem):
        civic.act("RegisterAsset", register, ["0x" + "11" * 64 + "1b"])
    assert [g["id"] for g in civic.grants(grantee=PLANNING.number)].count(fresh.id) == 0


def test_stewards_signature_cannot_be_reused_for_wider_terms(city: City) -> None:
    steward = city.of(PUBLIC_SECURITY)
    civic = steward.civic
    signed = civic.grant(city.grants["visits-planning"])
    owner = next(actor for actor in city.actors.values() if actor.part.slug == "health")
    narrow = draft_grant(
        city.assets["respiratory_visits"],
        PLANNING.number,
        signed["agreement"],
        not_before=int(signed["terms"]["notBefore"]),
        expiry=int(signed["terms"]["expiry"]),
        max_uses=int(signed["terms"]["maxUses"]),
    )
    signatures = sign_act(narrow, city.trust, [owner.secrets["steward"]]).signatures
    for change in (
        {"grantee": 4},
        {"expiry": int(narrow.message["expiry"]) + 1},
        {"right": 1},
        {"salt": 5},
        {"depth": 3},
    ):
        message = {**narrow.to_json()["message"], **change}
        with pytest.raises(ServiceProblem) as refused:
            civic.act("Terms", message, signatures, documents=narrow.documents)
        assert refused.value.code.partition(".")[0] in ("act", "terms")


def test_a_replayed_act_changes_state_once(city: City) -> None:
    steward = city.of(PUBLIC_SECURITY)
    revoke = sign_act(
        draft_revocation(city.grants["register-masked"]), city.trust, [steward.secrets["steward"]]
    )
    first = steward.civic.act(revoke.type, revoke.message, revoke.signatures)
    second = steward.civic.act(revoke.type, revoke.message, revoke.signatures)
    assert first["digest"] == second["digest"]
    assert first["entry"] == second["entry"]


def test_a_read_needs_no_working_relayer_but_a_grant_in_force(city: City) -> None:
    rows = city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 2}).rows()
    assert len(rows) == 2


def test_use_is_recorded_on_chain_as_a_signed_total(home: Path) -> None:
    city = open_city(home, CIVIC_RECORD_USE_EVERY_S="1")
    try:
        civic = city.of(PLANNING).civic
        for _ in range(3):
            civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
        deadline = time.monotonic() + 15
        while (grant := civic.grant(city.grants["air-planning"]))["uses_on_chain"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert grant["used"] == grant["uses_on_chain"] == 3
    finally:
        city.service.stop()
