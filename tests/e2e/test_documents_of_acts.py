"""An act's documents are compared with its message, each other and the catalogue: contradictions are never recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from access_policy.terms.agreement import Agreement, parse_terms, render
from access_policy.terms.slots import slot_bounds
from access_policy.terms.templates import agreement
from api.cli.document_checks import PublishedCatalogue
from api.cli.main import main
from api.demo.city import City
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, HEALTH, PLANNING, Actor
from api.documents.facts import ActWithDocuments
from api.documents.rule import must_fit
from api.sdk.acts import ActDraft, write_act
from api.sdk.drafts import (
    UNLIMITED,
    deadline_in,
    document_hash,
    draft_grant,
    draft_registration,
    draft_retirement,
    draft_version,
    new_salt,
    sign_act,
    source_of,
    submit,
)
from api.sdk.errors import ServiceProblem
from ledger.chain.limits import NOTHING
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.simulators.city import take_version

AIR = "6.1"


def terms_of(
    asset: str = AIR,
    to: int = PLANNING.number,
    by: int = ENVIRONMENT.number,
    columns: Sequence[str] = ("district", "pm25"),
    **more: Any,
) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    return agreement(
        department_iri(by),
        department_iri(to),
        asset_iri(parse_asset(asset)),
        columns=columns,
        purposes=(AIR_POLICY,),
        expiry=now + timedelta(days=9),
        **more,
    )


def granting(document: dict[str, Any], asset: str = AIR, to: int = PLANNING.number, **slot: Any) -> ActDraft:
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    bounds = slot_bounds(parsed)
    assert bounds.expiry is not None
    stated: dict[str, Any] = {
        "not_before": int(bounds.not_before.timestamp()) if bounds.not_before else 0,
        "expiry": int(bounds.expiry.timestamp()),
        "max_uses": UNLIMITED if bounds.max_uses is None else bounds.max_uses,
    }
    return draft_grant(asset, to, document, **(stated | slot))


def batch(*drafts: ActDraft) -> ActDraft:
    message = {
        "grants": [dict(draft.message) for draft in drafts],
        "deadline": drafts[0].message["deadline"],
    }
    return ActDraft("GrantBatch", message, tuple(draft.documents[0] for draft in drafts))


def handed_in(city: City, draft: ActDraft, *signers: str, by: Actor | None = None) -> dict[str, Any]:
    actor = by or city.of(ENVIRONMENT)
    return submit(actor.civic, sign_act(draft, city.trust, [actor.secrets[name] for name in signers]))


def refusal(city: City, draft: ActDraft, *signers: str, by: Actor | None = None) -> dict[str, Any]:
    """The problem with which an act is refused; the log did not grow."""
    civic = city.of(ENVIRONMENT).civic
    before = civic.status()["log"]["size"]
    with pytest.raises(ServiceProblem) as refused:
        handed_in(city, draft, *signers, by=by)
    assert 400 <= refused.value.status < 500
    assert civic.status()["log"]["size"] == before
    return dict(refused.value.document)


def test_a_batch_of_grants_is_recorded_over_http(shared_city: City) -> None:
    first = granting(terms_of())
    second = granting(terms_of(to=HEALTH.number), to=HEALTH.number)
    answer = handed_in(shared_city, batch(first, second), "steward")
    assert answer["state"] == "recorded"
    for draft in (first, second):
        assert shared_city.of(PLANNING).civic.grant(draft.id)["status"] == "not-accepted"


@pytest.mark.parametrize(
    "spelling", ["urn:civic:dept:06", "urn:civic:dept:6 ", "URN:CIVIC:DEPT:6", "urn:civic:dept:0"]
)
def test_another_spelling_of_the_assigner_is_not_the_grantor(shared_city: City, spelling: str) -> None:
    document = terms_of() | {"assigner": spelling}
    problem = refusal(shared_city, with_document(granting(terms_of()), document), "steward")
    assert problem["code"] in ("terms.parties", "terms.invalid")
    assert problem["pointer"] == "/documents/0/assigner"


def with_document(draft: ActDraft, document: dict[str, Any]) -> ActDraft:
    """The draft over another document, which is hashed as it is."""
    message = dict(draft.message) | {"termsHash": document_hash(document), "expiry": _expiry(document)}
    return replace(draft, message=message, documents=(document,))


def _expiry(document: dict[str, Any]) -> int:
    [ends] = [
        c["rightOperand"]["@value"]
        for c in document["permission"][0]["constraint"]
        if c["leftOperand"] == "dateTime" and c["operator"] == "lt"
    ]
    return int(datetime.fromisoformat(ends).timestamp())


@pytest.mark.parametrize("many", [False, True])
def test_an_agreement_by_another_department_is_not_recorded(shared_city: City, many: bool) -> None:
    foreign = granting(terms_of(by=HEALTH.number))
    problem = refusal(shared_city, batch(granting(terms_of()), foreign) if many else foreign, "steward")
    assert problem["code"] == "terms.parties"
    assert problem["pointer"] == f"/documents/{int(many)}/assigner"


def test_every_grant_of_a_batch_is_compared_with_its_agreement(shared_city: City) -> None:
    wide = granting(terms_of(max_uses=3), max_uses=4)
    problem = refusal(shared_city, batch(granting(terms_of()), wide), "steward")
    assert (problem["code"], problem["pointer"]) == ("terms.slot-mismatch", "/message/grants/1/maxUses")


ROWS: dict[str, Any] = {"column": "pm25", "op": "gt", "value": 1}


@pytest.mark.parametrize(
    ("wish", "code", "place"),
    [
        ({"columns": ("district", "pm_25")}, "terms.column-unknown", "/documents/0/permission/0/target"),
        ({"rows": ROWS | {"column": "pm_25"}}, "terms.rows-unfit", "/documents/0/permission/0/target"),
        ({"rows": ROWS | {"value": "much"}}, "terms.rows-unfit", "/documents/0/permission/0/target"),
        (
            {"rows": {"not": {"and": [ROWS, {"column": "district", "op": "lt", "value": 3}]}}},
            "terms.rows-unfit",
            "/documents/0/permission/0/target",
        ),
        (
            {"transforms": {"pm25": {"type": "mask", "keep_last": 1}}},
            "terms.transform-unfit",
            "/documents/0/permission/0/target",
        ),
        (
            {"transforms": {"district": {"type": "band", "width": 10}}},
            "terms.transform-unfit",
            "/documents/0/permission/0/target",
        ),
    ],
)
def test_a_grant_that_does_not_fit_the_schema_is_not_recorded(
    shared_city: City, wish: dict[str, Any], code: str, place: str
) -> None:
    problem = refusal(shared_city, granting(terms_of(**wish)), "steward")
    assert (problem["code"], problem["pointer"]) == (code, place)
    assert problem["zh"]["next"]


def test_prohibition_without_effect_is_not_recorded(shared_city: City) -> None:
    for target, code in (
        ({"leftOperand": "columns", "operator": "isAnyOf", "rightOperand": ["No2"]}, "terms.column-unknown"),
        (
            {
                "leftOperand": "rows",
                "operator": "eq",
                "rightOperand": {"@type": "@json", "@value": {"column": "pm_25", "op": "isNull"}},
            },
            "terms.rows-unfit",
        ),
    ):
        document = terms_of()
        ban = {
            "target": {"@type": "AssetCollection", "source": "urn:civic:asset:6.1", "refinement": [target]},
            "action": ["read"],
        }
        document = render(parse_terms(document | {"prohibition": [ban]}))
        problem = refusal(shared_city, granting(document), "steward")
        assert (problem["code"], problem["pointer"]) == (code, "/documents/0/prohibition/0/target")


def test_foreign_repeated_or_missing_documents_are_refused(shared_city: City) -> None:
    draft = granting(terms_of())
    [body] = draft.documents
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((), "act.document-missing"),
        ((body, body), "act.document-repeated"),
        ((body, {"foreign": True}), "act.document-unnamed"),
        ((terms_of(to=HEALTH.number),), "act.document-unnamed"),
    ]
    for documents, code in cases:
        problem = refusal(shared_city, replace(draft, documents=documents), "steward")
        assert problem["code"] == code


# -- catalogue entries


def entry_of(city: City, asset: str, **changes: Any) -> dict[str, Any]:
    """The document of the steward with the source in the clear, which an auditor gets."""
    told = city.of(AUDIT).civic.dataset_source(asset)
    source = {name: told[name] for name in ("format", "sha256", "bytes", "salt")}
    return dict(city.of(HEALTH).civic.dataset(asset)["metadata"]) | {"source": source} | changes


def asset_graded(city: City, grade: str) -> tuple[str, Actor]:
    """A dataset of this grade and its holder."""
    found = next(one for one in city.of(HEALTH).civic.datasets() if one["grade"] == grade)
    return found["id"], city.actors[found["holder"]]


def test_a_file_on_record_at_a_higher_grade_is_not_registered_below_it(shared_city: City) -> None:
    city = shared_city
    asset, owner = asset_graded(city, "important")
    for actor, number in ((owner, f"{owner.part.number}.77"), (city.of(ENVIRONMENT), "6.77")):
        entry = entry_of(
            city, asset, grade="general", title={"en": "Another"}, contact={"department": actor.part.number}
        )
        problem = refusal(city, draft_registration(number, entry), "steward", by=actor)
        assert problem["code"] == "asset.graded-higher"
        assert (problem["pointer"], asset in problem["detail"]) == ("/message/class", True)
        assert problem["zh"]["next"]
    derived = draft_registration("6.77", entry_of(city, asset, grade="general"))
    lineage = {"parents": [parse_asset(AIR)], "under": [NOTHING]}
    derived = replace(derived, type="DeriveAsset", message=dict(derived.message) | lineage)
    assert refusal(city, derived, "steward")["code"] == "asset.graded-higher"
    version = entry_of(city, asset, grade="general", sharing="conditional", contact={"department": 6})
    current = city.of(ENVIRONMENT).civic.dataset(AIR)
    assert current["grade"] == "general"
    newer = draft_version(AIR, current["version"] + 1, version | {"sharing": current["sharing"]})
    assert refusal(city, newer, "steward")["code"] == "asset.graded-higher"
    higher = {name: version["source"][name] for name in ("sha256", "bytes")}
    parts = {"format": "parquet", "parts": [{"sha256": "ab" * 32, "bytes": 1}, higher]}
    entry = version | {"sharing": current["sharing"], "source": parts}
    problem = refusal(city, draft_version(AIR, current["version"] + 1, entry), "steward")
    assert (problem["code"], problem["pointer"]) == ("asset.graded-higher", "/documents/1/parts")
    contact = {"contact": {"department": ENVIRONMENT.number}}
    problem = refusal(city, draft_registration("6.77", entry | contact), "steward")
    assert problem["code"] == "parts.registered"


def test_file_keeps_its_grade_after_replacement_and_retirement(city: City, tmp_path: Path) -> None:
    asset = city.assets["pension_roll"]
    owner, before = city.actors[city.of(HEALTH).civic.dataset(asset)["holder"]], entry_of(city, asset)
    file = tmp_path / "shorter.csv"
    file.write_text("".join(dataset_path("pension_roll").read_text().splitlines(keepends=True)[:-1]))
    newer = before | {"source": before["source"] | source_of(file)}
    take_version(city, owner, draft_version(asset, 2, newer), file)
    handed_in(city, draft_retirement(asset), "steward", "cdo", by=owner)
    contact = {"contact": {"department": ENVIRONMENT.number}, "grade": "general"}
    for entry in (before, newer):
        draft = draft_registration("6.77", entry | contact)
        assert refusal(city, draft, "steward")["code"] == "asset.graded-higher"
    answer = handed_in(city, draft_registration("6.77", before | contact | {"grade": "important"}), "steward")
    assert [one["code"] for one in answer["warnings"]] == ["asset.same-file"]
    lower = ActDraft("Reclassify", {"asset": parse_asset("6.77"), "class": 1, **_lowered()})
    assert handed_in(city, lower, "steward", "cdo")["state"] == "recorded"
    for number in ("6.78", "6.79"):
        assert refusal(city, draft_registration(number, before | contact), "steward")["code"] == (
            "asset.graded-higher"
        )


def _lowered() -> dict[str, int]:
    return {"sharing": 2, "salt": new_salt(), "deadline": deadline_in()}


def test_the_entry_of_a_new_version_says_what_is_on_record(shared_city: City) -> None:
    current = shared_city.of(ENVIRONMENT).civic.dataset(AIR)
    for member, value in (("grade", "core"), ("sharing", "none")):
        draft = draft_version(AIR, current["version"] + 1, entry_of(shared_city, AIR, **{member: value}))
        problem = refusal(shared_city, draft, "steward")
        assert (problem["code"], problem["pointer"]) == ("act.metadata-differs", f"/documents/0/{member}")


def test_new_version_warns_of_live_grants_it_breaks(city: City) -> None:
    entry = entry_of(city, AIR)
    fields = [field for field in entry["schema"]["fields"] if field["name"] != "pm25"]
    changed = entry | {"schema": entry["schema"] | {"fields": fields}}
    answer = handed_in(city, draft_version(AIR, 2, changed), "steward")
    told = {one["grant"] for one in answer["warnings"] if one["code"] == "version.breaks-grant"}
    assert told == {city.grants[name] for name in ("air-planning", "air-health", "air-education")}
    breaks = [one["detail_zh"] for one in answer["warnings"] if one["code"] == "version.breaks-grant"]
    assert all(said.endswith("：该数据资源没有此数据项") for said in breaks)
    columns = [one for one in answer["warnings"] if one["code"] == "version.columns"]
    assert [one["detail_zh"] for one in columns] == ["数据项 pm25 不再提供"]
    assert [(one["detail"], one["pointer"]) for one in columns] == [
        ("column pm25 goes", "/documents/0/schema/fields")
    ]


@pytest.mark.parametrize("signing", ["grant", "sign"])
def test_command_refuses_wrong_documents_before_signing(
    shared_city: City, tmp_path: Path, signing: str
) -> None:
    profile = shared_city.of(ENVIRONMENT).directory
    draft = granting(terms_of(by=HEALTH.number, columns=("district",)))
    (tmp_path / "terms.json").write_text(json.dumps(draft.documents[0]))
    write_act(tmp_path / "act.json", draft)
    given = {
        "grant": ["grant", "--terms", str(tmp_path / "terms.json"), "--save", str(tmp_path / "made.json")],
        "sign": ["sign", str(tmp_path / "act.json")],
    }[signing]
    ran = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *given, "--profile", str(profile), "--yes", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CIVIC_LANG": "zh"},
    )
    error = json.loads(ran.stdout)["error"]
    assert (ran.returncode, error["code"], error["pointer"]) == (1, "terms.parties", "/documents/0/assigner")
    assert "请" in error["hint"]
    assert not (tmp_path / "made.json").exists()
    assert json.loads((tmp_path / "act.json").read_text())["signatures"] == []


def test_the_command_warns_of_grants_that_a_new_version_breaks(
    shared_city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = entry_of(shared_city, AIR)
    fields = [field for field in entry["schema"]["fields"] if field["name"] != "pm25"]
    changed = entry | {"schema": entry["schema"] | {"fields": fields}}
    write_act(tmp_path / "act.json", draft_version(AIR, 2, changed))
    profile = shared_city.of(ENVIRONMENT).directory
    capsys.readouterr()
    assert main(["sign", str(tmp_path / "act.json"), "--profile", str(profile), "--yes"]) == 0
    said = capsys.readouterr().err
    assert "version.breaks-grant" in said
    assert "version.columns" in said
    assert "column pm25 goes" in said
    assert shared_city.grants["air-planning"] in said


@pytest.mark.parametrize("many", [False, True])
def test_terms_that_depend_on_who_is_in_a_collection_are_not_recorded(shared_city: City, many: bool) -> None:
    """The service stores no memberships: a recipient excluded through a collection would get access."""

    def without(*recipients: str) -> dict[str, Any]:
        document = terms_of()
        document["permission"][0]["constraint"].append(
            {"leftOperand": "recipient", "operator": "isNoneOf", "rightOperand": list(recipients)}
        )
        return render(parse_terms(document))

    document = without(department_iri(3), "urn:civic:parties:companies")
    problem = refusal(shared_city, batch(granting(document)) if many else granting(document), "steward")
    assert (problem["code"], problem["status"]) == ("terms.collection", 400)
    assert problem["pointer"] == "/documents/0/permission/0/constraint/2"
    assert "urn:civic:parties:companies" in problem["detail"]
    assert "集合" in problem["zh"]["title"]
    single = granting(without(department_iri(3), department_iri(4)))
    assert handed_in(shared_city, single, "steward")["state"] == "recorded"


def test_filter_over_texts_with_several_spellings_gets_a_warning_with_their_number(
    city: City, tmp_path: Path
) -> None:
    """The warning comes before signing, from published data, and again when the act is submitted."""
    entry = entry_of(city, AIR)
    names = [field["name"] for field in entry["schema"]["fields"]]
    rows = [
        ["x" if name != "district" else text for name in names] for text in ("west", "west ", "ｗest", "east")
    ]
    file = tmp_path / "air.csv"
    file.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    handed_in(city, draft_version(AIR, 2, entry | {"source": source_of(file)}), "steward")
    owner = city.of(ENVIRONMENT).civic
    owner.upload(AIR, file)
    until = time.monotonic() + 30
    while owner.dataset(AIR)["version"] != 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert {"column": "district", "values": 1} in owner.dataset(AIR)["spellings"]
    draft = granting(terms_of(rows={"column": "district", "op": "eq", "value": "west"}))
    act_with_documents = ActWithDocuments(
        draft.type, draft.message, draft.documents, draft.arguments, PublishedCatalogue(owner)
    )
    [drafted] = [one.to_json() for one in must_fit(act_with_documents) if one.code == "terms.spelling"]
    answer = handed_in(city, draft, "steward")
    [recorded] = [one for one in answer["warnings"] if one["code"] == "terms.spelling"]
    assert drafted == recorded
    assert "in the data: 1." in recorded["detail"]
    assert "1 个值" in recorded["detail_zh"]
    assert "west" not in recorded["detail"] + recorded["detail_zh"]
