"""Delegated grants: a delegated grant gives no access that the grants above it do not give."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from access_policy.terms.agreement import parse_terms, render
from access_policy.terms.templates import agreement
from access_policy.terms.vocabulary import purposes
from api.cli.main import main
from api.demo.city import City, hand_in
from api.demo.governing import RESEARCH
from api.demo.participants import AUDIT, EDUCATION, ELDER_CARE, HEALTH, PLANNING, Part
from api.sdk.drafts import (
    ActDraft,
    acceptance_of,
    draft_grant,
    draft_replacement,
    draft_revocation,
    sign_act,
)
from api.sdk.errors import ServiceProblem
from ledger.ids import asset_iri, department_iri, parse_asset
from tests.e2e.test_who_writes_the_database import database

OLD = {"column": "age", "op": "gteq", "value": 90}
OF_NINETY = 43
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
END = BEGIN + timedelta(days=30)
MARKETING = "dpv:Marketing"


def terms(giver: Part, taker: Part, asset: str, **more: Any) -> dict[str, Any]:
    usual = {"columns": ("age",), "purposes": (RESEARCH,), "rows": OLD, "not_before": BEGIN, "expiry": END}
    return agreement(
        department_iri(giver.number),
        department_iri(taker.number),
        asset_iri(parse_asset(asset)),
        **{**usual, **more},
    )


@dataclass(frozen=True)
class Chain:
    """A chain of delegated grants, the newest last."""

    city: City
    asset: str
    links: tuple[ActDraft, ...] = ()
    holders: tuple[Part, ...] = (PLANNING,)

    def draft(self, taker: Part, document: Mapping[str, Any] | None = None, **more: Any) -> ActDraft:
        document = terms(self.holders[-1], taker, self.asset, **more) if document is None else document
        drafted = draft_grant(
            self.asset,
            taker.number,
            document,
            not_before=int(BEGIN.timestamp()),
            expiry=int(END.timestamp()),
            max_uses=more.get("max_uses") or (1 << 32) - 1,
            depth=5 - len(self.links),
            parent=self.links[-1].id if self.links else "0x" + 64 * "0",
        )
        if not self.links:
            return drafted
        return replace(drafted, arguments={"chain": [dict(link.message) for link in reversed(self.links)]})

    def to(self, taker: Part, document: Mapping[str, Any] | None = None, **more: Any) -> Chain:
        """Add a delegated grant: signed, recorded, accepted."""
        accepting = more.pop("accept", True)
        drafted = self.draft(taker, document, **more)
        giver = self.city.of(self.holders[-1])
        hand_in(self.city, giver, drafted, [giver.secrets["steward"], giver.secrets["cdo"]])
        made = Chain(self.city, self.asset, (*self.links, drafted), (*self.holders, taker))
        if accepting:
            made.accept()
        return made

    def accept(self) -> None:
        grantee = self.city.of(self.holders[-1])
        signed = sign_act(
            acceptance_of(self.links[-1].message), self.city.trust, [grantee.secrets["steward"]]
        )
        grantee.civic.accept(self.links[-1].id, signed.signatures[0])

    @property
    def id(self) -> str:
        return self.links[-1].id

    def read(self, purpose: str = RESEARCH, query: Mapping[str, Any] | None = None, **more: Any) -> list[Any]:
        caller = self.city.of(self.holders[-1]).civic
        return list(caller.read(self.asset, purpose, query or {}, grant=self.id, **more).rows())

    def refusal(
        self, purpose: str = RESEARCH, query: Mapping[str, Any] | None = None, **more: Any
    ) -> ServiceProblem:
        with pytest.raises(ServiceProblem) as refused:
            self.read(purpose, query, **more)
        return refused.value


@pytest.fixture
def chain(shared_city: City) -> Chain:
    """A grant of ages of ninety and more to health, for research."""
    return Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH)


def reasons(problem: ServiceProblem) -> list[tuple[str, str | None]]:
    return [(one["code"], one.get("ancestor")) for one in problem.document["reasons"]]


WIDE = {"columns": ("person_no", "age", "sex", "income_class"), "purposes": (), "rows": None}


@pytest.mark.parametrize("taker", [EDUCATION, HEALTH])
def test_a_wider_delegation_is_refused_with_what_is_wider(chain: Chain, taker: Part) -> None:
    giver = chain.city.of(HEALTH)
    drafted = chain.draft(taker, **WIDE)
    with pytest.raises(ServiceProblem) as refused:
        hand_in(chain.city, giver, drafted, [giver.secrets["steward"], giver.secrets["cdo"]])
    problem = refused.value
    assert (problem.code, problem.document["ancestor"]) == ("terms.wider-than-parent", chain.id)
    assert {one["code"] for one in problem.document["wider"]} == {
        "column.not-granted",
        "purpose.mismatch",
        "rows.wider",
    }
    assert "income_class" in problem.document["detail"]
    assert problem.document["zh"]["title"]
    with pytest.raises(ServiceProblem) as unknown:
        giver.civic.grant(drafted.id)
    assert unknown.value.code == "not-found.grant"


def hidden(giver: Part, taker: Part, asset: str) -> dict[str, Any]:
    """Terms for any purpose and every row, with so many conditions that no analysis can enumerate them: any
    of many purposes, at any of many places."""

    def any_of(operand: str, values: Sequence[str]) -> dict[str, Any]:
        return {"or": [{"leftOperand": operand, "operator": "eq", "rightOperand": value} for value in values]}

    document = terms(giver, taker, asset, purposes=(), rows=None)
    document["permission"][0]["constraint"] += [
        {"leftOperand": "fileFormat", "operator": "isAnyOf", "rightOperand": ["text/a", "application/json"]},
        {"leftOperand": "fileFormat", "operator": "neq", "rightOperand": "text/a"},
        any_of("purpose", [p for p in sorted(purposes().concepts) if p != "dpv:Purpose"]),
        any_of("spatial", [f"{110000 + n}" for n in range(1, 99)]),
        any_of("recipient", [department_iri(n) for n in range(1, 5)]),
    ]
    return render(parse_terms(document))


CALL = {"attributes": {"fileFormat": "application/json", "spatial": "110001", "recipient": department_iri(1)}}


@pytest.mark.parametrize("taker", [EDUCATION, HEALTH])
def test_recorded_wider_delegation_gives_no_more_access(chain: Chain, taker: Part) -> None:
    wide = chain.to(taker, hidden(HEALTH, taker, chain.asset))
    everything = {"columns": ["age"], "limit": 3000}
    problem = wide.refusal(MARKETING, everything, **CALL)
    assert reasons(problem) == [("purpose.mismatch", chain.id)]
    assert chain.id in json.dumps(problem.document["explanation"]["en"])
    assert "上级授权" in json.dumps(problem.document["explanation"]["zh"], ensure_ascii=False)
    assert wide.read(query={"where": {"column": "age", "op": "lt", "value": 90}}, **CALL) == []
    rows = wide.read(**CALL)
    assert len(rows) == OF_NINETY
    assert {tuple(row) for row in rows} == {("age",)}
    assert all(row["age"] >= 90 for row in rows)
    further = wide.to(ELDER_CARE, hidden(taker, ELDER_CARE, chain.asset))
    assert reasons(further.refusal(MARKETING, **CALL)) == [("purpose.mismatch", chain.id)]
    assert len(further.read(**CALL)) == OF_NINETY


def test_stated_format_must_be_the_answers_format(shared_city: City) -> None:
    """Regression: terms that require CSV accepted a call that stated CSV and received JSON."""
    document = terms(PLANNING, HEALTH, shared_city.assets["census_extract"])
    document["permission"][0]["constraint"].append(
        {"leftOperand": "fileFormat", "operator": "eq", "rightOperand": "text/csv"}
    )
    chain = Chain(shared_city, shared_city.assets["census_extract"])
    chain = chain.to(HEALTH, render(parse_terms(document)))
    read = shared_city.of(HEALTH).civic.read
    for taken, stated, code in (
        ("application/json", "text/csv", "request.format"),
        ("text/csv", "application/json", "request.format"),
        ("application/json", "application/json", "format.mismatch"),
        ("text/csv", None, "attribute.missing"),
    ):
        attributes = {} if stated is None else {"fileFormat": stated}
        with pytest.raises(ServiceProblem) as refused:
            read(chain.asset, RESEARCH, grant=chain.id, media_type=taken, attributes=attributes)
        assert code in (
            refused.value.code,
            *(one["code"] for one in refused.value.document.get("reasons", [])),
        )
    csv = read(
        chain.asset, RESEARCH, grant=chain.id, media_type="text/csv", attributes={"fileFormat": "TEXT/csv"}
    )
    assert csv.body.startswith(b'"age"')


def who_can(chain: Chain, purpose: str = RESEARCH) -> dict[str, Any]:
    url = chain.city.service.url
    answer = httpx.get(f"{url}/v1/policy/who-can", params={"asset": chain.asset, "purpose": purpose})
    return {one["terms"]: one for one in answer.json()["who"]}


def test_who_can_respects_the_grants_above(chain: Chain) -> None:
    child = chain.to(EDUCATION, hidden(HEALTH, EDUCATION, chain.asset))
    assert who_can(chain)[child.id]["columns"] == ["age"]
    assert chain.id in who_can(chain)
    assert child.id not in who_can(chain, MARKETING)


def test_a_use_counts_for_every_grant_above(shared_city: City) -> None:
    root = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH, max_uses=3)
    child = root.to(EDUCATION, max_uses=2)
    assert len(root.read()) == OF_NINETY
    assert root.refusal().code == "uses.taken"
    assert (
        len(child.read(idempotency_key="the-first-call-of-all"))
        == len(child.read(idempotency_key="the-first-call-of-all"))
        == OF_NINETY
    )
    assert len(child.read(idempotency_key="the-second-of-all-calls")) == OF_NINETY
    assert child.refusal().code == "uses.exhausted"


def test_two_children_share_the_uses_of_the_terms_above(shared_city: City) -> None:
    """The slot limits only terms in which every permission has a limit; a single permission may have a smaller one."""
    root = Chain(shared_city, shared_city.assets["census_extract"])
    document = terms(PLANNING, HEALTH, root.asset, max_uses=1)
    (bounded,) = document["permission"]
    free = terms(PLANNING, HEALTH, root.asset, columns=("sex",))["permission"]
    above = root.to(HEALTH, render(parse_terms(document | {"permission": [bounded, *free]})))
    first = above.to(EDUCATION, max_uses=1)
    second = above.to(ELDER_CARE, max_uses=1)
    assert len(first.read()) == OF_NINETY
    assert reasons(second.refusal(query={"columns": ["age"]})) == [("uses.exhausted", above.id)]
    assert above.refusal(query={"columns": ["age"]}).code == "uses.exhausted"
    assert len(above.read(query={"columns": ["sex"]})) == OF_NINETY


def test_a_grant_is_in_force_only_while_those_above_it_are(shared_city: City) -> None:
    root = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH, accept=False)
    middle = root.to(EDUCATION)
    leaf = middle.to(ELDER_CARE)
    for one in (middle, leaf):
        assert reasons(one.refusal()) == [("grant.ancestor-not-accepted", root.id)]
    root.accept()
    assert len(leaf.read()) == OF_NINETY
    health = shared_city.of(HEALTH)
    drafted = replace(draft_revocation(middle.id), arguments={"t": dict(middle.links[-1].message)})
    hand_in(shared_city, health, drafted, [health.secrets["steward"]])
    problem = leaf.refusal()
    assert reasons(problem) == [("grant.ancestor-revoked", middle.id)]
    assert "was revoked" in problem.document["detail"]
    assert len(root.read()) == OF_NINETY


def test_delegator_revokes_its_delegated_grant_by_command(
    shared_city: City, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: the contract accepts this revocation only with the Terms, which the command did not send."""
    root = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH)
    first, second = root.to(EDUCATION), root.to(ELDER_CARE)
    for part, ended in ((HEALTH, first), (PLANNING, second)):
        assert len(ended.read()) == OF_NINETY
        profile = str(shared_city.of(part).directory)
        code = main(["revoke", ended.id, "--profile", profile, "--key", "steward", "--yes", "--json"])
        assert code == 0, capsys.readouterr().out
        assert ended.refusal().code == "grant.revoked", (
            "others of the shared city may stand: this one was named"
        )
        assert shared_city.of(HEALTH).civic.grant(ended.id)["status"] == "revoked"


def test_decision_under_a_chain_is_replayed_with_the_same_result(chain: Chain, tmp_path: Path) -> None:
    leaf = chain.to(EDUCATION).to(ELDER_CARE, hidden(EDUCATION, ELDER_CARE, chain.asset))
    leaf.read(**CALL)
    leaf.refusal(MARKETING, **CALL)
    auditor = chain.city.of(AUDIT).civic
    entries = [
        {"entry": item["entry"], "disclosures": auditor.openings(item["index"])}
        for item in auditor.entries(type="gateway:read:decided")
        if leaf.id in item["entry"].get("candidates", ())
    ]
    assert [one["entry"]["decision"] for one in entries] == ["permit", "deny"]
    grants = {}
    for link in leaf.links:
        known = auditor.grant(link.id)
        grants[link.id] = {"terms": known["terms"], "agreement": known["agreement"]}
    assert replayed(tmp_path, entries, grants) == {"same": 2, "different": 0, "not_replayable": 0}
    del grants[chain.id]
    assert replayed(tmp_path, entries, grants) == {"same": 0, "different": 0, "not_replayable": 2}


def replaced(old: Chain, **more: Any) -> Chain:
    """The newer grant with which planning replaced a direct one."""
    newer = Chain(old.city, old.asset).to(old.holders[-1], **more)
    planning = old.city.of(PLANNING)
    hand_in(old.city, planning, draft_replacement(old.id, newer.id), [planning.secrets["steward"]])
    return newer


def test_narrower_replacement_narrows_delegated_grants(shared_city: City, tmp_path: Path) -> None:
    """Regression: columns that only the newer agreement omits were still readable below."""
    old = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH, columns=("age", "sex"))
    middle = old.to(EDUCATION, columns=("age", "sex"))
    leaf = middle.to(ELDER_CARE, columns=("age", "sex"))
    both, age = {"columns": ["age", "sex"]}, {"columns": ["age"]}
    for one in (middle, leaf):
        assert len(one.read(query=both)) == OF_NINETY
    between = replaced(old, columns=("age", "sex"))
    sexes = [row["sex"] for row in leaf.read(query=both)]
    one_sex = {"column": "sex", "op": "eq", "value": sexes[0]}
    newer = replaced(between, columns=("age", "income_class"), rows=one_sex)
    for one in (middle, leaf):
        found = one.read(query=age)
        assert {tuple(row) for row in found} == {("age",)}
        assert len(found) == sexes.count(sexes[0]) < OF_NINETY
        problem = one.refusal(query=both)
        assert reasons(problem) == [("column.not-granted", newer.id)]
        assert newer.id in json.dumps(problem.document["explanation"]["en"])
        assert who_can(one)[one.id]["columns"] == ["age"]
        # A replacement that permits more does not permit more to the delegated grants.
        assert one.refusal(query={"columns": ["income_class"]}).code == "column.not-granted"
    auditor = shared_city.of(AUDIT).civic
    told = auditor.readers(old.asset, "1")["could_contain"]
    rows = [one["filters"]["rows"] for one in told if leaf.id in one["entry"]["candidates"]]
    assert rows == [OLD, OLD, {"and": [OLD, one_sex]}]
    entries = [
        {"entry": item["entry"], "disclosures": auditor.openings(item["index"])}
        for item in auditor.entries(type="gateway:read:decided")
        if leaf.id in item["entry"].get("candidates", ())
    ]
    assert [one["entry"]["decision"] for one in entries] == ["permit"] * 3 + ["deny"] * 2
    grants = {}
    for one in (*leaf.links, *between.links, *newer.links):
        known = auditor.grant(one.id)
        grants[one.id] = {"terms": known["terms"], "agreement": known["agreement"]}
    assert replayed(tmp_path, entries, grants) == {"same": 5, "different": 0, "not_replayable": 0}
    del grants[newer.id]
    assert replayed(tmp_path, entries, grants) == {"same": 2, "different": 0, "not_replayable": 3}


def test_uses_below_a_replaced_grant_count_under_it_and_stop_when_the_newer_is_spent(
    shared_city: City,
) -> None:
    old = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH)
    child = old.to(EDUCATION)
    newer = replaced(old, max_uses=1)
    for _ in range(2):
        assert len(child.read()) == OF_NINETY
    key = "a-call-below-a-replaced-grant"
    assert len(child.read(idempotency_key=key)) == OF_NINETY
    assert len(newer.read()) == OF_NINETY
    for again in ({}, {"idempotency_key": key}):
        assert reasons(child.refusal(**again)) == [("uses.exhausted", newer.id)]


def test_below_a_replaced_grant_the_newer_agreement_must_be_stored(shared_city: City) -> None:
    old = Chain(shared_city, shared_city.assets["census_extract"]).to(HEALTH)
    child = old.to(EDUCATION)
    newer = replaced(old, rows=OLD | {"value": 89})
    named = (str(newer.links[-1].message["termsHash"]).removeprefix("0x"),)
    assert len(child.read()) == OF_NINETY
    with database(shared_city) as connection:
        [(good,)] = connection.execute("SELECT body FROM document WHERE sha256 = ?", named).fetchall()
        other = connection.execute("SELECT body FROM document WHERE sha256 <> ? LIMIT 1", named).fetchone()
    for body, code in ((b"", "terms-missing"), (other[0], "id-mismatch")):
        try:
            with database(shared_city) as connection:
                connection.execute("UPDATE document SET body = ? WHERE sha256 = ?", (body, *named))
            assert (f"grant.ancestor-{code}", newer.id) in reasons(child.refusal())
            assert child.city.of(EDUCATION).civic.grant(child.id)["status"] == f"ancestor-{code}"
        finally:
            with database(shared_city) as connection:
                connection.execute("UPDATE document SET body = ? WHERE sha256 = ?", (good, *named))
    assert len(child.read()) == OF_NINETY


def replayed(folder: Path, entries: list[Any], grants: Mapping[str, Any]) -> dict[str, int]:
    record = folder / "record.json"
    record.write_text(json.dumps({"entries": entries, "grants": grants}))
    command = [sys.executable, "-m", "api.cli.main", "policy", "replay", str(record), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[name] for name in ("same", "different", "not_replayable")}
