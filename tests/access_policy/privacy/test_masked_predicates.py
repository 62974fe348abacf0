"""Hidden values cannot be found by queries."""

from __future__ import annotations

from collections import Counter

import pytest

from access_policy.terms.rows import Compare
from access_policy.terms.transforms import Mask, Pseudonym, Transform, Truncate

from .conftest import ROWS, Register


def count(register: Register, where: object, transforms: dict[str, Transform]) -> int:
    plan = register.plan({"columns": ["district"], "where": where}, transforms)
    return len(register.read(plan))


@pytest.mark.parametrize("transform", [Mask(1, 0), Pseudonym()])
def test_the_true_value_of_a_hidden_column_matches_nothing(register: Register, transform: Transform) -> None:
    transforms: dict[str, Transform] = {"citizen id": transform}
    for value in {row["citizen id"] for row in ROWS} - {None}:
        assert count(register, {"column": "citizen id", "op": "eq", "value": value}, transforms) == 0


def test_the_masked_value_matches_what_was_released(register: Register) -> None:
    where = {"column": "citizen id", "op": "eq", "value": "C***"}
    present = sum(row["citizen id"] is not None for row in ROWS)
    assert count(register, where, {"citizen id": Mask(1, 0)}) == present
    assert count(register, {"not": where}, {"citizen id": Mask(1, 0)}) == 0


def test_generalised_date_is_compared_by_month(register: Register) -> None:
    transforms: dict[str, Transform] = {"born": Truncate("month")}
    month = {"column": "born", "op": "eq", "value": "1930-01"}
    assert count(register, month, transforms) == sum(
        row["born"] is not None and row["born"].isoformat()[:7] == "1930-01" for row in ROWS
    )


def test_order_by_a_hidden_column_uses_released_values(register: Register) -> None:
    query = {"columns": ["age"], "order": [{"column": "citizen id"}]}
    masked = [row["age"] for row in register.read(register.plan(query, {"citizen id": Mask(0, 0, "x")}))]
    # All masks are equal, so the order only shows which rows have no number: those come last.
    halves = [[r["age"] for r in ROWS if (r["citizen id"] is None) is absent] for absent in (False, True)]
    middle = len(halves[0])
    for found, half in zip((masked[:middle], masked[middle:]), halves, strict=True):
        assert Counter(found) == Counter(half)
        assert found not in (half, sorted(half, key=lambda age: (age is None, age or 0)))


def test_stewards_filter_uses_source_values_before_the_grantees_filter(register: Register) -> None:
    rows = Compare("citizen id", "eq", "C001")
    plan = register.plan(
        {"where": {"column": "age", "op": "gteq", "value": -3}}, {"citizen id": Mask()}, rows=rows
    )
    wanted = [r for r in ROWS if r["citizen id"] == "C001" and r["age"] is not None]
    assert [row["age"] for row in register.read(plan)] == [r["age"] for r in wanted]
    assert wanted
