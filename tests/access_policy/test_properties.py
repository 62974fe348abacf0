"""Properties of terms and decisions, over random cities."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from access_policy.analysis.redecide import RecordedDecision, record, replay
from access_policy.analysis.report import compliance_report
from access_policy.decision.answers import Deny, Permit
from access_policy.decision.engine import Engine, decide
from access_policy.decision.reasons import CODES
from access_policy.errors import PolicyError
from access_policy.explain.wording import explain
from access_policy.terms.agreement import canonical, parse_terms, render, terms_hash

from . import generators


def examples(number: int) -> settings:
    return settings(
        max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )


many, some = examples(200), examples(60)
sources = st.integers(0, 2**32 - 1).map(random.Random)


def engine_of(grants: dict[str, Any]) -> Engine:
    engine = Engine()
    for grant, document in grants.items():
        engine.add(grant, parse_terms(document))
    return engine


def shuffled(rng: random.Random, value: Any) -> Any:
    """The same JSON with the members of every object in another order."""
    if isinstance(value, dict):
        return {k: shuffled(rng, v) for k, v in rng.sample(list(value.items()), len(value))}
    return [shuffled(rng, v) for v in value] if isinstance(value, list) else value


@many
@given(sources)
def test_terms_survive_a_round_trip_through_text(rng):
    document = generators.agreement(rng)
    terms = parse_terms(document)
    normal = render(terms)
    assert parse_terms(normal) == terms
    assert render(parse_terms(canonical(terms))) == normal
    assert json.loads(canonical(normal)) == normal


@many
@given(sources)
def test_the_hash_does_not_depend_on_spelling(rng):
    document = generators.agreement(rng)
    spellings = [
        shuffled(rng, document),
        json.dumps(document, indent=rng.randint(0, 4)).encode(),
        json.dumps(shuffled(rng, document), ensure_ascii=rng.random() < 0.5),
        render(parse_terms(document)),
    ]
    assert {terms_hash(s) for s in spellings} == {terms_hash(document)}


@many
@given(sources, sources)
def test_different_terms_have_different_hashes(one, other):
    a, b = parse_terms(generators.agreement(one)), parse_terms(generators.agreement(other))
    assert (terms_hash(a) == terms_hash(b)) == (a == b)


@some
@given(sources)
def test_the_order_in_which_grants_arrive_does_not_matter(rng):
    city = generators.city(rng, 6)
    orders = [list(city.grants.items()), rng.sample(list(city.grants.items()), len(city.grants))]
    engines = [engine_of(dict(order)) for order in orders]
    churned = engine_of(dict(orders[0]))
    for grant, document in orders[1][:3]:
        churned.revoke(grant)
        churned.add(grant, parse_terms(document))
    for _ in range(20):
        request, context = generators.call(rng, city)
        answers = [e.decide(request, context) for e in (*engines, churned)]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0] == decide(request, {g: parse_terms(d) for g, d in city.grants.items()}, context)


@some
@given(sources)
def test_adding_a_prohibition_never_permits_more(rng):
    city = generators.city(rng, 5)
    wider = copy.deepcopy(city.grants)
    donor = generators.agreement(rng)
    while not donor.get("prohibition"):
        donor = generators.agreement(rng)
    chosen = wider[rng.choice(list(wider))]
    added = [{**p, "remedy": []} for p in donor["prohibition"]]
    chosen["prohibition"] = [*chosen.get("prohibition", ()), *added]
    before, after = engine_of(city.grants), engine_of(wider)
    for _ in range(25):
        request, context = generators.call(rng, city)
        if isinstance(after.decide(request, context), Permit):
            assert isinstance(before.decide(request, context), Permit)


@some
@given(sources)
def test_narrowing_a_grant_never_permits_more(rng):
    city = generators.city(rng, 5)
    narrower = copy.deepcopy(city.grants)
    rule = rng.choice(narrower[rng.choice(list(narrower))]["permission"])
    if rng.random() < 0.5:
        rule["constraint"] = [*rule.get("constraint", ()), generators.constraint(rng)]
    else:
        columns = rule["target"]["refinement"][0]["rightOperand"]
        rule["target"]["refinement"] = [
            {**rule["target"]["refinement"][0], "rightOperand": columns[: max(1, len(columns) - 1)]}
        ]
    before, after = engine_of(city.grants), engine_of(narrower)
    for _ in range(25):
        request, context = generators.call(rng, city)
        if isinstance(after.decide(request, context), Permit):
            assert isinstance(before.decide(request, context), Permit)


@some
@given(sources)
def test_removing_a_grant_without_prohibitions_never_permits_more(rng):
    city = generators.city(rng, 6)
    engine, fewer = engine_of(city.grants), engine_of(city.grants)
    gone = next((g for g, d in city.grants.items() if not d.get("prohibition")), None)
    if gone is None:
        return
    fewer.revoke(gone)
    for _ in range(25):
        request, context = generators.call(rng, city)
        if isinstance(fewer.decide(request, context), Permit):
            assert isinstance(engine.decide(request, context), Permit)


@some
@given(sources)
def test_every_decision_is_explained_bounded_reported_and_replayed(rng):
    city = generators.city(rng, 6)
    agreements = {g: parse_terms(d) for g, d in city.grants.items()}
    engine = engine_of(city.grants)
    for _ in range(15):
        request, context = generators.call(rng, city)
        decision = engine.decide(request, context)
        assert explain(decision, "en")
        assert explain(decision, "zh")
        recorded = json.loads(json.dumps(record(request, context)))
        if isinstance(decision, Permit):
            assert set(decision.columns) == set(request.columns)
            rules = agreements[decision.grant].permissions
            assert any(set(decision.columns) <= set(p.target.columns) for p in rules)
            told = RecordedDecision("permit", decision.grant)
        else:
            assert decision.reasons
            assert {r.code for r in decision.reasons} <= set(CODES)
            told = RecordedDecision("deny", None, tuple(r.code for r in decision.reasons))
        assert replay(recorded, agreements, told).verdict == "same"
        reports = compliance_report(request, agreements, context)
        active = {(r.grant, r.rule) for r in reports if r.kind == "PermissionReport" and r.active}
        if isinstance(decision, Permit):
            assert (decision.grant, decision.rule) in active


@some
@given(sources)
def test_refused_call_is_not_permitted_by_omitting_attributes(rng):
    city = generators.city(rng, 5)
    engine = engine_of(city.grants)
    for _ in range(20):
        request, context = generators.call(rng, city)
        if not request.attributes or isinstance(engine.decide(request, context), Permit):
            continue
        name = rng.choice(list(request.attributes))
        bare = {k: v for k, v in request.attributes.items() if k != name}
        partial = replace(request, filter_columns=(), attributes=bare)
        assert isinstance(engine.decide(partial, context), Deny)


# --- no input crashes the parser -----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["read", "purpose", "isA", "urn:civic:dept:7", "dpv:Marketing", "P1D", "2026-06-01T00:00:00Z"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "@type",
                    "@value",
                    "@id",
                    "@list",
                    "uid",
                    "action",
                    "target",
                    "source",
                    "refinement",
                    "and",
                    "or",
                    "leftOperand",
                    "operator",
                    "rightOperand",
                    "constraint",
                    "duty",
                    "rdf:value",
                    "consequence",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found += places(child, (*path, key))
    return found


@examples(1000)
@given(sources, json_values)
def test_terms_damaged_anywhere_are_read_or_refused_with_a_pointer(rng, junk):
    document = generators.agreement(rng)
    path = rng.choice(places(document)[1:])
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = junk
    pointers = []
    try:
        terms = parse_terms(document)
    except PolicyError as error:
        pointers.append(error.pointer)
    else:
        assert parse_terms(render(terms)) == terms
    assert all(pointer == "" or pointer.startswith("/") for pointer in pointers)


@examples(400)
@given(st.binary(max_size=200) | st.text(max_size=200))
@example(b"\x00")
@example("\ud800")
@example("[" * 5000)
def test_bytes_that_are_no_terms_are_refused(junk):
    try:
        parse_terms(junk)
    except PolicyError:
        return
    raise AssertionError("that was no agreement")


@examples(400)
@given(sources, st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_flipped_bytes_are_read_or_refused(rng, where, patch):
    text = bytearray(canonical(generators.agreement(rng)))
    where %= len(text)
    text[where : where + len(patch)] = patch
    try:
        terms = parse_terms(bytes(text))
    except PolicyError:
        return
    assert parse_terms(canonical(terms)) == terms
