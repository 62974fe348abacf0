"""An agreement fits a schema exactly when every call that it permits can be planned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.decision.compiled import compile_grant
from access_policy.errors import PlanError
from access_policy.privacy.fit import misfits
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import Query
from access_policy.privacy.schema import FIELD_TYPES, AssetSchema, Column
from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.templates import agreement
from languages.texts import Bilingual

SCHEMA = AssetSchema(tuple(Column(f"a_{kind}", kind) for kind in FIELD_TYPES))
NAMES = [*SCHEMA.names(), "a_strings", "A_string"]
TRANSFORMS: list[dict[str, Any]] = [
    {"type": "mask", "keep_last": 1},
    {"type": "pseudonym"},
    {"type": "truncate", "to": "month"},
    {"type": "band", "width": 10},
    {"type": "round", "step": 0.5},
    {"type": "clamp", "bottom": 1},
]
VALUES: list[Any] = ["x", 1, 1.5, True, "2024-05", "2024-05-01", "2024-05-01T00:00:00Z"]


def agreement_over(columns: list[str], **more: Any) -> Agreement:
    document = agreement(
        "urn:civic:dept:7",
        "urn:civic:dept:9",
        "urn:civic:asset:7.12",
        columns=columns,
        purposes=("dpv:PublicPolicyMaking",),
        expiry=datetime(2030, 1, 1, tzinfo=UTC),
        **more,
    )
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    return parsed


def plans(columns: tuple[str, ...], permit: Permit) -> bool:
    try:
        compile_plan(Query(columns), permit, SCHEMA)
    except PlanError:
        return False
    return True


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TRANSFORMS), max_size=2),
    st.none()
    | st.builds(
        lambda column, op, value: {"column": column, "op": op, "value": value},
        st.sampled_from(NAMES),
        st.sampled_from(["eq", "lt"]),
        st.sampled_from(VALUES),
    ),
)
def test_fitting_agreement_can_be_planned_for_each_column(
    columns: list[str], transforms: dict[str, Any], rows: dict[str, Any] | None
) -> None:
    chosen = {name: made for name, made in transforms.items() if name in columns}
    terms = agreement_over(columns, transforms=chosen or None, rows=rows)
    [rule] = compile_grant("", terms).rules
    permit = Permit("", rule.id, tuple(columns), rule.permission.target.rows, rule.transforms)
    fits = not [one for one in misfits(terms, SCHEMA) if one.hard]
    assert fits == all(plans((name,), permit) for name in columns)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"columns": ["a_strings"]}, "column.unknown"),
        (
            {"columns": ["a_boolean"], "transforms": {"a_boolean": {"type": "mask"}}},
            "transform.not-applicable",
        ),
        (
            {"columns": ["a_string"], "rows": {"column": "a_number", "op": "eq", "value": "x"}},
            "plan.row-filter",
        ),
    ],
)
def test_misfit_has_a_pointer_to_its_rule(more: dict[str, Any], code: str) -> None:
    [found] = misfits(agreement_over(**more), SCHEMA)
    assert (found.code, found.pointer, found.hard) == (code, "/permission/0/target", True)


@pytest.mark.parametrize("text", ["Café", "Cafe\u0301", "\uff21", "x ", "\u3000x"])
def test_filter_with_a_text_of_several_spellings_gets_a_warning(text: str) -> None:
    terms = agreement_over(["a_string"], rows={"column": "a_string", "op": "neq", "value": text})
    [found] = misfits(terms, SCHEMA)
    assert (found.code, found.pointer, found.hard) == ("plan.spelling", "/permission/0/target", False)
    assert text not in found.detail
    spelled = AssetSchema((Column("a_string", "string", normalise=("width", "nfc", "trim")),))
    assert not list(misfits(terms, spelled))


def test_filter_over_data_with_several_spellings_gets_a_warning_with_their_number() -> None:
    """The report states which texts remain, for every text of the filter and every declaration of the
    schema."""
    rows = {
        "and": [
            {"column": "a_string", "op": "in", "value": ["x", "y"]},
            {"column": "a_integer", "op": "gt", "value": 1},
        ]
    }
    terms = agreement_over(["a_string"], rows=rows)
    assert not list(misfits(terms, SCHEMA))
    assert not list(misfits(terms, SCHEMA, {"a_year": 2, "a_integer": 2}))
    [found] = misfits(terms, SCHEMA, {"a_string": 7})
    assert (found.code, found.pointer, found.hard) == ("plan.spelling", "/permission/0/target", False)
    assert "7" in found.detail
    assert isinstance(found.detail, Bilingual)
    assert "7" in found.detail.zh
    spelled = AssetSchema(
        (Column("a_string", "string", normalise=("width", "nfc", "trim")), Column("a_integer", "integer"))
    )
    assert [one.code for one in misfits(terms, spelled, {"a_string": 7})] == ["plan.spelling"]
