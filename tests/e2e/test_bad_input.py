"""Malformed and false input is refused with a stable code and changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING, PUBLIC_SECURITY
from api.demo.process import ServiceProcess
from api.protocol.errors import ClientError
from api.protocol.trust import Trust
from api.sdk.client import Civic
from api.sdk.drafts import draft_grant, draft_revocation, sign_act
from api.sdk.errors import AnswerRefused, ServiceProblem
from api.sdk.transport import ServiceKey, Transport
from tests.simulators.raw_http import Call, read_body


def size_of(city: City) -> int:
    return int(city.of(PLANNING).civic.status()["log"]["size"])


def code_of(city: City, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    transport = Transport(city.service.url, city.trust.gateway_key, city.of(PLANNING).service)
    answer = transport.call("POST", path, body=body, headers={"Content-Type": "application/json", **headers})
    return answer.status, answer.json()["code"]


def ask(**changes: Any) -> bytes:
    return json.dumps({"asset": "6.1", "purpose": AIR_POLICY, "query": {"limit": 1}} | changes).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "request.invalid"),
        (b"\xff\xfe", 400, "request.encoding"),
        (ask(extra="[,{" * 60_000), 400, "request.invalid"),
        (b"[" * 20_000, 400, "request.too-complex"),
        (ask(extra=1), 400, "request.invalid"),
        (ask(asset="nonsense"), 400, "id.invalid"),
        (ask(asset="9.9"), 404, "asset.unknown"),
        (ask(query={"columns": ["pm25", "no_such_column"]}), 400, "column.unknown"),
        (ask(query={"columns": "pm25"}), 400, "query.invalid"),
        (ask(query={"sql": "SELECT 1"}), 400, "query.invalid"),
        (ask(query={"where": {"column": "pm25", "op": "like", "value": "%"}}), 400, "query.invalid"),
        (ask(grant="0x12"), 400, "id.invalid"),
        (b'{"asset":"' + b"9" * 2_000_000 + b'"}', 413, "body.too-large"),
    ],
)
def test_malformed_reads_change_nothing(shared_city: City, body: bytes, status: int, code: str) -> None:
    before = size_of(shared_city)
    assert code_of(shared_city, "/v1/read", body) == (status, code)
    assert size_of(shared_city) == before


def test_an_unknown_format_is_refused_before_any_charge(shared_city: City) -> None:
    before = size_of(shared_city)
    assert code_of(shared_city, "/v1/read", ask(), Accept="application/x-shockwave-flash") == (
        406,
        "format.unknown",
    )
    assert size_of(shared_city) == before


def test_an_unknown_path_is_a_signed_problem(shared_city: City) -> None:
    assert code_of(shared_city, "/v1/nowhere", b"{}") == (404, "not-found.path")


def test_unregistered_key_is_refused_with_its_code(shared_city: City, tmp_path: Path) -> None:
    stranger = Civic(
        shared_city.service.url,
        shared_city.trust,
        tmp_path,
        ServiceKey(PLANNING.number, Ed25519PrivateKey.generate()),
    )
    with pytest.raises(ServiceProblem) as refused:
        stranger.read("6.1", AIR_POLICY, {"limit": 1})
    assert refused.value.code == "signature.unknown-key"


def test_a_department_cannot_search_the_log_without_an_auditors_key(shared_city: City) -> None:
    with pytest.raises(ServiceProblem) as refused:
        list(shared_city.of(PLANNING).civic.entries())
    assert refused.value.code == "caller.not-auditor"


def test_answer_under_another_gateway_key_is_refused(shared_city: City, tmp_path: Path) -> None:
    document = {**shared_city.trust.document, "gateway_key": "00" * 31 + "01"}
    document["gateway_key"] = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    civic = Civic(shared_city.service.url, Trust.parse(document), tmp_path, shared_city.of(PLANNING).service)
    with pytest.raises(AnswerRefused):
        civic.status()


def test_invalid_acts_are_refused_with_their_codes(shared_city: City) -> None:
    steward = shared_city.of(PUBLIC_SECURITY)
    civic = steward.civic
    good = sign_act(draft_revocation("0x" + "12" * 32), shared_city.trust, [steward.secrets["steward"]])
    cases: list[tuple[str, Mapping[str, Any], list[str], str]] = [
        ("NoSuchAct", {}, list(good.signatures), "act."),
        ("Revoke", {"grant": "0x12"}, list(good.signatures), "act."),
        ("Revoke", good.message, [], "act."),
        ("Revoke", good.message, ["0x12"], "act."),
        ("Revoke", {**good.message, "deadline": int(time.time()) - 10}, list(good.signatures), "act."),
        ("Revoke", good.message, list(good.signatures), "grant.unknown"),
    ]
    before = size_of(shared_city)
    for kind, message, signatures, prefix in cases:
        with pytest.raises(ServiceProblem) as refused:
            civic.act(kind, message, signatures)
        assert refused.value.code.startswith(prefix), (kind, refused.value.code)
        assert 400 <= refused.value.status < 500
    assert size_of(shared_city) == before


def test_terms_outside_the_profile_are_refused_with_a_pointer(shared_city: City) -> None:
    owner = next(actor for actor in shared_city.actors.values() if actor.part.slug == "environment")
    signed = owner.civic.grant(shared_city.grants["air-planning"])
    agreement = json.loads(json.dumps(signed["agreement"]))
    agreement["permission"][0]["constraint"][0]["leftOperand"] = "purpos"
    draft = draft_grant("6.1", PLANNING.number, agreement, expiry=int(signed["terms"]["expiry"]))
    draft = sign_act(draft, shared_city.trust, [owner.secrets["steward"]])
    with pytest.raises(ServiceProblem) as refused:
        owner.civic.act(draft.type, draft.to_json()["message"], draft.signatures, documents=draft.documents)
    assert refused.value.code == "terms.invalid"
    assert refused.value.document["pointer"].endswith("/leftOperand")
    assert "purpose" in refused.value.document["matches"]


def test_slot_wider_than_its_agreement_is_refused(shared_city: City) -> None:
    owner = next(actor for actor in shared_city.actors.values() if actor.part.slug == "environment")
    signed = owner.civic.grant(shared_city.grants["air-planning"])
    draft = draft_grant(
        "6.1",
        PLANNING.number,
        signed["agreement"],
        expiry=int(signed["terms"]["expiry"]) + 86_400,
        not_before=int(signed["terms"]["notBefore"]),
    )
    draft = sign_act(draft, shared_city.trust, [owner.secrets["steward"]])
    with pytest.raises(ServiceProblem) as refused:
        owner.civic.act(draft.type, draft.to_json()["message"], draft.signatures, documents=draft.documents)
    assert refused.value.code == "terms.slot-mismatch"


def test_a_file_that_is_not_the_signed_one_is_refused(shared_city: City, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("station_id\nAQ99\n")
    owner = next(actor for actor in shared_city.actors.values() if actor.part.slug == "environment")
    with pytest.raises(ServiceProblem) as refused:
        owner.civic.upload("6.1", other)
    assert refused.value.code == "source.mismatch"
    with pytest.raises(ServiceProblem) as stranger:
        shared_city.of(PLANNING).civic.upload("6.1", other)
    assert stranger.value.code == "caller.not-holder"


def test_a_captured_dry_run_is_not_answered_again(shared_city: City) -> None:
    civic = shared_city.of(PLANNING).civic
    call = civic.transport.prepare(
        "POST", "/v1/read", body=ask(dry_run=True), headers={"Content-Type": "application/json"}
    )
    statuses = []
    for _ in range(2):
        with civic.transport.exchange(call) as stream:
            stream.read()
            statuses.append(stream.status)
    assert statuses == [200, 409]


def test_an_idempotency_key_is_one_release_and_one_charge(shared_city: City) -> None:
    civic = shared_city.of(PLANNING).civic
    query = {"columns": ["pm25"], "limit": 2}
    first = civic.read("6.1", AIR_POLICY, query, idempotency_key="the-same-call-1")
    again = civic.read("6.1", AIR_POLICY, query, idempotency_key="the-same-call-1")
    assert (first.body, first.release["id"]) == (again.body, again.release["id"])
    assert first.receipt.index < again.receipt.index, "an entry for each call"
    with pytest.raises(ServiceProblem) as refused:
        civic.read("6.1", AIR_POLICY, {"limit": 3}, idempotency_key="the-same-call-1")
    assert refused.value.code == "idempotency.conflict"


def test_refused_values_are_in_no_answer_and_no_leaf(shared_city: City) -> None:
    """A secret in a hostile query appears in no problem and in no leaf."""
    secret = "citizen-5304218-of-nowhere"
    body = ask(query={"where": {"column": "district", "op": "eq", "value": secret}, "columns": ["pm10"]})
    transport = Transport(
        shared_city.service.url, shared_city.trust.gateway_key, shared_city.of(PLANNING).service
    )
    answer = transport.call("POST", "/v1/read", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == 403
    assert secret.encode() not in answer.body
    assert all(secret not in json.dumps(item) for item in shared_city.of(AUDIT).civic.entries())


def test_pages_are_bounded_and_their_cursors_checked(shared_city: City) -> None:
    base = shared_city.service.url
    first = httpx.get(f"{base}/v1/datasets?limit=2", trust_env=False).json()
    assert len(first["items"]) == 2
    second = httpx.get(
        f"{base}/v1/datasets", params={"limit": 2, "cursor": first["next"]}, trust_env=False
    ).json()
    assert {item["id"] for item in first["items"]}.isdisjoint(item["id"] for item in second["items"])
    assert httpx.get(f"{base}/v1/datasets?limit=100000", trust_env=False).status_code == 400
    assert httpx.get(f"{base}/v1/datasets?cursor=rubbish", trust_env=False).status_code == 400


def starting_fails(home: Path) -> str:
    with pytest.raises(ClientError) as refused:
        ServiceProcess(home).stop()
    return refused.value.message


def test_damaged_home_is_refused_with_its_fault(home: Path) -> None:
    facts = (home / "civic.json").read_text()
    for damage in (
        "",
        "[]",
        facts.replace('"format": 1', '"format": 9'),
        facts.replace('"mode": "demo"', '"mode": "?"'),
    ):
        (home / "civic.json").write_text(damage)
        assert "home.invalid" in starting_fails(home)
    (home / "civic.json").write_text(facts)
    with sqlite3.connect(home / "ledger.sqlite") as database:
        database.execute("UPDATE audit_state SET root = zeroblob(32)")
    assert "audit." in starting_fails(home)


def test_a_home_that_names_another_chain_than_its_database_is_refused(home: Path) -> None:
    facts = json.loads((home / "civic.json").read_text())
    (home / "civic.json").write_text(json.dumps(facts | {"chain_id": facts["chain_id"] + 1}))
    assert "home.contradicted" in starting_fails(home)


def test_a_home_without_its_chain_is_refused(home: Path) -> None:
    for file in home.glob("chain.sqlite*"):
        file.unlink()
    assert "chain." in starting_fails(home)


def test_wrong_passphrase_is_refused(home: Path) -> None:
    (home / "keys" / "demo-passphrase").write_text("not it\n")
    assert "keystore.wrong-passphrase" in starting_fails(home)
    shutil.rmtree(home)


def test_an_attest_key_is_removed_only_from_its_own_department(
    shared_city: City, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The signed message contains only the key, so a wrong number on the command line would have no effect."""
    profile = shared_city.of(PLANNING).directory
    asked = ("department", "remove-key", str(PLANNING.number), "0x" + "77" * 20, "--profile", str(profile))
    assert main([*asked, "--save", str(tmp_path / "act.json"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not-found.key"
    assert not (tmp_path / "act.json").exists()


def test_body_with_a_repeated_member_is_refused_by_every_route(shared_city: City) -> None:
    """A signer's tool may show the first of two members while the service uses the second."""
    good = '{"asset": "6.1"}'
    bodies = {
        '{"asset": "6.1", "asset": "7.1"}': "request.member-twice",
        '{"asset": "6.1", "\\u0061sset": "7.1"}': "request.member-twice",
        '{"query": {"where": [{"a": 1, "a": 2}]}}': "request.member-twice",
        '{"limit": %s}' % ("9" * 4_000): "request.number",
        '{"limit": 1.%s}' % ("1" * 4_000): "request.number",
        '{"attributes": {"a": [%s 1]}}' % ("1," * 50_000): "request.too-complex",
        '{"attributes": {"\\\\": {"a": [%s 1]}}}' % ("{}," * 50_000): "request.too-complex",
        '{"attributes": {"\\"": ' + "[" * 65 + "]" * 65 + "}}": "request.too-complex",
        '{"limit": NaN}': "request.number",
        '{"limit": [-Infinity]}': "request.number",
        '{"limit": 1e400}': "request.number",
        "\ufeff" + good: "request.encoding",
    }
    raw = {text.encode(): code for text, code in bodies.items()}
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        raw[good.encode(encoding)] = "request.encoding"
    with httpx.Client(base_url=shared_city.service.url) as client:
        paths = client.get("/openapi.json").json()["paths"]
        for path in [path for path, methods in paths.items() if "requestBody" in methods.get("post", {})]:
            here = re.sub(r"\{[^}]*\}", "1", path)
            for body, code in raw.items():
                answer = client.post(here, content=body, headers={"Content-Type": "application/json"})
                assert (answer.status_code, answer.json()["code"]) == (400, code), (path, body)


def test_member_of_another_json_type_is_not_converted(shared_city: City) -> None:
    """``"dry_run": "no"`` or 1 is a mistake, and the service must not guess whether to charge a use."""
    key = shared_city.of(PLANNING).service
    for changes in (
        *({"dry_run": value} for value in ("yes", "no", "true", 1, 0, 1.0)),
        *({"attributes": {"a": value}} for value in (True, 1.0)),
    ):
        call = Call(
            key,
            shared_city.service.url,
            body=read_body(**changes),
            headers=[("Content-Type", "application/json")],
        )
        answer = call.send(shared_city.service.url)
        assert (answer.status, answer.code) == (400, "request.invalid"), changes


HALF = (
    '{"asset": "\\ud800"}',
    '{"\\udfff": 1}',
    '{"attributes": {"a": ["b", "\\udc00"]}}',
    '[{"x": "a\\ud83d"}]',
    '{"note": "a\\u0000b"}',
    '{"\\\\\\u0000": 1}',
)


def test_lone_surrogates_are_refused_by_every_route_with_a_body(shared_city: City) -> None:
    url = shared_city.service.url
    before = size_of(shared_city)
    with httpx.Client(base_url=url) as client:
        paths = client.get("/openapi.json").json()["paths"]
        taken = [path for path, methods in paths.items() if "requestBody" in methods.get("post", {})]
        assert len(taken) > 5
        for path in taken:
            here = re.sub(r"\{[^}]*\}", "1", path)
            for body in (*(text.encode() for text in HALF), b'{"asset": "\xed\xa0\x80"}'):
                answer = client.post(here, content=body, headers={"Content-Type": "application/json"})
                assert (answer.status_code, answer.json()["code"]) == (400, "request.text"), (path, body)
                assert client.get("/v1/status").status_code == 200, "the connection goes on"
    assert size_of(shared_city) == before
    assert "Traceback" not in (shared_city.home / "service.log").read_text()


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2027-02-30T00:00:00Z"]
)
def test_a_time_that_does_not_exist_is_refused_wherever_one_is_written(
    shared_city: City, moment: str
) -> None:
    civic = shared_city.of(PLANNING).civic
    asked = {"asset": "6.1", "purpose": AIR_POLICY, "legal_basis": "a law", "starts": moment, "ends": moment}
    headers = {"Content-Type": "application/json"}
    answer = civic.transport.call("POST", "/v1/requests", body=json.dumps(asked).encode(), headers=headers)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "request.time")
    for member in ("since", "until"):
        answer = shared_city.of(AUDIT).civic.transport.call(
            "GET", "/v1/audit/entries", params={member: moment}
        )
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "request.time")


@pytest.mark.parametrize("sizes", [(2, 1), (1, 1 << 61), (0, 1 << 61)])
def test_sizes_without_a_consistency_proof_are_refused(shared_city: City, sizes: tuple[int, int]) -> None:
    old, new = sizes
    answer = httpx.get(f"{shared_city.service.url}/v1/log/consistency?old={old}&new={new}", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.size")


def test_nul_character_in_a_request_is_refused(shared_city: City) -> None:
    civic = shared_city.of(AUDIT).civic
    for target in ("/v1/audit/entries?type=%00", "/v1/datasets?status=a%00", "/v1/status%00"):
        answer = civic.transport.call("GET", target)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "request.target")
    written = json.dumps({"asset": "6.1", "note": "\\u0000"}).encode()
    assert code_of(shared_city, "/v1/requests", written) == (400, "request.invalid"), "a backslash is a text"
