"""The answer under a delegated grant can be computed from the answers under each of its ancestors."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from typing import Any

import pytest

from access_policy.decision.answers import Context, Permit, Request
from access_policy.decision.combined import combined
from access_policy.decision.engine import decide
from access_policy.privacy.plan import TransformNotApplicable, compile_plan
from access_policy.privacy.query import parse_query
from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.templates import agreement
from access_policy.terms.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Transform,
    Truncate,
    transform_to_json,
)

from .conftest import Register

DISTRICTS = Ladder((("north", "city"), ("south", "city"), ("old town", "old")))
NOON = Context(dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC))
TRANSFORMS: dict[str, list[Transform]] = {
    "born": [Keep(), Truncate("month"), Truncate("year"), Mask(4, 0), Mask(), Pseudonym()],
    "age": [
        Keep(),
        Band(5),
        Band(10),
        Band(10, 3),
        Round(5),
        Round(10),
        Clamp(18, 60),
        Clamp(20, 90),
        Clamp(95, 99),
    ],
    "income": [Keep(), Band(500), Band(0.5), Round(100.0), Clamp(None, 1000), Clamp(200, None)],
    "name": [Keep(), Mask(1, 0), Mask(1, 1), Mask(0, 0, "#"), Mask(), Pseudonym()],
    "district": [
        Keep(),
        DISTRICTS,
        Ladder((("north", "all"), ("south", "all"), ("old town", "all")), "all"),
        Ladder((("north", "n"), ("south", "s")), "else"),
        Ladder((("north", "a"), ("old town", "a"))),
        Mask(),
    ],
}


def released(register: Register, column: str, transform: Transform) -> dict[Any, Any]:
    """The column of every row by the instant of its visit, the key of a row."""
    plan = register.plan({"columns": ["seen", column]}, {column: transform})
    return {row["seen"]: row[column] for row in register.read(plan) if row["seen"] is not None}


@pytest.mark.parametrize("column", TRANSFORMS)
def test_a_joined_transform_is_a_function_of_each(register: Register, column: str) -> None:
    plain = [t for t in TRANSFORMS[column] if not isinstance(t, Pseudonym)]
    values = {t: released(register, column, t) for t in plain}
    joined = 0
    for one, other in itertools.combinations(plain, 2):
        both = combined(one, other)
        if both is None:
            continue
        joined += 1
        told = values[both] if both in values else released(register, column, both)
        for part in (one, other):
            seen: dict[Any, Any] = {}
            for key, answer in told.items():
                assert seen.setdefault(values[part][key], answer) == answer, (one, other, key)
    assert joined >= len(plain) - 1


def grant(rng: random.Random) -> Agreement:
    """Terms with random columns, rows and transforms; the instant of the visit is the key of a row."""
    columns = rng.sample(sorted(TRANSFORMS), rng.randint(2, 5))
    chosen = {c: rng.choice(TRANSFORMS[c]) for c in columns if rng.random() < 0.5}
    rows = rng.choice(
        [
            None,
            {"column": "age", "op": "gteq", "value": rng.choice([10, 40])},
            {"column": "district", "op": "in", "value": ["north", "south"]},
            {"not": {"column": "insured", "op": "eq", "value": True}},
        ]
    )
    document = agreement(
        "urn:civic:dept:3",
        "urn:civic:dept:9",
        "urn:civic:asset:3.1",
        columns=["seen", *columns],
        purposes=(),
        rows=rows,
        transforms={c: transform_to_json(t) for c, t in chosen.items()} or None,
    )
    parsed = parse_terms(document)
    assert isinstance(parsed, Agreement)
    return parsed


def rows_of(register: Register, permit: Permit) -> dict[Any, dict[str, Any]]:
    plan = compile_plan(parse_query({}), permit, register.schema)
    return {row["seen"]: row for row in register.read(plan) if row["seen"] is not None}


def test_answer_under_a_chain_is_computable_from_each_grants_answer(
    register: Register,
) -> None:
    rng = random.Random(11)
    request = Request("urn:civic:dept:9", "urn:civic:asset:3.1", "read", "dpv:PublicBenefit")
    permits = 0
    for _ in range(60):
        chain = [(f"0x{n}", grant(rng)) for n in range(rng.randint(2, 4))]
        (leaf, terms), *above = chain
        answer = decide(request, {leaf: terms}, NOON, ancestors={leaf: above})
        if not isinstance(answer, Permit):
            assert {reason.code for reason in answer.reasons} == {"transform.incompatible"}
            continue
        permits += 1
        try:
            told = rows_of(register, answer)
            each = [rows_of(register, decide(request, {name: one}, NOON)) for name, one in chain]  # type: ignore[arg-type]
        except TransformNotApplicable:
            continue
        for rows in each:
            assert set(told) <= set(rows)
            for column in answer.columns:
                seen: dict[Any, Any] = {}
                for key, row in told.items():
                    assert seen.setdefault(rows[key][column], row[column]) == row[column], column
    assert permits > 20
