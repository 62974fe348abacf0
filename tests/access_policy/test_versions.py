"""A permission can pin a version of its dataset: the version that a call reads, the refused calls, and the
results of the analysis."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from access_policy.analysis.narrowing import wider
from access_policy.analysis.questions import diff, unreachable
from access_policy.analysis.reach import who_can
from access_policy.analysis.redecide import RecordedDecision, RecordError, recall, record, replay
from access_policy.analysis.review import diff_document, who_can_document
from access_policy.decision.answers import Context, Deny, Permit, Reason, Request
from access_policy.decision.engine import decide
from access_policy.errors import TermsError
from access_policy.explain.wording import explain
from access_policy.privacy.fit import misfits
from access_policy.privacy.schema import parse_schema
from access_policy.terms.agreement import Agreement, canonical, parse_terms, render
from access_policy.terms.slots import lasting_pins, pins_of
from access_policy.terms.templates import agreement

from .cases import NOON, ask, ban, permission, terms, when

PINNED, OPEN, CHILD, PARENT = "0x01", "0x02", "0x03", "0x04"


def pin(number: int) -> dict[str, Any]:
    return when("version", "eq", number)


def agreed(*permissions: dict[str, Any], **more: Any) -> Agreement:
    found = parse_terms(terms(*permissions, **more))
    assert isinstance(found, Agreement)
    return found


def to(number: int, *columns: str, **more: Any) -> Agreement:
    return agreed(permission(*columns, constraint=[pin(number)], **more))


def now(current: int | None, **more: Any) -> Context:
    return Context(NOON, version=current, **more)


def told(request: Request, grants: dict[str, Agreement], current: int | None, **more: Any) -> str:
    """The grant and version of a permit (``current``: the current version), or the codes of a denial."""
    answer = decide(request, grants, now(current), **more)
    if isinstance(answer, Deny):
        return " ".join(dict.fromkeys(r.code for r in answer.reasons))
    return f"{answer.grant} {answer.version or 'current'}"


# --- terms ----------------------------------------------------------------------------------------------------------


def test_the_normal_form_has_the_pin_as_it_was_written() -> None:
    document = render(to(3))
    assert document["permission"][0]["constraint"] == [pin(3)]
    assert parse_terms(document) == to(3)
    spelled = when("odrl:version", "odrl:eq", {"@type": "xsd:integer", "@value": 3})
    assert canonical(agreed(permission(constraint=[spelled]))) == canonical(to(3))
    made = agreement(
        "urn:civic:dept:3",
        "urn:civic:dept:9",
        "urn:civic:asset:3.12",
        columns=("id",),
        purposes=(),
        version=3,
    )
    assert pin(3) in made["permission"][0]["constraint"]
    assert pins_of(agreed(*made["permission"])) == (3,)
    assert pins_of(agreed(permission())) == (None,)


@pytest.mark.parametrize("right", [0, -1, 2**32, 1.5, "3", True, None, [3], {"@value": "3"}])
def test_only_a_whole_number_that_a_version_can_have_is_one(right: Any) -> None:
    with pytest.raises(TermsError) as refused:
        agreed(permission(constraint=[when("version", "eq", right)]))
    assert refused.value.pointer.startswith("/permission/0/constraint/0/rightOperand")


@pytest.mark.parametrize("operator", ["neq", "lt", "lteq", "gt", "gteq", "isAnyOf", "isNoneOf", "isA"])
def test_a_pin_names_one_version_and_no_range_of_them(operator: str) -> None:
    with pytest.raises(TermsError) as refused:
        agreed(permission(constraint=[when("version", operator, [3] if operator.endswith("Of") else 3)]))
    assert refused.value.pointer == "/permission/0/constraint/0/operator"


@pytest.mark.parametrize("kind", ["and", "or", "xone", "andSequence"])
def test_pin_inside_alternatives_is_refused(kind: str) -> None:
    with pytest.raises(TermsError) as refused:
        agreed(permission(constraint=[{kind: [pin(3), when("purpose", "isA", "dpv:Purpose")]}]))
    assert refused.value.pointer == f"/permission/0/constraint/0/{kind}/0/leftOperand"


def test_a_permission_pins_once_and_a_prohibition_never() -> None:
    for pins in ([pin(3), pin(4)], [pin(3), pin(3)]):
        with pytest.raises(TermsError) as refused:
            agreed(permission(constraint=pins))
        assert refused.value.pointer == "/permission/0/constraint"
    with pytest.raises(TermsError) as refused:
        agreed(permission(), prohibition=[ban(constraint=[pin(3)])])
    assert refused.value.pointer == "/prohibition/0/constraint/0/leftOperand"


# --- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "current", "expected"),
    [
        (None, 3, f"{PINNED} 3"),
        (None, 4, f"{PINNED} 3"),  # A newer version replaced it; the grant still reads its own.
        (3, 4, f"{PINNED} 3"),
        (4, 4, "version.mismatch"),
        (2, 4, "version.mismatch"),
        (3, None, f"{PINNED} 3"),
    ],
)
def test_a_pinned_grant_reads_its_version_and_no_other(
    asked: int | None, current: int | None, expected: str
) -> None:
    assert told(ask(version=asked), {PINNED: to(3)}, current) == expected


@pytest.mark.parametrize(
    ("asked", "current", "expected"),
    [
        (None, 4, f"{OPEN} current"),
        (None, None, f"{OPEN} current"),
        (4, 4, f"{OPEN} current"),
        (3, 4, "version.mismatch"),
        (5, 4, "version.mismatch"),
        (4, None, "context.incomplete"),  # The current version is not stated.
    ],
)
def test_a_grant_without_a_pin_reads_the_current_version_alone(
    asked: int | None, current: int | None, expected: str
) -> None:
    assert told(ask(version=asked), {OPEN: agreed(permission())}, current) == expected


def test_a_call_that_names_no_version_is_for_the_current_one_where_any_grant_gives_it() -> None:
    grants = {PINNED: to(3, "id", "state"), OPEN: agreed(permission())}  # The pinned one has less privilege.
    assert told(ask(), grants, 4) == f"{OPEN} current"
    assert told(ask(), grants, 3) == f"{PINNED} 3"
    assert told(ask(version=3), grants, 4) == f"{PINNED} 3"
    assert told(ask(version=4), grants, 4) == f"{OPEN} current"
    narrow = grants | {OPEN: agreed(permission("name"))}
    assert told(ask(), narrow, 4) == f"{PINNED} 3"


def test_of_two_pins_the_newest_answers_and_order_does_not_matter() -> None:
    grants = {PINNED: to(2), OPEN: to(3)}
    assert told(ask(), grants, 4) == f"{OPEN} 3"
    assert told(ask(), dict(reversed(grants.items())), 4) == f"{OPEN} 3"
    assert told(ask(version=2), grants, 4) == f"{PINNED} 2"
    both = {PINNED: agreed(permission(constraint=[pin(2)]), permission(constraint=[pin(3)]))}
    assert [told(ask(version=n), both, 4) for n in (2, 3, 4)] == [
        f"{PINNED} 2",
        f"{PINNED} 3",
        "version.mismatch",
    ]


def test_a_refusal_names_the_pinned_and_the_current_version_in_both_languages() -> None:
    denial = decide(ask(version=2), {PINNED: to(3)}, now(4))
    assert isinstance(denial, Deny)
    assert denial.reasons == (
        Reason("version.mismatch", PINNED, "/permission/0", "/permission/0/constraint/0", "2 of 4", "eq 3"),
    )
    english, chinese = explain(denial, "en"), explain(denial, "zh")
    assert "version 2 (the current one is 4)" in english
    assert "version 3" in english
    assert "第 2 版（当前为第 4 版）" in chinese
    assert "第 3 版" in chinese
    assert "4" not in explain(denial, "en", redacted=True)
    open_ = decide(ask(version=2), {OPEN: agreed(permission())}, now(4))
    assert isinstance(open_, Deny)
    assert (open_.reasons[0].seen, open_.reasons[0].wanted) == ("2 of 4", "current")
    assert "the current version" in explain(open_, "en")
    assert "当前版本" in explain(open_, "zh")
    permit = decide(ask(), {PINNED: to(3)}, now(4))
    assert "version 3" in explain(permit, "en")
    assert "第 3 版" in explain(permit, "zh")


def test_other_conditions_apply_to_a_pinned_grant() -> None:
    never = to(
        3, duty=[{"action": "assess", "uid": "#a", "constraint": [when("event", "lt", "policyUsage")]}]
    )
    assert told(ask(), {PINNED: never}, 4) == "duty.unfulfilled"
    assert (
        told(
            ask(purpose="dpv:Marketing"),
            {
                PINNED: agreed(
                    permission(constraint=[pin(3), when("purpose", "isA", "dpv:ScientificResearch")])
                )
            },
            4,
        )
        == "purpose.mismatch"
    )
    banned = {PINNED: to(3), OPEN: agreed(permission("name"), prohibition=[ban("state")])}
    assert "prohibition.matched" in told(ask(), banned, 4)
    spent = agreed(permission(constraint=[pin(3), when("count", "lteq", 1)]))
    answer = decide(ask(), {PINNED: spent}, now(4, used={PINNED: 1}))
    assert isinstance(answer, Deny)
    assert [r.code for r in answer.reasons] == ["uses.exhausted"]


# --- delegated ------------------------------------------------------------------------------------------------------


def under(child: Agreement, above: Agreement, current: int | None, asked: int | None = None) -> str:
    answer = decide(ask(version=asked), {CHILD: child}, now(current), ancestors={CHILD: ((PARENT, above),)})
    if isinstance(answer, Deny):
        assert {r.ancestor for r in answer.reasons} <= {PARENT, None}
        return " ".join(dict.fromkeys(r.code for r in answer.reasons))
    return str(answer.version or "current")


@pytest.mark.parametrize(
    ("child", "above", "current", "expected"),
    [
        (3, 3, 3, "3"),
        (3, 3, 4, "3"),
        (3, 2, 4, "version.mismatch"),
        (3, None, 3, "3"),
        (3, None, 4, "version.mismatch"),  # The ancestor reads the current version, and no longer this one.
        (None, 3, 3, "3"),
        (None, 3, 4, "version.mismatch"),
        (None, 3, None, "context.incomplete"),
        (None, None, 4, "current"),
    ],
)
def test_a_delegated_grant_reads_no_version_that_the_one_above_does_not(
    child: int | None, above: int | None, current: int | None, expected: str
) -> None:
    agreements = [agreed(permission()) if n is None else to(n) for n in (child, above)]
    assert under(agreements[0], agreements[1], current) == expected


@pytest.mark.parametrize(
    ("child", "above", "current", "refused"),
    [
        (3, 3, 4, False),
        (3, 2, 4, True),
        (2, 3, 4, True),
        (None, 3, 3, True),  # Later it would read what the ancestor does not permit.
        (None, None, 3, False),
        (3, None, 3, False),  # Narrower: it ends with its version.
        (2, None, 3, True),
        (3, None, None, False),
    ],
)
def test_terms_that_pin_less_than_those_above_are_wider(
    child: int | None, above: int | None, current: int | None, refused: bool
) -> None:
    agreements = [agreed(permission()) if n is None else to(n) for n in (child, above)]
    found = wider(agreements[0], agreements[1], current)
    assert [one.code for one in found] == (["version.mismatch"] if refused else [])


def test_one_of_two_permissions_above_is_enough() -> None:
    above = agreed(permission("id", "state", constraint=[pin(3)]), permission())
    assert under(to(3, "id", "state"), above, 4) == "3"
    assert under(agreed(permission("id", "state")), above, 4) == "current"
    assert wider(to(3, "id", "state"), above, 4) == ()
    assert [
        one.code for one in wider(to(3), above, 4)
    ] != []  # More columns of version 3 than the ancestor permits.


# --- re-deciding ----------------------------------------------------------------------------------------------------
# ---------------------------------------------------------------------------------------------------------


def test_a_recorded_decision_says_which_version_was_current_and_which_was_asked_for() -> None:
    request, context = ask(version=3), now(4)
    recorded = json.loads(json.dumps(record(request, context)))
    assert (recorded["request"]["version"], recorded["context"]["version"]) == (3, 4)
    assert recall(recorded) == (request, context)
    plain = record(ask(), Context(NOON))
    assert "version" not in plain["request"]
    assert "version" not in plain["context"]
    assert recall(plain) == (ask(), Context(NOON))


@pytest.mark.parametrize("spoilt", ["3", 0, -1, 2.5, True, [3]])
def test_a_record_with_another_thing_for_a_version_is_refused(spoilt: Any) -> None:
    for member in ("request", "context"):
        recorded = record(ask(version=3), now(4))
        recorded[member]["version"] = spoilt
        with pytest.raises(RecordError):
            replay(recorded, {PINNED: to(3)}, RecordedDecision("permit", PINNED))


def test_a_decision_by_a_pin_is_run_again_and_a_false_version_is_found() -> None:
    recorded, grants = (
        record(ask(), now(4)),
        {PINNED: canonical(to(3)), OPEN: canonical(agreed(permission("name")))},
    )
    assert replay(recorded, grants, RecordedDecision("permit", PINNED, version=3)).verdict == "same"
    assert replay(recorded, grants, RecordedDecision("permit", PINNED)).verdict == "same"
    false = replay(recorded, grants, RecordedDecision("permit", PINNED, version=4))
    assert false.verdict == "different"
    assert "version" in false.why
    denied = record(ask(version=2), now(4))
    assert (
        replay(denied, {PINNED: to(3)}, RecordedDecision("deny", None, ("version.mismatch",))).verdict
        == "same"
    )
    # The current version was another one then, and the grant without a pin is decided by that.
    assert (
        replay(
            record(ask(version=3), now(3)),
            {OPEN: agreed(permission())},
            RecordedDecision("permit", OPEN, version=3),
        ).verdict
        == "same"
    )


# --- analysis -------------------------------------------------------------------------------------------------------


def test_a_change_of_the_pin_is_a_change_of_terms() -> None:
    changes = {c.kind for c in diff(to(3), to(4)).changes}
    assert changes == {"newly permitted", "newly denied", "bounds changed"}
    assert {c.kind for c in diff(to(3), agreed(permission())).changes} >= {"newly permitted", "newly denied"}
    assert diff(to(3), to(3)).changes == ()
    for change in diff(to(3), to(4)).changes:  # The engine confirms every witness.
        for grant, answer in ((to(3), change.before), (to(4), change.after)):
            assert decide(change.witness.request, {"grant": grant}, change.witness.context) == answer
    documents = diff_document(to(3), to(4))["changes"]
    assert {one["before"].get("version") for one in documents} >= {3}


def test_a_pinned_rule_beside_one_without_a_pin_is_not_shadowed() -> None:
    grants = {"g": agreed(permission(), permission(constraint=[pin(3)]))}
    assert unreachable(grants) == ()
    twice = {"g": agreed(permission(constraint=[pin(3)]), permission(constraint=[pin(3)]))}
    assert [one.cause for one in unreachable(twice)] == ["shadowed"]


def test_who_can_says_which_version_a_way_in_opens() -> None:
    asked = ("urn:civic:asset:3.12", "read", "dpv:ScientificResearch", NOON)
    grants = {PINNED: to(3), OPEN: agreed(permission())}
    assert {(way.grant, way.version) for way in who_can(*asked, grants)} == {(PINNED, 3), (OPEN, None)}
    assert {one["version"] for one in who_can_document(*asked, grants)["who"]} == {3, None}
    chain = {CHILD: ((PARENT, to(3)),)}
    child = {CHILD: agreed(permission())}
    assert who_can(*asked, child, context=now(4), ancestors=chain) == ()
    (way,) = who_can(*asked, child, context=now(3), ancestors=chain)
    assert way.version == 3
    (unsure,) = who_can(*asked, child, ancestors=chain)
    assert [r.code for r in unsure.conditions] == ["context.incomplete"]


def test_a_permit_is_kept_by_the_version_that_it_is_for() -> None:
    """The engine caches permits: a later call for another version must not get an earlier answer."""
    grants = {PINNED: to(3), OPEN: agreed(permission())}
    for current in (3, 4, 5, 4, 3):
        for asked in (None, 3, 4):
            answer = decide(ask(version=asked), grants, now(current))
            if isinstance(answer, Permit):
                assert (answer.version or current) == (asked or current)
            else:
                assert asked not in (None, 3, current)


def test_request_without_a_version_is_unchanged() -> None:
    assert ask() == replace(ask(version=None))


def test_a_prohibition_fits_the_version_that_the_permissions_read() -> None:
    old, new = (
        parse_schema({"fields": [{"name": n, "type": "string", "class": "plain"} for n in names]})
        for names in (("id", "state", "gone"), ("id", "state", "come"))
    )
    terms_ = agreed(permission("id", "gone", constraint=[pin(3)]), prohibition=[ban("gone")])
    assert [m.code for m in misfits(terms_, new)] == ["column.unknown", "column.unknown"]
    assert not list(misfits(terms_, new, earlier={3: old}))
    assert not list(misfits(terms_, new, earlier={3: None}))
    both = agreed(permission("id", "gone", constraint=[pin(3)]), permission("id", "come"))
    assert not list(misfits(both, new, earlier={3: old}))
    assert [m.pointer for m in misfits(both, old, earlier={3: new})] == [
        "/permission/0/target",
        "/permission/1/target",
    ]


def test_pin_lasts_if_every_grant_above_pins_it() -> None:
    several = agreed(permission(constraint=[pin(2)]), permission(constraint=[pin(3)]), permission())
    assert lasting_pins(several, ()) == {2, 3}
    assert lasting_pins(several, [to(3)]) == {3}
    assert lasting_pins(several, [to(3), agreed(permission())]) == frozenset()
