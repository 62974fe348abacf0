"""An officer reads exactly what is signed: all of it, and nothing that its author disguised as a term."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.engine import decide
from access_policy.explain.phrases import operator_words
from access_policy.terms import templates
from access_policy.terms.agreement import parse_terms
from access_policy.terms.constraints import OPERANDS, Constraint, Logical
from access_policy.terms.transforms import _MEMBERS, parse_transform
from access_policy.terms.vocabulary import call_purposes, legal_bases, purposes
from api.cli import signing
from api.cli.agreements import (
    JOINS,
    _inner,
    _labelled,
    agreement_words,
    constraint_words,
    transform_words,
)
from api.cli.agreements import OPERANDS as OPERAND_WORDS
from api.cli.profile import Profile
from api.cli.signing import in_words
from api.sdk.acts import ActDraft, read_act, write_act
from api.sdk.drafts import document_hash, draft_grant, draft_suspension
from languages.texts import translated
from ledger.acts.documents import DOCUMENTS, documents_named
from ledger.acts.wording import describe, title
from ledger.chain.limits import NOTHING
from ledger.chain.messages import fields, normalise, type_names
from tests.api.cli.conftest import Run, demo_key

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HASH = "0x" + "2b" * 32
ASSET, BY, TO = "urn:civic:asset:7.12", "urn:civic:dept:7", "urn:civic:dept:9"
FAKE = "only statistics\r\n    permits: aggregate (compute statistics)\n  to department: department 3\x1b[2J\u202e\x9b8m"
"""A text that would draw terms of its own, clear the screen and turn the reading round."""


def agreement(**more: Any) -> dict[str, Any]:
    asked = {
        "columns": ["pm25"],
        "purposes": ["dpv:PublicBenefit"],
        "expiry": datetime(2027, 1, 1, tzinfo=UTC),
    }
    return templates.agreement(BY, TO, ASSET, **(asked | more))


def saved(path: Path, document: dict[str, Any], **message: Any) -> Path:
    draft = draft_grant("7.12", 9, document, expiry=1_798_761_600, deadline=2_000_000_000)
    write_act(path, ActDraft(draft.type, {**draft.message, **message}, draft.documents))
    return path


def steers(text: str) -> list[str]:
    return [
        c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Me")
    ]


@pytest.mark.parametrize("member", ["description", "law"])
def test_authors_text_cannot_look_like_a_term(
    run: Run, profile: Profile, tmp_path: Path, member: str
) -> None:
    document = agreement(**{member: FAKE if member == "description" else [FAKE]})
    said = run("sign", saved(tmp_path / "act.json", document)).err
    assert not steers(said)
    assert "<U+001B>" in said
    told = said.split("\n")
    assert [line for line in told if line.startswith("    permits:")] == [
        "    permits: read (read rows)"
    ] or sum(line.startswith("    permits:") for line in told) == 1
    assert sum(line.startswith("  to department:") for line in told) == 1
    terms_end = next(i for i, line in enumerate(told) if "none of it is a term" in line)
    quoted = [
        i for i, line in enumerate(told) if "compute statistics" in line and "permits: aggregate" in line
    ]
    assert quoted
    assert all(i > terms_end and told[i].lstrip().startswith("| ") for i in quoted)


@pytest.mark.parametrize("kind", ["Terms", "RegisterAsset", "SuspendDepartment", "Admission"])
def test_a_hash_is_not_signed_without_its_document(
    run: Run, profile: Profile, tmp_path: Path, kind: str
) -> None:
    message = {member.name: any_value(member.type) for member in fields(kind)}
    path = tmp_path / "act.json"
    path.write_text(json.dumps({"type": kind, "message": message, "signatures": [], "documents": []}))
    before = path.read_text()
    refused = run("sign", path, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.document-missing")
    assert path.read_text() == before


def test_a_hash_is_not_signed_with_another_document(run: Run, profile: Profile, tmp_path: Path) -> None:
    draft = draft_suspension(9, "a key was stolen", epoch=1, deadline=2_000_000_000)
    path = tmp_path / "act.json"
    write_act(path, ActDraft(draft.type, draft.message, ({"reason": "a holiday"},)))
    refused = run("sign", path, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.document-unnamed")
    assert read_act(path).signatures == ()


def test_every_hash_of_a_message_is_known_to_name_a_document_or_not() -> None:
    """A new member of type bytes32 must be put on one of the two sides."""
    others = {
        "grant", "grants", "parent", "under", "key", "hpke", "admission", "recovery", "dispute", "statement", "line",
        "supersedes", "lineRoot", "ruleHash", "inputRoot", "handOver", "origin", "newOrigin", "root",
        "lastRoot", "logHead", "commitment", "by",
    }  # fmt: skip
    known = {m.name for kind in type_names() for m in fields(kind) if m.type.removesuffix("[]") == "bytes32"}
    assert known == others | DOCUMENTS
    batch = normalise("GrantBatch", {"grants": [any_value("Terms")] * 2, "deadline": 1})
    assert list(documents_named("GrantBatch", batch)) == [("termsHash", HASH)] * 2
    assert not list(documents_named("LiftAsset", {**any_value("LiftAsset"), "reason": NOTHING}))


@pytest.mark.parametrize(
    "twice",
    [
        lambda text: text.replace('"message": {', '"message": {"grantee": 3, ', 1),
        lambda text: text.replace('"description"', '"description": "one", "description"', 1),
        lambda text: text.replace("{", '{"type": "Revoke", ', 1),
        lambda text: text.replace('"permission": [', '"permission": [], "permission": [', 1),
    ],
)
def test_a_repeated_member_is_not_signed(run: Run, profile: Profile, tmp_path: Path, twice: Any) -> None:
    path = saved(tmp_path / "act.json", agreement(description="two"))
    path.write_text(twice(path.read_text()))
    refused = run("sign", path, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.file")


def test_overlong_act_is_not_signed(
    run: Run, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "act.json", agreement(law=[f"{n} " + "§" * 4_000 for n in range(60)]))
    assert run("sign", path, "--yes", "--json").code == 0
    long = saved(tmp_path / "long.json", agreement(law=["\x01" * 4_000 for n in range(60)]))
    refused = run("sign", long, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.unshown")
    monkeypatch.setattr(signing, "MOST_LINES", 12)
    refused = run("sign", path, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "act.unshown")


def test_an_agreement_outside_the_profile_is_not_signed(run: Run, profile: Profile, tmp_path: Path) -> None:
    """What the engine would not read has no words either."""
    document = agreement() | {"surprise": {"deep": 1}}
    path = saved(tmp_path / "act.json", document)
    refused = run("sign", path, "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (1, "terms.invalid")


TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("\r\n\t\x1b\x9b\u202e\u2066\u200b\u2028 :|")),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "description": TEXTS.filter(bool),
            "law": st.lists(TEXTS.filter(bool), min_size=1, max_size=2),
            "columns": st.lists(TEXTS.filter(bool), min_size=1, max_size=3, unique=True),
        }
    ),
    TEXTS.filter(bool),
    TEXTS,
)
def test_no_text_of_an_agreement_makes_a_line_of_a_term(
    more: dict[str, Any], value: str, column: str
) -> None:
    rows = {
        "or": [
            {"column": column or "x", "op": "eq", "value": value},
            {"column": "x", "op": "in", "value": [value]},
        ]
    }
    ladder = {more["columns"][0]: {"type": "ladder", "steps": {value: value}, "otherwise": value}}
    document = agreement(rows=rows, transforms=ladder, **more)
    plain = agreement(rows={"or": [{"column": "x", "op": "eq", "value": 1}, {"column": "x", "op": "in", "value": [1]}]},
                      transforms={"x": {"type": "ladder", "steps": {"a": "b"}, "otherwise": "c"}}, columns=["x"],
                      description="d", law=["l"] * len(more["law"]))  # fmt: skip
    lines = in_words(draft_grant("7.12", 9, document, expiry=1, deadline=1))
    assert not steers("".join(lines))
    assert not any("\n" in line for line in lines)
    ours = [line.partition(":")[0] for line in lines if not line.lstrip().startswith("| ")]
    expected = in_words(draft_grant("7.12", 9, plain, expiry=1, deadline=1))
    assert [re.sub("[0-9a-f]{64}", "", one) for one in ours] == [
        re.sub("[0-9a-f]{64}", "", line.partition(":")[0])
        for line in expected
        if not line.lstrip().startswith("| ")
    ]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXTS, st.one_of(TEXTS, st.lists(TEXTS, max_size=2)), max_size=4))
def test_no_text_of_a_document_makes_a_line_of_a_term(document: dict[str, Any]) -> None:
    draft = ActDraft("SuspendDepartment", {**any_value("SuspendDepartment")}, (document,))
    lines = in_words(draft)
    assert not steers("".join(lines))
    told = next(i for i, line in enumerate(lines) if "as its author wrote it" in line)
    assert all(line.startswith("    | ") for line in lines[told + 1 :])


# --- the words say what the engine does -----------------------------------------------------------------------------


def concept_constraints() -> list[Constraint]:
    pairs = [("dpv:PublicBenefit", "dpv:Marketing"), ("dpv:ResearchAndDevelopment", "dpv:AcademicResearch")]
    found = []
    for operator in OPERANDS["purpose"].operators:
        for first, second in pairs:
            value: Any = (first, second) if operator.endswith("Of") and operator != "isPartOf" else first
            found.append(Constraint("purpose", operator, value))
    return [*found, Constraint("purpose", "isA", "dpv:Purpose"), Constraint("purpose", "eq", "dpv:Purpose")]


def purposes_in(words: str) -> set[str]:
    """The purposes that the words say are let in, read as a person reads them."""
    listed = re.search(
        r"\((?:every one of the (?P<all>\d+)|\d+: (?P<but>all but )?(?P<names>[^()]*))\)$", words
    )
    assert listed, words
    if listed["all"]:
        return set(call_purposes())
    named = {one for one in listed["names"].split(", ") if one != "none"}
    return set(call_purposes()) - named if listed["but"] else named


@pytest.mark.parametrize("constraint", concept_constraints(), ids=str)
def test_worded_purposes_match_the_engine(constraint: Constraint) -> None:
    right: Any = (
        [{"@id": one} for one in constraint.value]
        if isinstance(constraint.value, tuple)
        else {"@id": constraint.value}
    )
    document = agreement(purposes=[])
    document["permission"][0].setdefault("constraint", []).append(
        {"leftOperand": "purpose", "operator": constraint.operator, "rightOperand": right}
    )
    grants: Any = {"0x" + "01" * 32: parse_terms(document)}
    let_in = {
        purpose
        for purpose in call_purposes()
        if isinstance(decide(Request(TO, ASSET, "read", purpose, ("pm25",)), grants, Context(NOW)), Permit)
    }
    words = constraint_words(constraint)
    assert purposes_in(words) == let_in
    count = re.search(r"\((?:every one of the )?(\d+)", words[words.rindex("(") :])
    assert count is not None
    assert int(count[1]) == len(let_in)


def test_a_list_of_purposes_says_that_narrower_ones_are_included() -> None:
    words = constraint_words(Constraint("purpose", "isAnyOf", ("dpv:ResearchAndDevelopment",)))
    narrower = purposes().descendants["dpv:ResearchAndDevelopment"]
    assert "or narrower" in words
    assert len(narrower) > 1
    assert all(one in words for one in narrower)


def sample(operand: str) -> Any:
    return {
        "purpose": "dpv:Marketing",
        "legalBasis": sorted(legal_bases().concepts)[0],
        "dateTime": NOW,
        "elapsedTime": timedelta(days=3),
        "count": 3,
        "spatial": "310000",
        "recipient": TO,
        "language": "en",
        "fileFormat": "text/csv",
        "partyKind": "public",
        "version": 3,
    }[operand]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("operand", "operator"), [(o.name, operator) for o in OPERANDS.values() for operator in o.operators]
)
def test_every_operator_of_every_operand_has_its_words(
    operand: str, operator: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(monkeypatch, language)
    value = sample(operand)
    listed = operator in ("isAnyOf", "isAllOf", "isNoneOf")
    words = constraint_words(Constraint(operand, operator, (value,) if listed else value))
    head = translated(operator_words(operand, operator), "zh" if language == "zh" else "en").split("{values}")
    assert all(part in words for part in head)
    assert set(OPERAND_WORDS) == set(OPERANDS)


def test_no_two_operators_of_an_operand_have_the_same_words_and_other_meanings() -> None:
    for operand in OPERANDS.values():
        words = [operator_words(operand.name, one) for one in operand.operators if one != "isPartOf"]
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("kind", JOINS)
def test_joined_conditions_say_how_they_are_joined(kind: Any) -> None:
    parts = (Constraint("count", "lteq", 3), Constraint("language", "eq", "en"))
    assert (
        _inner(Logical(kind, parts))
        == f"{JOINS[kind]} ([uses: at most 3]; [language that the caller states: exactly en])"
    )


ORDERS: dict[str, dict[str, str]] = {
    "en": {
        r"(?:exactly|at) (.+)": "==", r"(?:other than|at any instant but) (.+)": "!=",
        r"(?:less than|before) (.+)": "<", r"(?:at most|until) (.+)": "<=",
        r"(?:more than|after) (.+)": ">", r"at least (.+)|from (.+) on": ">=",
    },
    "zh": {
        r"恰为(.+)|(.+)当时": "==", r"不为(.+)|(.+)以外": "!=", r"小于(.+)|(.+)之前": "<",
        r"不超过(.+)|(.+)及以前": "<=", r"大于(.+)|(.+)之后": ">", r"不少于(.+)|(.+)起": ">=",
    },
}  # fmt: skip
"""How a person understands the words of an order: the last pattern that fits is the meant one."""
COMPARE: dict[str, Any] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def understood(words: str, language: str) -> tuple[str, str]:
    """The sign and the value that a reader takes from the words."""
    found = [(m, sign) for pattern, sign in ORDERS[language].items() if (m := re.fullmatch(pattern, words))]
    match, sign = found[-1]
    return sign, next(value for value in match.groups() if value is not None)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("order", OPERANDS["count"].operators)
@pytest.mark.parametrize("operand", ["count", "dateTime", "elapsedTime"])
def test_worded_bounds_match_the_engine(
    operand: str, order: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided at every border, and one step to either side of it."""
    speak(monkeypatch, language)
    document, grant = agreement(expiry=None), "0x" + "01" * 32
    right: Any = {"count": 3, "dateTime": {"@type": "xsd:dateTime", "@value": "2026-11-01T00:00:00Z"},
                  "elapsedTime": {"@type": "xsd:duration", "@value": "P3D"}}[operand]  # fmt: skip
    document["permission"][0].setdefault("constraint", []).append(
        {"leftOperand": operand, "operator": order, "rightOperand": right}
    )
    terms = parse_terms(document)
    node = next(one for one in terms.permissions[0].constraints if one.operand == operand)
    label, words = _labelled(node)
    sign, value = understood(words, language)
    step = timedelta(microseconds=1)
    for off in (-2, -1, 0, 1, 2):
        now, used, first = NOW, 1, NOW
        if operand == "count":
            used, here, there = 2 + off, 2 + off + 1, int(value)
            assert ("this use" in label or "本次" in label) == (order not in ("lt", "lteq"))
        elif operand == "dateTime":
            now = NOW + off * step
            here, there = now, datetime.fromisoformat(value.replace("（北京时间）", "+08:00"))
        else:
            first = NOW - timedelta(days=3) - off * step
            here, there = NOW - first, timedelta(days=int(value[1:-1]))
        context = Context(now, used={grant: used}, first_used={grant: first} if used else {})
        request = Request(TO, ASSET, "read", "dpv:PublicBenefit", ("pm25",))
        permitted = isinstance(decide(request, {grant: terms}, context), Permit)
        assert permitted == COMPARE[sign](here, there), (words, off)


AREAS = ["310000", "310100", "310101", "310101001", "310101001000", "320000", "CN", "DE", "DE2", "DE21"]
AREA_READER: dict[str, Callable[[str, list[str]], bool]] = {
    "exactly (.+)": lambda a, v: a == v[0],
    "other than (.+)": lambda a, v: a != v[0],
    "(.+) or a part of it": lambda a, v: inside(a, v[0]),
    "(.+) or an area that contains it": lambda a, v: inside(v[0], a),
    "one of (.+), or a part of one": lambda a, v: any(inside(a, one) for one in v),
    "none of (.+), nor a part of one": lambda a, v: not any(inside(a, one) for one in v),
}


def inside(inner: str, outer: str) -> bool:
    """Province, city, district, township, village; country and regions: spelled out, and not as the engine does it."""
    parent = {"310100": "310000", "310101": "310100", "310101001": "310101", "310101001000": "310101001",
              "DE2": "DE", "DE21": "DE2"}  # fmt: skip
    return inner == outer or (inner in parent and inside(parent[inner], outer))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(OPERANDS["spatial"].operators),
    st.lists(st.sampled_from(AREAS), min_size=1, max_size=3, unique=True),
    st.sampled_from(AREAS),
)
def test_worded_areas_match_the_engine(order: str, values: list[str], stated: str) -> None:
    listed = order in ("isAnyOf", "isNoneOf")
    document, grant = agreement(), "0x" + "01" * 32
    document["permission"][0]["constraint"].append(
        {"leftOperand": "spatial", "operator": order, "rightOperand": values if listed else values[0]}
    )
    terms = parse_terms(document)
    node = next(one for one in terms.permissions[0].constraints if one.operand == "spatial")
    label, words = _labelled(node)
    assert "that the caller states" in label
    [(reader, match)] = [(r, m) for p, r in AREA_READER.items() if (m := re.fullmatch(p, words))]
    request = Request(TO, ASSET, "read", "dpv:PublicBenefit", ("pm25",), attributes={"spatial": stated})
    permitted = isinstance(decide(request, {grant: terms}, Context(NOW)), Permit)
    same = {"310101001000": "310101001"}  # a village code of zeros is the township itself
    if order in ("eq", "neq") or not same.keys() & {stated, *values}:
        assert permitted == reader(stated, match[1].split(", ")), words


def test_words_of_rows_cover_missing_values() -> None:
    compared, asked = {"not": {"column": "pm25", "op": "eq", "value": 5}}, {"column": "pm25", "op": "isNull"}
    document = agreement(rows=compared)
    told = dict(agreement_words(parse_terms(document)))
    assert told["  rows"].startswith("only where not (pm25 = 5); not where a compared value is missing")
    document["prohibition"] = [{**document["permission"][0], "constraint": []}]
    document["prohibition"][0].pop("duty", None)
    told = dict(agreement_words(parse_terms(document)))
    assert told["  rows"] == "only where not (pm25 = 5); also every row that lacks a compared value"
    assert (
        dict(agreement_words(parse_terms(agreement(rows=asked))))["  rows"] == "only where pm25 has no value"
    )


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", _MEMBERS)
def test_every_transform_has_its_words(kind: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    speak(monkeypatch, language)
    more = {
        "mask": {"keep_last": 4, "with": "#"},
        "truncate": {"to": "month"},
        "band": {"width": 10},
        "ladder": {"steps": {"A": "B"}, "otherwise": "C"},
        "round": {"step": 5},
        "clamp": {"top": 90},
    }.get(kind, {})
    words = transform_words(parse_transform({"type": kind, **more}))
    assert words
    assert "{" not in words
    for value in more.values():
        for part in value.items() if isinstance(value, dict) else [(value,)]:
            assert all(str(one) in words or one == "month" for one in part)


# --- the members of every message -----------------------------------------------------------------------------------


def any_value(kind: str) -> Any:
    if kind.endswith("[]"):
        return [any_value(kind[:-2])]
    if kind in type_names():
        return {member.name: any_value(member.type) for member in fields(kind)}
    return {"address": "0x" + "1a" * 20, "bytes32": HASH, "string": "words"}.get(kind, 1)


COUNTED = {
    "depth", "total", "version", "threshold", "epoch", "quorum", "size", "lastSize", "salt", "maxUses", "period",
    "members", "lines",
}  # fmt: skip
"""Members whose number means itself: how many, or which one."""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", type_names())
def test_a_coded_number_is_written_out(kind: str, language: Any) -> None:
    if kind not in ("Seat", "ServiceKey", "Usage"):
        assert title(kind, language) != kind
    for member in fields(kind):
        if member.type.startswith("uint") and member.name not in COUNTED:
            message = any_value(kind)
            shown = {value for _, value in describe(kind, message, language)}
            other = {
                value
                for _, value in describe(
                    kind, {**message, member.name: [2] if member.type.endswith("[]") else 2}, language
                )
            }
            assert not any(value in ("1", "2") for value in shown ^ other), member.name


def speak(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    from api.terminal import language as module

    module.language.cache_clear()
    monkeypatch.setenv("CIVIC_LANG", language)


@pytest.fixture(autouse=True)
def _the_language_of_the_process() -> Any:
    from api.terminal import language as module

    yield
    module.language.cache_clear()


def test_two_officers_read_the_same(run: Run, profile: Profile, tmp_path: Path) -> None:
    demo_key(profile, "cdo", "officer")
    path = saved(tmp_path / "act.json", agreement(description="x"))
    first = run("sign", path).err
    assert run("sign", path, "--key", "cdo").err == first
    assert document_hash(read_act(path).documents[0]) in first
