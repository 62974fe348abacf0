"""Delegated grants: a call is permitted only if the terms of every ancestor permit it as well."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access_policy.analysis.narrowing import implies, wider
from access_policy.analysis.reach import what_can, who_can
from access_policy.analysis.redecide import RecordedDecision, record, replay
from access_policy.analysis.space import space_of
from access_policy.decision.answers import Context, Deny, Permit
from access_policy.decision.combined import combined
from access_policy.decision.compiled import compile_grant
from access_policy.decision.engine import Engine, decide
from access_policy.explain.wording import explain
from access_policy.terms.agreement import Agreement, canonical, parse_terms
from access_policy.terms.rows import And, parse_rows
from access_policy.terms.slots import pin_of
from access_policy.terms.templates import duty
from access_policy.terms.transforms import Band, Clamp, Keep, Ladder, Mask, Pseudonym, Round, Truncate
from access_policy.terms.vocabulary import call_purposes

from . import generators
from .cases import NOON, ask, ban, permission, terms, when

PARENT, CHILD, GRANDCHILD = "0xparent", "0xchild", "0xgrandchild"
ACCOMPLICE = "urn:civic:dept:12"
OLD = {"@type": "@json", "@value": {"column": "age", "op": "gteq", "value": 90}}
RESEARCH = when("purpose", "isA", "dpv:ScientificResearch")
WIDE = ("age", "citizen_id", "surname", "diagnosis", "income")


def parsed(document: dict[str, Any]) -> Agreement:
    read = parse_terms(document)
    assert isinstance(read, Agreement)
    return read


def parent(*columns: str, assignee: str = "urn:civic:dept:9", **more: Any) -> Agreement:
    return parsed(terms(permission(*(columns or ("age",)), **more), assignee=assignee))


def under(
    child: Agreement, *above: Agreement, context: Context | None = None, **changes: Any
) -> Permit | Deny:
    """The answer to a call of the child's grantee; ``above`` from its parent on."""
    ids = (PARENT, GRANDCHILD, "0xthird", "0xfourth")
    chain = tuple((ids[i], one) for i, one in enumerate(above))
    request = ask(**{"assignee": child.assignee.id, "columns": (), **changes})
    return decide(request, {CHILD: child}, context or Context(NOON), ancestors={CHILD: chain})


def of_a_stranger(*columns: str, **more: Any) -> Agreement:
    return parent(*(columns or WIDE), assignee=ACCOMPLICE, **more)


def codes(answer: Permit | Deny) -> list[tuple[str, str | None]]:
    assert isinstance(answer, Deny), answer
    return [(reason.code, reason.ancestor) for reason in answer.reasons]


def test_wide_child_permits_no_more_than_its_parent() -> None:
    above = parent(rows=OLD, constraint=[RESEARCH])
    for child in (of_a_stranger(), parent(*WIDE)):
        assert codes(under(child, above, purpose="dpv:Marketing")) == [("purpose.mismatch", PARENT)]
        assert codes(under(child, above, columns=("citizen_id", "income"))) == [
            ("column.not-granted", PARENT)
        ]
        assert codes(under(child, above, columns=("age",), filter_columns=("income",))) == [
            ("column.not-granted", PARENT)
        ]
        answer = under(child, above)
        assert isinstance(answer, Permit)
        assert (answer.grant, answer.columns) == (CHILD, ("age",))
        assert answer.row_filter == parse_rows(OLD["@value"])
    (reason,) = under(of_a_stranger("income"), above).reasons
    assert (reason.code, reason.ancestor) == ("column.not-granted", PARENT)
    assert (reason.seen, reason.wanted) == ("income", "age")


def test_bounds_of_all_ancestors_apply() -> None:
    end = when("dateTime", "lt", "2026-06-01T13:00:00Z")
    root = parent("age", "surname", "income", rows=OLD, constraint=[end, when("count", "lteq", 9)], cohort=20)
    masked = {"@type": "@json", "@value": {"surname": {"type": "mask"}}}
    middle = parent("age", "surname", transforms=masked, duty=[duty("delete", before=False)], epsilon="0.5")
    north = {"@type": "@json", "@value": {"column": "state", "op": "eq", "value": "nsw"}}
    leaf = of_a_stranger(rows=north, cohort=10, duty=[duty("report", before=False)])
    answer = under(leaf, middle, root)
    assert isinstance(answer, Permit)
    assert answer.columns == ("age", "surname")
    assert answer.row_filter == And((parse_rows(north["@value"]), parse_rows(OLD["@value"])))
    assert answer.transforms == {"surname": Mask()}
    assert answer.protected
    # A column that an ancestor transforms hides the source order, even if the call does not request it.
    assert under(leaf, middle, root, columns=("age",)).protected
    assert not under(leaf, root, columns=("age",)).protected
    assert dict(answer.options) == {"cohort": 20, "epsilon": "0.5"}
    assert [d.id for d in answer.duties] == [f"{CHILD}#report", f"{PARENT}#delete"]
    assert answer.max_uses == 9
    assert answer.until is not None
    assert answer.until.hour == 13


@pytest.mark.parametrize(
    ("above", "changes", "code"),
    [
        ({"constraint": [when("dateTime", "lt", NOON.isoformat())]}, {}, "grant.expired"),
        ({"constraint": [when("dateTime", "gt", NOON.isoformat())]}, {}, "grant.not-yet-valid"),
        ({"constraint": [when("legalBasis", "isA", "dpv:Consent")]}, {}, "attribute.missing"),
        (
            {"constraint": [when("spatial", "isPartOf", "310000")]},
            {"attributes": {"spatial": "320000"}},
            "area.mismatch",
        ),
        (
            {"constraint": [when("fileFormat", "eq", "text/csv")]},
            {"attributes": {"fileFormat": "a/b"}},
            "format.mismatch",
        ),
        ({"action": "aggregate"}, {}, "action.not-granted"),
        ({"duty": [duty("assess")]}, {}, "duty.unfulfilled"),
        (
            {"constraint": [when("count", "lteq", 2)]},
            {"context": Context(NOON, {PARENT: 2})},
            "uses.exhausted",
        ),
        (
            {"constraint": [when("elapsedTime", "lteq", "PT1H")]},
            {"context": Context(NOON, {PARENT: 1}, first_used={PARENT: NOON.replace(hour=9)})},
            "period.elapsed",
        ),
    ],
)
def test_conditions_of_ancestors_apply_to_the_call(
    above: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    refusing, plain = parent(*WIDE, **above), parent(*WIDE)
    for chain in ((refusing,), (plain, refusing), (refusing, plain), (plain, plain, refusing)):
        answer = under(of_a_stranger(), *chain, **changes)
        name = (PARENT, GRANDCHILD, "0xthird")[chain.index(refusing)]
        if code in ("uses.exhausted", "period.elapsed") and name != PARENT:
            continue  # The use is given for the parent's id only.
        assert codes(answer) == [(code, name)]


def test_prohibitions_of_an_ancestor_apply_to_descendants() -> None:
    shared = {"assignee": "urn:civic:dept:9"}
    rule = permission(*WIDE)
    whole = parsed(
        terms(rule, prohibition=[ban(constraint=[when("purpose", "isA", "dpv:Marketing")])], **shared)
    )
    assert codes(under(of_a_stranger(), whole, purpose="dpv:Marketing")) == [("prohibition.matched", PARENT)]
    column = parsed(terms(rule, prohibition=[ban("income")], **shared))
    assert codes(under(of_a_stranger(), column, columns=("age", "income"))) == [
        ("prohibition.matched", PARENT)
    ]
    assert "income" not in under(of_a_stranger(), column).columns
    rows = parsed(terms(rule, prohibition=[ban(rows=OLD)], **shared))
    assert under(of_a_stranger(), rows).row_filter is not None
    won = parsed(terms(rule, prohibition=[ban("income")], conflict="perm", **shared))
    assert "income" in under(of_a_stranger(), won).columns
    void = parsed(terms(rule, prohibition=[ban("income")], conflict="invalid", **shared))
    assert codes(under(of_a_stranger(), void)) == [("policy.conflict", PARENT)]


def test_child_rule_permitted_by_the_ancestors_is_used() -> None:
    child = parsed(terms(permission("income"), permission("age", "surname"), assignee=ACCOMPLICE))
    answer = under(child, parent("age", "surname"))
    assert isinstance(answer, Permit)
    assert answer.columns == ("age", "surname")
    two = parsed(terms(permission("income"), permission("age", "surname"), assignee="urn:civic:dept:9"))
    assert under(of_a_stranger("surname"), two).columns == ("surname",)


YEAR, MONTH = Truncate("year"), Truncate("month")
FINE = Ladder((("a", "x"), ("b", "x"), ("c", "y")))
BROAD = Ladder((("a", "z"), ("b", "z"), ("c", "z")))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Keep(), YEAR, YEAR),
        (MONTH, YEAR, YEAR),
        (Pseudonym(), Pseudonym(), Pseudonym()),
        (Clamp(10, 90), Clamp(20, None), Clamp(20, 90)),
        (FINE, BROAD, BROAD),
        (Mask(1, 2), Mask(0, 0), Mask(0, 0)),
        (Band(10), Band(5), Band(10)),
        (Band(10, 3), Band(5), None),
        (Band(0.5), Band(0.25), None),
        (Mask(1, 0), Mask(0, 1), None),
        (Mask(2, 2), Mask(1, 0), None),
        (Clamp(None, 10), Clamp(20, None), None),
        (Round(5), Round(10), None),
        (Pseudonym(), Mask(1, 0), None),
        (Pseudonym(), YEAR, None),
        (FINE, Ladder((("a", "x"), ("b", "y"), ("c", "y"))), None),
    ],
)
def test_two_transforms_are_joined_to_the_stricter_one(one: Any, other: Any, both: Any) -> None:
    assert combined(one, other) == combined(other, one) == both


def test_transforms_that_cannot_be_joined_refuse_the_call() -> None:
    def protected(transform: dict[str, Any]) -> dict[str, Any]:
        return {"@type": "@json", "@value": {"surname": transform}}

    child = of_a_stranger("age", "surname", transforms=protected({"type": "pseudonym"}))
    above = parent("age", "surname", transforms=protected({"type": "mask", "keep_first": 1}))
    answer = under(child, above)
    assert codes(answer) == [("transform.incompatible", PARENT)]
    assert isinstance(under(child, above, columns=("age",)), Permit)
    # A column that is only filtered on is compared by its released values.
    assert codes(under(child, above, columns=("age",), filter_columns=("surname",))) == [
        ("transform.incompatible", PARENT)
    ]


def test_a_refusal_names_the_ancestor_in_both_languages() -> None:
    answer = under(of_a_stranger(), parent(constraint=[RESEARCH]), purpose="dpv:Marketing")
    assert f"Grant {PARENT}, from which this one was delegated, refuses: The purpose" in explain(answer, "en")
    assert f"上级授权 {PARENT} 不予提供：用途" in explain(answer, "zh")
    assert PARENT in explain(answer, "en", redacted=True)


def test_removed_grant_removes_its_chain() -> None:
    engine = Engine()
    child = of_a_stranger()
    engine.add(CHILD, child, ancestors=((PARENT, parent()),))
    asked = ask(assignee=ACCOMPLICE, columns=("income",))
    assert isinstance(engine.decide(asked, Context(NOON)), Deny)
    engine.add(CHILD, child)
    assert isinstance(engine.decide(asked, Context(NOON)), Permit)


def test_decision_under_a_chain_is_replayed_with_its_chain() -> None:
    child, above = of_a_stranger(), parent(constraint=[RESEARCH])
    request = ask(assignee=ACCOMPLICE, columns=("age",), purpose="dpv:Marketing")
    recorded = json.loads(json.dumps(record(request, Context(NOON))))
    said = RecordedDecision("deny", None, ("purpose.mismatch",))
    chain = {CHILD: ((PARENT, canonical(above)),)}
    assert replay(recorded, {CHILD: canonical(child)}, said, chain).verdict == "same"
    assert (
        replay(recorded, {CHILD: canonical(child)}, RecordedDecision("permit", CHILD), chain).verdict
        == "different"
    )
    assert replay(recorded, {CHILD: canonical(child)}, said).verdict == "different"


def test_who_can_and_what_can_know_the_chain() -> None:
    child, above = of_a_stranger(), parent("age", constraint=[RESEARCH])
    chain = {CHILD: ((PARENT, above),)}
    asked = ("urn:civic:asset:3.12", "read")
    (way,) = who_can(*asked, "dpv:ScientificResearch", NOON, {CHILD: child}, ancestors=chain)
    assert (way.assignee, way.columns) == (ACCOMPLICE, ("age",))
    assert who_can(*asked, "dpv:Marketing", NOON, {CHILD: child}, ancestors=chain) == ()
    found = what_can(ACCOMPLICE, {CHILD: child}, NOON, ancestors=chain)
    assert {(one.action, one.purposes, one.columns) for one in found} == {
        ("read", ("dpv:ScientificResearch",), ("age",))
    }


# --- wider terms -----------------------------------------------------------------------------------------------------
# ---------------------------------------------------------------------------------------------------


def test_wider_terms_are_named() -> None:
    end = when("dateTime", "lt", "2027-01-01T00:00:00Z")
    above = parent("age", "surname", rows=OLD, constraint=[RESEARCH, end, when("count", "lteq", 5)])
    found = {one.code: one for one in wider(of_a_stranger(), above)}
    assert set(found) == {
        "column.not-granted",
        "grant.expired",
        "purpose.mismatch",
        "rows.wider",
        "uses.exhausted",
    }
    assert set(found["column.not-granted"].seen) == {"citizen_id", "diagnosis", "income"}
    masked = {"@type": "@json", "@value": {"surname": {"type": "mask"}}}
    protected = parent("age", "surname", transforms=masked, cohort=10, epsilon="0.5")
    assert [one.code for one in wider(of_a_stranger("age", "surname"), protected)] == [
        "cohort.smaller",
        "epsilon.larger",
        "transform.weaker",
    ]


def test_actions_and_columns_are_compared_whatever_the_conditions() -> None:
    """Also if the conditions distinguish too many calls to enumerate."""
    many = [
        {"or": [when("spatial", "eq", f"{110000 + n}") for n in range(1, 99)]},
        {"or": [when("purpose", "eq", p) for p in sorted(call_purposes())]},
        when("fileFormat", "isAnyOf", ["text/a", "text/z"]),
        when("fileFormat", "neq", "text/a"),
        {"or": [when("recipient", "eq", f"urn:civic:dept:{n}") for n in range(1, 5)]},
    ]
    child = of_a_stranger("age", "income", action=["use", "redistribute"], constraint=many)
    found = {one.code: one.seen for one in wider(child, parent())}
    assert found["action.not-granted"] == ("aggregate", "derive", "match", "redistribute", "use")
    assert found["column.not-granted"] == ("income",)


def test_terms_that_are_narrower_or_the_same_are_not_wider() -> None:
    masked = {"@type": "@json", "@value": {"surname": {"type": "mask", "keep_first": 1}}}
    above = parent(
        "age", "surname", rows=OLD, transforms=masked, constraint=[RESEARCH], duty=[duty("assess")], cohort=5
    )
    hidden = {"@type": "@json", "@value": {"surname": {"type": "mask"}}}
    older = {"@type": "@json", "@value": {"column": "age", "op": "gt", "value": 95}}
    both = {
        "@type": "@json",
        "@value": {"and": [{"column": "state", "op": "eq", "value": "nsw"}, OLD["@value"]]},
    }
    for child in (
        of_a_stranger("age", "surname", rows=OLD, transforms=masked, constraint=[RESEARCH], cohort=5),
        of_a_stranger("surname", rows=older, transforms=hidden, constraint=[RESEARCH], cohort=5),
        of_a_stranger("age", rows=both, constraint=[RESEARCH, when("count", "lteq", 3)], cohort=6),
    ):
        assert wider(child, above) == ()


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ({"column": "a", "op": "gteq", "value": 5}, {"column": "a", "op": "gt", "value": 4}, True),
        ({"column": "a", "op": "gteq", "value": 4}, {"column": "a", "op": "gt", "value": 4}, False),
        (
            {"column": "a", "op": "in", "value": ["x", "y"]},
            {"column": "a", "op": "in", "value": ["x", "y", "z"]},
            True,
        ),
        (
            {"column": "a", "op": "neq", "value": "x"},
            {"not": {"column": "a", "op": "eq", "value": "x"}},
            True,
        ),
        ({"column": "a", "op": "isNull"}, {"column": "a", "op": "neq", "value": "x"}, False),
        (
            {"not": {"column": "a", "op": "isNull"}},
            {"or": [{"column": "a", "op": "lt", "value": 3}, {"column": "a", "op": "gteq", "value": 3}]},
            True,
        ),
        ({"column": "b", "op": "eq", "value": 1}, {"column": "a", "op": "eq", "value": 1}, False),
        ({"column": "a", "op": "eq", "value": 1}, {"column": "a", "op": "eq", "value": "1"}, False),
        ({"column": "a", "op": "lt", "value": "2020"}, {"column": "a", "op": "lt", "value": "2021-06"}, True),
    ],
)
def test_filters_of_rows_are_compared_by_the_rows_they_keep(narrow: Any, wide: Any, expected: bool) -> None:
    assert implies(parse_rows(narrow), parse_rows(wide)) is expected
    assert not implies(None, parse_rows(wide))


# --- random chains ---------------------------------------------------------------------------------------------------

sources = st.integers(0, 2**32 - 1).map(random.Random)


@settings(max_examples=150, deadline=None)
@given(sources)
def test_a_leaf_permits_nothing_that_an_ancestor_denies(rng: random.Random) -> None:
    city = generators.city(rng, 6)
    grants = {name: parsed(document) for name, document in city.grants.items()}
    names = list(grants)
    engine, chains = Engine(), {}
    for leaf in names:
        above = rng.sample([n for n in names if n != leaf], rng.randint(1, 3))
        # A chain is about one asset, so the ancestors get the asset of the leaf.
        chains[leaf] = tuple((n, _moved(grants[n], grants[leaf])) for n in above)
        engine.add(leaf, grants[leaf], ancestors=chains[leaf])
    for _ in range(40):
        request, context = generators.call(rng, city)
        if rng.random() < 0.3:
            request = replace(request, columns=())
        answer = engine.decide(request, context)
        if isinstance(answer, Deny):
            assert all(reason.ancestor is None or reason.grant in chains for reason in answer.reasons)
            continue
        for name, terms_above in chains[answer.grant]:
            alone = parsed_for(terms_above, request.assignee)
            asked = replace(request, columns=answer.columns)
            above = decide(asked, {name: alone}, context)
            assert isinstance(above, Permit), (name, above)
            assert set(answer.columns) <= set(above.columns)
            for column in answer.columns:
                own = answer.transforms.get(column, Keep())
                assert combined(own, above.transforms.get(column, Keep())) == own
            if above.row_filter is not None:
                assert implies(answer.row_filter, above.row_filter)
            assert {d.id for d in above.duties} <= {d.id for d in answer.duties}


def _moved(above: Agreement, leaf: Agreement) -> Agreement:
    asset = leaf.permissions[0].target.asset
    moved = [
        tuple(replace(rule, target=replace(rule.target, asset=asset)) for rule in rules)
        for rules in (above.permissions, above.prohibitions)
    ]
    return replace(above, permissions=moved[0], prohibitions=moved[1])


def parsed_for(agreement: Agreement, assignee: str) -> Agreement:
    """The same terms, granted to the caller, because every ancestor is evaluated regardless of its
    grantee."""
    assert agreement.assignee is not None
    return replace(agreement, assignee=replace(agreement.assignee, id=assignee))


@settings(max_examples=60, deadline=None)
@given(sources)
def test_terms_that_are_not_wider_lose_no_call_under_those_above(rng: random.Random) -> None:
    city = generators.city(rng, 3)
    above, child = (parsed(city.grants[name]) for name in ("g0", "g1"))
    child = parsed_for(
        _moved(child, above) if rng.random() < 0.7 else _narrower(above, rng), "urn:civic:dept:2"
    )
    above = parsed_for(above, "urn:civic:dept:1")
    alike = (compile_grant("grant", child), compile_grant("grant", parsed_for(above, "urn:civic:dept:2")))
    if wider(child, above) or not space_of(alike, with_duties=False).exhaustive:
        return
    calls = (generators.call(rng, city) for _ in range(40))
    for request, context in calls:
        used = {k: context.used.get("g0", 0) for k in ("g0", "g1")}
        first = {k: context.first_used["g0"] for k in used if "g0" in context.first_used}
        duties = {
            f"{k}{d.uid}": "fulfilled"
            for k, t in (("g0", above), ("g1", child))
            for p in t.permissions
            for d in p.duties
        }
        told = Context(context.now, used, duties, context.collections, first)
        asked = replace(request, assignee="urn:civic:dept:2")
        alone = decide(asked, {"g1": child}, told)
        if isinstance(alone, Permit):
            if alone.version is not None and any(pin_of(rule) != alone.version for rule in above.permissions):
                continue  # A pin below a grant without one ends with its version; the signer is warned.
            chain = {"g1": (("g0", above),)}
            assert isinstance(decide(asked, {"g1": child}, told, ancestors=chain), Permit)


def _narrower(above: Agreement, rng: random.Random) -> Agreement:
    rules = tuple(
        replace(rule, target=replace(rule.target, columns=rule.target.columns[:1], transforms=()))
        for rule in above.permissions
    )
    return replace(above, permissions=rules)
