"""Terms analysed before signing, and decisions run again: offline, on files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from access_policy.analysis.redecide import record
from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.engine import ENGINE_VERSION, decide
from access_policy.terms.agreement import parse_terms
from access_policy.terms.templates import agreement
from api.cli.terms import grant_of
from ledger.audit.log.openings import commit
from tests.api.cli.conftest import Run

CALL = ("--by", "9", "--asset", "7.12", "--purpose", "dpv:PublicBenefit")


def terms(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "columns": ("pm25", "station"),
        "purposes": ("dpv:PublicBenefit",),
        "expiry": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return agreement("urn:civic:dept:7", "urn:civic:dept:9", "urn:civic:asset:7.12", **(given | changes))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "terms.json"
    path.write_text(json.dumps(terms()))
    return path


def test_good_terms_pass_the_check(run: Run, written: Path) -> None:
    checked = run("policy", "check", written, "--json")
    assert checked.code == 0
    assert checked.document["conflicts"]["verdict"] == "compatible"
    assert checked.document["unreachable"] == []


def test_misspelt_operand_is_reported_with_its_pointer(run: Run, tmp_path: Path) -> None:
    document = terms()
    document["permission"][0]["constraint"][0]["leftOperand"] = "purposes"
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    refused = run("policy", "check", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, "terms.invalid")
    assert refused.error["pointer"].startswith("/permission/0/constraint/0")
    assert "purpose" in refused.error["matches"]


def test_a_rule_that_can_never_apply_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "never.json"
    path.write_text(json.dumps(terms(not_before=datetime(2031, 1, 1, tzinfo=UTC))))
    checked = run("policy", "check", path, "--json")
    assert checked.code == 1
    assert [one["cause"] for one in checked.document["unreachable"]] == ["unsatisfiable"]


def test_a_call_is_decided_and_explained(run: Run, written: Path) -> None:
    permitted = run("policy", "explain", written, *CALL, "--columns", "pm25", "--json")
    assert permitted.code == 0
    assert (permitted.document["decision"], permitted.document["columns"]) == ("permit", ["pm25"])
    refused = run("policy", "explain", written, *CALL[:-1], "dpv:Marketing", "--json")
    assert refused.code == 1
    assert [reason["code"] for reason in refused.document["reasons"]] == ["purpose.mismatch"]
    assert "Refused" in run("policy", "explain", written, *CALL[:-1], "dpv:Marketing").out


def test_who_can_names_the_party_and_the_columns(run: Run, written: Path) -> None:
    [one] = run("policy", "who-can", written, *CALL[2:], "--json").document["who"]
    assert (one["assignee"], one["columns"], one["certain"]) == (
        "urn:civic:dept:9",
        ["pm25", "station"],
        True,
    )


def test_a_change_shows_what_it_newly_permits(run: Run, written: Path, tmp_path: Path) -> None:
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(terms(columns=("pm25", "station", "address"))))
    changes = run("policy", "diff", written, wider, "--json").document["changes"]
    assert "newly permitted" in {change["kind"] for change in changes}
    same = run("policy", "diff", written, written, "--json").document
    assert same["changes"] == []


def recorded(purpose: str) -> dict[str, Any]:
    """A decision as the log keeps it: the entry, the disclosure it commits to, and the grant."""
    document = terms()
    draft = grant_of(document)
    request = Request("urn:civic:dept:9", "urn:civic:asset:7.12", "read", purpose, ("pm25",))
    context = Context(datetime(2026, 12, 1, tzinfo=UTC))
    parsed = parse_terms(document)
    decision = decide(request, {draft.id: parsed}, context)  # type: ignore[dict-item]
    opening = commit("decision", record(request, context))
    permitted = isinstance(decision, Permit)
    entry = {
        "id": "4d5f3b6e-7d5c-4b43-9f5f-000000000001",
        "decision": "permit" if permitted else "deny",
        "reasons": [] if isinstance(decision, Permit) else [reason.code for reason in decision.reasons],
        "engine": ENGINE_VERSION,
        "candidates": [draft.id],
        "commitments": {"decision": opening.digest},
    } | ({"grant": draft.id} if permitted else {})
    return {
        "entries": [{"entry": entry, "disclosures": {"decision": opening.disclosure}}],
        "grants": {draft.id: {"terms": dict(draft.message), "agreement": document}},
    }


def replayed(run: Run, tmp_path: Path, document: dict[str, Any]) -> Any:
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps(document))
    return run("policy", "replay", path, "--json")


@pytest.mark.parametrize("purpose", ["dpv:PublicBenefit", "dpv:Marketing"])
def test_recorded_decision_is_replayed_with_the_same_result(run: Run, tmp_path: Path, purpose: str) -> None:
    done = replayed(run, tmp_path, recorded(purpose))
    assert (done.code, done.document["same"]) == (0, 1), done.out


def test_a_falsified_outcome_is_found(run: Run, tmp_path: Path) -> None:
    document = recorded("dpv:Marketing")
    entry = document["entries"][0]["entry"]
    entry["decision"], entry["grant"], entry["reasons"] = "permit", entry["candidates"][0], []
    done = replayed(run, tmp_path, document)
    assert (done.code, done.document["different"]) == (1, 1)


def test_after_an_erasure_it_is_not_replayable(run: Run, tmp_path: Path) -> None:
    document = recorded("dpv:PublicBenefit")
    document["entries"][0]["disclosures"] = {}
    done = replayed(run, tmp_path, document)
    assert (done.code, done.document["not_replayable"]) == (0, 1)


def test_changed_input_of_a_decision_is_refused(run: Run, tmp_path: Path) -> None:
    document = recorded("dpv:PublicBenefit")
    other = recorded("dpv:Marketing")
    document["entries"][0]["disclosures"] = other["entries"][0]["disclosures"]
    done = replayed(run, tmp_path, document)
    assert (done.code, done.error["code"]) == (1, "replay.input")


def test_changed_terms_of_a_grant_are_refused(run: Run, tmp_path: Path) -> None:
    document = recorded("dpv:PublicBenefit")
    [grant] = document["grants"].values()
    grant["agreement"] = terms(columns=("pm25", "station", "address"))
    done = replayed(run, tmp_path, document)
    assert (done.code, done.error["code"]) == (1, "replay.input")
