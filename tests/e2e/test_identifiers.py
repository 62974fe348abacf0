"""Every identifier is accepted in one spelling only: path, query, body, document, trust file, command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from access_policy.errors import TermsError
from access_policy.terms.agreement import parse_terms
from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, HEALTH, PLANNING
from api.protocol.errors import ProfileError
from api.protocol.trust import Trust
from api.sdk.errors import ServiceProblem
from api.sdk.transport import Transport

HEX = "ab" * 32
UUID_TEXT = "0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        *((f"/v1/departments/{text}", "id.invalid") for text in ("05", "+5", "%205", "5%20", "％５", "5.0", "0", "urn:civic:dept:5", "urn:civic:dept:any")),
        *((f"/v1/datasets/{text}", "id.invalid") for text in ("06.1", "6.01", "6.1%20", "urn:civic:asset:6.1", "%EF%BC%96.1")),
        *((f"/v1/grants/{text}", "id.invalid") for text in (HEX, f"0X{HEX}", f"0x{HEX.upper()}")),
        *((f"/v1/acts/{text}", "id.invalid") for text in (HEX, f"0x{HEX.upper()}", "1")),
        *((f"/v1/grants?{text}", "id.invalid") for text in ("asset=06.1", "asset=urn:civic:asset:6.1", "grantee=05", "grantor=%EF%BC%95", "limit=010", "limit=1_0")),
        *((f"/v1/datasets?{text}", "id.invalid") for text in ("department=06", "holder=%206", "limit=%2B5")),
        *((f"/v1/datasets?cursor={text}", "cursor.invalid") for text in ("007", "+7", "%EF%BC%97", "-1")),
        *((f"/v1/policy/what-can?department={text}", "id.invalid") for text in ("05", "urn:civic:dept:5")),
        ("/v1/policy/who-can?asset=06.1&purpose=dpv:Marketing", "id.invalid"),
        *((f"/v1/policy/who-can?asset=6.1&purpose={text}", "request.purpose") for text in ("https://w3id.org/dpv%23Marketing", "Marketing", "DPV:Marketing", "dpv:marketing", "dpv:Marketing%20")),
        ("/v1/log/consistency?old=01&new=2", "id.invalid"),
        ("/v1/log/inclusion?index=%EF%BC%91&size=2", "id.invalid"),
    ],
)  # fmt: skip
def test_public_read_accepts_one_spelling(shared_city: City, path: str, code: str) -> None:
    answer = httpx.get(f"{shared_city.service.url}{path}", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_signed_spelling_is_found_by_search(shared_city: City) -> None:
    """A call with this key id, and a search of the log for it."""
    planning, auditor = shared_city.of(PLANNING), shared_city.of(AUDIT).civic
    assert planning.service is not None
    planning.civic.read("6.1", AIR_POLICY, {"columns": ["pm25"], "limit": 1})
    found = list(auditor.entries(actor=planning.service.key_id, asset="6.1", purpose=AIR_POLICY))
    assert found


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"actor": f"0005:{HEX}"}, "id.invalid"),
        ({"actor": f"5:{HEX.upper()}"}, "id.invalid"),
        ({"actor": "0x" + "ab" * 20}, "id.invalid"),
        ({"actor": "somebody"}, "id.invalid"),
        ({"asset": "06.1"}, "id.invalid"),
        ({"asset": "urn:civic:asset:6.1"}, "id.invalid"),
        ({"grant": f"0x{HEX.upper()}"}, "id.invalid"),
        ({"department": "05"}, "id.invalid"),
        ({"purpose": "https://w3id.org/dpv#Marketing"}, "request.purpose"),
        ({"since": "1760000000"}, "request.time"),
        ({"since": "2026-01-31"}, "request.time"),
        ({"until": "2026-01-31T08:00:00"}, "request.time"),
        ({"until": "２０２６-01-31T08:00:00Z"}, "request.time"),
    ],
)
def test_log_filter_accepts_one_spelling(shared_city: City, filters: dict[str, str], code: str) -> None:
    with pytest.raises(ServiceProblem) as refused:
        list(shared_city.of(AUDIT).civic.entries(**filters))
    assert refused.value.code == code


def test_a_cursor_of_the_log_has_one_spelling(shared_city: City) -> None:
    auditor = shared_city.of(AUDIT).civic
    cursor = auditor.entries_page(limit=1)["next"]
    after, _, look = cursor.partition("-")
    for other in (f"0{after}-{look}", f"{after}-0{look}", f"{after}-{look} ", f"+{after}-{look}", after):
        with pytest.raises(ServiceProblem) as refused:
            auditor.entries_page(limit=1, cursor=other)
        assert refused.value.code in ("audit.cursor", "cursor.invalid"), other


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/v1/read", {"asset": "06.1"}, "id.invalid"),
        ("POST", "/v1/read", {"asset": "urn:civic:asset:6.1"}, "id.invalid"),
        ("POST", "/v1/read", {"grant": f"0x{HEX.upper()}"}, "id.invalid"),
        ("POST", "/v1/requests", {"id": UUID_TEXT.upper()}, "id.invalid"),
        ("POST", "/v1/requests", {"id": f"urn:uuid:{UUID_TEXT}"}, "id.invalid"),
        ("POST", "/v1/requests", {"asset": "6.01"}, "id.invalid"),
        ("POST", "/v1/requests", {"starts": 1_760_000_000}, "request.time"),
        ("POST", "/v1/requests", {"purpose": "https://w3id.org/dpv#Marketing"}, "request.purpose"),
        ("GET", f"/v1/releases/{UUID_TEXT.upper()}", None, "id.invalid"),
        ("GET", "/v1/releases/1", None, "id.invalid"),
        ("POST", f"/v1/requests/{UUID_TEXT.replace('-', '')}/answer", {}, "id.invalid"),
    ],
)
def test_signed_call_accepts_one_spelling(
    shared_city: City, method: str, path: str, body: dict[str, Any] | None, code: str
) -> None:
    good: dict[str, Any] = {}
    if path == "/v1/read":
        good = {"asset": "6.1", "purpose": AIR_POLICY, "query": {"limit": 1}}
    elif path == "/v1/requests":
        good = {"asset": "6.1", "purpose": AIR_POLICY, "legal_basis": "law", "starts": "2030-01-01T00:00:00Z",
                "ends": "2031-01-01T00:00:00Z"}  # fmt: skip
    elif body is not None:
        good = {"state": "withdrawn"}
    content = b"" if body is None else json.dumps(good | body).encode()
    transport = Transport(
        shared_city.service.url, shared_city.trust.gateway_key, shared_city.of(PLANNING).service
    )
    answer = transport.call(method, path, body=content, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("assignee", "urn:civic:dept:05"),
        ("assignee", "urn:civic:dept:５"),
        ("assignee", "urn:civic:DEPT:5"),
        ("assigner", "urn:civic:dept:0"),
        ("target", "urn:civic:asset:06.1"),
        ("target", "urn:civic:Asset:6.1"),
    ],
)
def test_terms_accept_one_spelling(shared_city: City, member: str, value: str) -> None:
    grant = shared_city.of(PLANNING).civic.grant(shared_city.grants["air-planning"])
    agreement = json.loads(json.dumps(grant["agreement"]))
    parse_terms(agreement)
    if member == "target":
        agreement["permission"][0]["target"]["source"] = value
    else:
        agreement[member] = value
    with pytest.raises(TermsError):
        parse_terms(agreement)


@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("gateway_key", str.upper),
        ("gateway_key", lambda text: " ".join(text[i : i + 2] for i in range(0, 64, 2))),
        ("gateway_key", lambda text: f"0x{text}"),
        ("chain_id", str),
        ("chain_id", float),
        ("chain_id", lambda _: True),
        ("salt", str.upper),
        ("salt", lambda text: text[2:]),
    ],
)
def test_trust_file_accepts_one_spelling(shared_city: City, member: str, change: Any) -> None:
    document = dict(shared_city.trust.document)
    with pytest.raises(ProfileError):
        Trust.parse(document | {member: change(document[member])})


@pytest.mark.parametrize(
    "command",
    [
        "department show 05",
        "department show +5",
        "department show ５",
        "department show urn:civic:dept:5",
        "dataset show 06.1",
        "dataset show urn:civic:asset:6.1",
        "dataset list --department 06",
        "grants list --grantee 05",
        "grants list --asset 6.01",
        f"grants show 0x{HEX.upper()}",
        f"requests show {UUID_TEXT.upper()}",
        "audit search --actor 0005:" + HEX,
        "audit search --department 05",
        "audit search --asset 06.1",
        "read 06.1 --purpose " + AIR_POLICY,
        "suspend dept:05 --reason drill --key steward",
        "suspend urn:civic:dept:5 --reason drill --key steward",
        "suspend 6.01 --reason drill --key steward",
    ],
)
def test_command_accepts_one_spelling(
    shared_city: City, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    department = HEALTH if command.startswith("read ") else AUDIT  # The department whose key reads.
    profile = shared_city.of(department).directory
    document = json.loads((profile / "profile.json").read_text())
    monkeypatch.setenv("CIVIC_URL", shared_city.service.url)
    monkeypatch.setenv("CIVIC_PASSPHRASE_FILE", str(_passphrase(profile)))
    assert document["department"] == department.number
    code = main([*command.split(" "), "--profile", str(profile), "--json"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 1, told
    assert told["error"]["code"] == "id.invalid"


def _passphrase(profile: Path) -> Path:
    from api.demo.participants import PASSPHRASE

    path = profile.parent / "passphrase"
    path.write_text(PASSPHRASE)
    return path
