"""The order of protected rows: the same over a grant's calls, and no help in joining two grants' extracts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import Compare, RowPredicate
from access_policy.terms.transforms import Band, Clamp, Ladder, Mask, Pseudonym, Round, Transform

from .conftest import SECRET

SCHEMA = parse_schema(
    {
        "fields": [
            {"name": "row", "type": "integer"},
            {"name": "id", "type": "string", "class": "identifier"},
            {"name": "group", "type": "string"},
            {"name": "pay", "type": "number"},
            {"name": "empty", "type": "string"},
        ],
        "personKey": "id",
    }
)
ROWS = 3_000
HIDING: list[Transform] = [Mask(1, 0), Pseudonym(), Ladder((("C00001", "known"),)), Mask(0, 9)]


class Table:
    """One table on disk, and reads of it under a grant."""

    def __init__(self, directory: Path, scanner: Scanner) -> None:
        self._directory, self._scanner = directory, scanner

    def write(self, rows: list[dict[str, Any]], name: str = "table") -> None:
        table = pa.Table.from_pylist(rows, schema=ARROW)
        pq.write_table(table, self._directory / f"{name}.parquet", row_group_size=500)
        lines = [",".join("" if row[n] is None else str(row[n]) for n in SCHEMA.names()) for row in rows]
        text = "\n".join([",".join(SCHEMA.names()), *lines]) + "\n"
        (self._directory / f"{name}.csv").write_text(text, encoding="utf-8")

    def read(
        self,
        grant: str,
        transforms: dict[str, Transform],
        query: object = None,
        *,
        rows: RowPredicate | None = None,
        file_format: str = "parquet",
        name: str = "table",
        protected: bool = False,
    ) -> list[dict[str, Any]]:
        permit = Permit(grant, "r", SCHEMA.names(), rows, transforms, protected=protected)
        plan = compile_plan(parse_query(query or {}), permit, SCHEMA)
        source = Source(str(self._directory / f"{name}.{file_format}"), file_format, SCHEMA)  # type: ignore[arg-type]
        with self._scanner.scan(plan, source, derive_grant_key(SECRET, grant)) as scan:
            return [row for batch in scan for row in batch.to_pylist()]


ARROW = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("group", pa.string()),
        ("pay", pa.float64()),
        ("empty", pa.string()),
    ]
)


def rows_of(count: int) -> list[dict[str, Any]]:
    """The column ``row`` identifies every row; there is one group, so there are many ties."""
    return [
        {"row": i, "id": f"C{i:05d}", "group": "all", "pay": float(i % 7), "empty": None}
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("order")
    with Scanner([directory], size=2, timeout=30) as scanner:
        made = Table(directory, scanner)
        made.write(rows_of(ROWS))
        yield made


def joined(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> int:
    """The number of positions at which two extracts have the same source row."""
    return sum(a["row"] == b["row"] for a, b in zip(first, second, strict=True))


CHANCE = 12
"""Of 3,000 rows one is expected to agree by chance; more than 12 do so once in 10^10 runs."""


@pytest.mark.parametrize("hiding", HIDING)
@pytest.mark.parametrize(
    "query", [{}, {"order": [{"column": "group"}]}, {"order": [{"column": "id"}], "limit": 1500}]
)
def test_two_grants_do_not_join_by_position(table: Table, hiding: Transform, query: dict[str, Any]) -> None:
    """``row`` is in both extracts only so that the test can count."""
    first = table.read("0x01", {"id": hiding, "empty": Mask()}, query)
    second = table.read("0x02", {"id": hiding, "pay": Band(2)}, query)
    assert joined(first, second) <= CHANCE
    assert sum(row["row"] == i for i, row in enumerate(first)) <= CHANCE, "nor with the source"


def test_a_kept_column_of_a_protected_grant_does_not_show_source_order(table: Table) -> None:
    found = table.read("0x01", {}, {"columns": ["row"]}, protected=True)
    assert sum(row["row"] == i for i, row in enumerate(found)) <= CHANCE
    assert sorted(row["row"] for row in found) == list(range(ROWS))


def test_two_grants_that_alter_nothing_and_withhold_columns_do_not_join_by_position(table: Table) -> None:
    """One department reads the names, another the incomes: neither can join the other's column by
    position."""
    first = table.read("0x01", {}, {"columns": ["row", "id"]})
    second = table.read("0x02", {}, {"columns": ["row", "pay"]})
    assert joined(first, second) <= CHANCE
    assert sum(row["row"] == i for i, row in enumerate(first)) <= CHANCE


def test_whole_rows_are_released_in_source_order(table: Table) -> None:
    found = table.read("0x01", {})
    assert [row["row"] for row in found] == list(range(ROWS))


def test_calls_of_one_grant_have_the_same_order(table: Table) -> None:
    hidden: dict[str, Transform] = {"id": Mask(1, 0)}
    whole = table.read("0x01", hidden)
    assert table.read("0x01", hidden) == whole
    assert table.read("0x01", hidden, {"limit": 100}) == whole[:100]
    assert table.read("0x01", hidden, {"limit": 2_000}) == whole[:2_000]
    assert table.read("0x01", hidden, file_format="csv") == whole


def test_limit_does_not_reveal_source_order(table: Table) -> None:
    found = table.read("0x01", {"id": Mask(1, 0)}, {"limit": 300})
    early = sum(row["row"] < 300 for row in found)
    assert early < 80, "thirty by chance"


def test_the_first_rows_do_not_depend_on_their_place_in_the_file(table: Table) -> None:
    table.write(list(reversed(rows_of(ROWS))), "reversed")
    for query in ({}, {"limit": 50}, {"order": [{"column": "pay"}]}, {"columns": ["pay", "empty"]}):
        for rule in HIDING:
            assert table.read("0x01", {"id": rule}, query) == table.read(
                "0x01", {"id": rule}, query, name="reversed"
            )


def test_hidden_rows_leave_no_gap(table: Table) -> None:
    """A row filter hides half of the rows: the others are returned as if the hidden ones did not exist."""
    table.write([row for row in rows_of(ROWS) if row["row"] < 1_500], "half")
    hidden: dict[str, Transform] = {"id": Mask(1, 0)}
    filtered = table.read("0x01", hidden, rows=Compare("row", "lt", 1_500))
    assert filtered == table.read("0x01", hidden, name="half")


def test_equal_values_that_are_written_in_two_ways_do_not_show_source_order(table: Table) -> None:
    """A sort treats zero and minus zero as equal; an answer does not."""
    made = [
        {"row": 1, "id": "x", "group": "g", "pay": 0.0 if i % 3 else -0.0, "empty": None} for i in range(60)
    ]
    table.write(made, "zeros")
    table.write(made[::-1], "zeros-reversed")
    for query in ({}, {"order": [{"column": "pay"}]}):
        first, second = (
            [str(row["pay"]) for row in table.read("0x01", {"id": Mask()}, query, name=name)]
            for name in ("zeros", "zeros-reversed")
        )
        assert first == second


cells = st.fixed_dictionaries(
    {
        "row": st.none() | st.integers(-3, 40),
        "id": st.none() | st.sampled_from(["", "a", "ab", "1:a", ":", "王芳", "é", "e\u0301"]),
        "group": st.none() | st.sampled_from(["", "a", "1:", "a1:a"]),
        "pay": st.none() | st.sampled_from([0.0, -0.0, 1.5, 1e300, float("inf")]),
        "empty": st.none(),
    }
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "row": st.sampled_from([Round(5), Clamp(0, 9), Band(10)]),
        "id": st.sampled_from(HIDING),
        "group": st.just(Mask(1, 1)),
        "empty": st.just(Mask()),
    },
)


def exact(rows: list[dict[str, Any]]) -> list[str]:
    return [repr(row) for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(cells, min_size=1, max_size=40), rules=RULES, data=st.data())
def test_the_order_is_a_function_of_what_is_released_and_the_rows_are_unchanged(
    table: Table, rows: list[dict[str, Any]], rules: dict[str, Transform], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    names = data.draw(st.lists(st.sampled_from(SCHEMA.names()), unique=True))
    asked = data.draw(st.lists(st.sampled_from(SCHEMA.names()), unique=True, max_size=2))
    query: dict[str, Any] = {"columns": names, "order": [{"column": name} for name in asked]}
    table.write(rows, "one")
    table.write(shuffled, "other")
    first = table.read("0x01", rules, query, name="one", protected=True)
    second = table.read("0x01", rules, query, name="other", protected=True)
    assert exact(first) == exact(second)
    plain = table.read("0x01", rules, {"columns": names}, name="one", protected=True)
    assert Counter(exact(first)) == Counter(exact(plain))
    assert len(first) == len(rows)
    limit = data.draw(st.integers(1, 50))
    assert (
        exact(table.read("0x01", rules, query | {"limit": limit}, name="other", protected=True))
        == exact(first)[:limit]
    )
