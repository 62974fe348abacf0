"""Terms from options: the agreement, and the signed slot that says exactly the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from access_policy.terms.agreement import Agreement, parse_terms, terms_hash
from access_policy.terms.slots import slot_bounds, slot_parties
from api.cli.profile import Profile
from api.cli.terms import duties_of, grant_of, transforms_of
from api.sdk.acts import read_act
from contracts.codes import UNLIMITED
from tests.api.cli.conftest import Run

BASIC = ("grant", "7.12", "--to", "9", "--columns", "pm25,station", "--purpose", "dpv:PublicBenefit")


def granted(run: Run, path: Path, *options: str) -> tuple[dict[str, Any], Agreement]:
    """The signed slot and the agreement of a saved grant."""
    done = run(*BASIC, *options, "--save", path, "--json")
    assert done.code == 0, done.out
    draft = read_act(path)
    terms = parse_terms(draft.documents[0])
    assert isinstance(terms, Agreement)
    assert draft.message["termsHash"] == "0x" + terms_hash(terms).hex()
    return dict(draft.message), terms


def test_the_slot_says_what_the_agreement_says(run: Run, profile: Profile, tmp_path: Path) -> None:
    slot, terms = granted(
        run,
        tmp_path / "g.json",
        "--from",
        "2026-12-01",
        "--until",
        "2027-06-01T08:00:00+08:00",
        "--uses",
        "12",
    )
    bounds = slot_bounds(terms)
    assert slot["notBefore"] == int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    assert slot["expiry"] == int(datetime(2027, 6, 1, tzinfo=UTC).timestamp())
    assert (bounds.not_before, bounds.expiry, bounds.max_uses) == (
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2027, 6, 1, tzinfo=UTC),
        12,
    )
    assert slot["maxUses"] == 12
    assert slot_parties(terms) == ("urn:civic:dept:7", "urn:civic:dept:9", "urn:civic:asset:7.12")
    assert (slot["asset"], slot["grantee"], slot["right"]) == ((7 << 40) | 12, 9, 2)


def test_without_a_bound_the_slot_is_unlimited_and_holds_at_once(
    run: Run, profile: Profile, tmp_path: Path
) -> None:
    slot, _ = granted(run, tmp_path / "g.json", "--until", "P30D")
    assert (slot["maxUses"], slot["notBefore"]) == (UNLIMITED, 0)


def test_equal_options_make_two_different_grants(run: Run, profile: Profile, tmp_path: Path) -> None:
    first, _ = granted(run, tmp_path / "1.json", "--until", "2027-01-01")
    second, _ = granted(run, tmp_path / "2.json", "--until", "2027-01-01")
    assert first["termsHash"] == second["termsHash"]
    assert first["salt"] != second["salt"]


def test_rows_transforms_and_duties_reach_the_agreement(run: Run, profile: Profile, tmp_path: Path) -> None:
    _, terms = granted(
        run,
        tmp_path / "g.json",
        *("--until", "P30D", "--where", '{"column": "station", "op": "eq", "value": "A1"}'),
        *("--transform", "station=mask:0:4", "--duty", "delete:P30D", "--duty", "assess"),
    )
    [permission] = terms.permissions
    assert {duty.action for duty in permission.duties} == {"delete", "assess"}
    document = json.dumps(read_act(tmp_path / "g.json").documents[0])
    assert '"keep_last": 4' in document
    assert '"value": "A1"' in document


def test_a_grant_without_an_end_is_refused(run: Run, profile: Profile, tmp_path: Path) -> None:
    refused = run(*BASIC, "--save", tmp_path / "g.json", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert refused.error["hint"] == "--until"


@pytest.mark.parametrize("missing", ["--to", "--columns"])
def test_grant_needs_grantee_and_columns(run: Run, profile: Profile, tmp_path: Path, missing: str) -> None:
    at = BASIC.index(missing)
    options = BASIC[:at] + BASIC[at + 2 :]
    refused = run(*options, "--until", "P30D", "--save", tmp_path / "g.json", "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert missing in refused.error["message"]


def test_an_unknown_purpose_names_close_ones(run: Run, profile: Profile, tmp_path: Path) -> None:
    options = [option.replace("PublicBenefit", "PublicBenefits") for option in BASIC]
    refused = run(*options, "--until", "P30D", "--save", tmp_path / "g.json", "--json")
    assert (refused.code, refused.error["code"]) == (1, "terms.invalid")
    assert "dpv:PublicBenefit" in refused.error["matches"]


def test_a_standing_offer_is_to_everybody(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    done = run(
        "grant",
        "7.12",
        "--template",
        "unconditional",
        "--columns",
        "pm25",
        "--until",
        "P365D",
        "--save",
        path,
        "--json",
    )
    assert done.code == 0, done.out
    assert read_act(path).message["grantee"] == 0


@pytest.mark.parametrize("template", ["statistics-only", "match-only", "research-extract"])
def test_every_template_makes_a_grant(run: Run, profile: Profile, tmp_path: Path, template: str) -> None:
    path = tmp_path / "g.json"
    done = run(
        *("grant", "7.12", "--to", "9", "--columns", "pm25,station", "--until", "P30D"),
        *("--template", template, "--save", path, "--json"),
    )
    assert done.code == 0, done.out


def test_an_emergency_lasts_hours(run: Run, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    done = run(
        *("grant", "7.12", "--to", "9", "--columns", "pm25", "--template", "emergency"),
        *("--from", "2026-12-01T00:00:00Z", "--until", "2026-12-01T06:00:00Z", "--save", path, "--json"),
    )
    assert done.code == 0, done.out
    assert read_act(path).message["expiry"] - read_act(path).message["notBefore"] == 6 * 3600


def test_finished_terms_are_used_unchanged(run: Run, profile: Profile, tmp_path: Path) -> None:
    _, terms = granted(run, tmp_path / "g.json", "--until", "2027-01-01")
    agreement = tmp_path / "agreement.json"
    agreement.write_text(json.dumps(read_act(tmp_path / "g.json").documents[0]))
    done = run("grant", "--terms", agreement, "--save", tmp_path / "again.json", "--json")
    assert done.code == 0, done.out
    assert read_act(tmp_path / "again.json").message["termsHash"] == "0x" + terms_hash(terms).hex()


def test_an_offer_cannot_be_granted(run: Run, profile: Profile, tmp_path: Path) -> None:
    granted(run, tmp_path / "g.json", "--until", "2027-01-01")
    document = dict(read_act(tmp_path / "g.json").documents[0]) | {"@type": "Offer"}
    del document["assignee"]
    (tmp_path / "offer.json").write_text(json.dumps(document))
    refused = run("grant", "--terms", tmp_path / "offer.json", "--save", tmp_path / "o.json", "--json")
    assert (refused.code, refused.error["code"]) == (1, "terms.invalid")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("id=pseudonym", {"id": {"type": "pseudonym"}}),
        ("id=mask", {"id": {"type": "mask", "keep_first": 0, "keep_last": 0, "with": "*"}}),
        ("id=mask:2:4:#", {"id": {"type": "mask", "keep_first": 2, "keep_last": 4, "with": "#"}}),
        ("born=truncate:month", {"born": {"type": "truncate", "to": "month"}}),
        ("age=band:10", {"age": {"type": "band", "width": 10, "origin": 0}}),
        ("age=clamp:18:90", {"age": {"type": "clamp", "bottom": 18, "top": 90}}),
        ("age=clamp::90", {"age": {"type": "clamp", "top": 90}}),
        ("pay=round:0.5", {"pay": {"type": "round", "step": 0.5}}),
        ('id={"type": "keep"}', {"id": {"type": "keep"}}),
    ],
)
def test_transforms_have_a_short_spelling(written: str, meant: dict[str, Any]) -> None:
    assert transforms_of([written]) == meant


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("id=scramble", "transform.invalid"),
        ("id=mask:-1", "transform.invalid"),
        ("id=band", "transform.invalid"),
        ("id=band:wide", "usage"),
        ("id", "usage"),
        ("id={", "usage"),
    ],
)
def test_a_bad_transform_is_refused(
    run: Run, profile: Profile, tmp_path: Path, written: str, code: str
) -> None:
    refused = run(*BASIC, "--until", "P30D", "--transform", written, "--save", tmp_path / "g.json", "--json")
    assert refused.error["code"] == code


def test_a_duty_has_a_limit_or_comes_before_use() -> None:
    [delete, report, assess] = duties_of(["delete:P30D", "report:2027-01-01", "assess"])
    assert (delete["action"], report["action"], assess["action"]) == ("delete", "report", "assess")
    assert "P30D" in json.dumps(delete)
    assert "2027-01-01" in json.dumps(report)
    assert '"lt"' in json.dumps(assess)


def test_the_slot_follows_the_agreement_and_nothing_else(run: Run, profile: Profile, tmp_path: Path) -> None:
    """Whatever else is signed comes from the agreement itself, so the two can never disagree."""
    _, terms = granted(run, tmp_path / "g.json", "--until", "2027-01-01", "--uses", "3")
    again = grant_of(read_act(tmp_path / "g.json").documents[0])
    assert (again.message["expiry"], again.message["maxUses"]) == (
        int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()),
        3,
    )
    assert slot_bounds(terms).max_uses == 3
