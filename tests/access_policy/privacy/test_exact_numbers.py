"""Numbers are released as they are written: exact decimals, whole numbers of any size, and what inference leaves text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.encoding import AnswerFormat, Encoder
from access_policy.privacy.execution.quality import check_quality
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import PlanError, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source, SourceMismatch
from access_policy.terms.rows import Compare, In, Not, RowPredicate
from access_policy.terms.transforms import Band, Clamp, Ladder, Mask, Round, Transform

from .conftest import SECRET, inferred_schema

MONEY = [
    "12.50",
    "-0.01",
    "90071992547409.93",
    "12345678901234567.89",
    "999999999999999999999999999999999999.99",
]


class Reads:
    def __init__(self, scanner: Scanner, directory: Path) -> None:
        self.scanner, self.directory = scanner, directory

    def csv(self, cells: list[str]) -> Path:
        path = self.directory / "cells.csv"
        path.write_text("v\n" + "".join(f'"{cell}"\n' for cell in cells))
        return path

    def parquet(self, column: pa.Array) -> Path:
        path = self.directory / "cells.parquet"
        pq.write_table(pa.table({"v": column}), path)
        return path

    def answer(
        self,
        path: Path,
        schema: AssetSchema,
        answer: AnswerFormat = "json",
        *,
        rows: RowPredicate | None = None,
        transform: Transform | None = None,
        where: object = None,
    ) -> Any:
        permit = Permit("0x01", "r1", schema.names(), rows, {} if transform is None else {"v": transform})
        plan = compile_plan(parse_query({"where": where} if where else {}), permit, schema)
        source = Source(str(path), "parquet" if path.suffix == ".parquet" else "csv", schema)
        with self.scanner.scan(plan, source, derive_grant_key(SECRET, "0x01")) as scan:
            body = b"".join(Encoder(scan, scan.schema, answer))
        if answer == "json":
            return [row["v"] for row in json.loads(body)]
        if answer == "arrow":
            return pa.ipc.open_stream(body).read_all().column("v")
        return body.decode().splitlines()[1:]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reads]:
    directory = tmp_path_factory.mktemp("exact")
    with Scanner([directory], size=1, timeout=30) as scanner:
        yield Reads(scanner, directory)


def of_type(kind: str) -> AssetSchema:
    return parse_schema({"fields": [{"name": "v", "type": kind}]})


def test_decimals_are_released_unchanged(reads: Reads) -> None:
    schema = of_type("decimal(2)")
    for path in (
        reads.csv(MONEY),
        reads.parquet(pa.array([Decimal(one) for one in MONEY], pa.decimal128(38, 2))),
    ):
        assert reads.answer(path, schema) == MONEY
        assert reads.answer(path, schema, "csv") == MONEY
        arrow = reads.answer(path, schema, "arrow")
        assert arrow.type == pa.decimal128(38, 2)
        assert arrow.to_pylist() == [Decimal(one) for one in MONEY]
        assert check_quality(Source(str(path), path.suffix[1:], schema)).clean  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (Compare("v", "gt", "90071992547409.92"), MONEY[2:]),
        (Compare("v", "eq", "90071992547409.93"), MONEY[2:3]),
        (Compare("v", "eq", 12.5), MONEY[:1]),
        (Compare("v", "lt", 0), MONEY[1:2]),
        (Not(In("v", ("12.5", "-0.01"))), MONEY[2:]),
    ],
)
def test_money_is_compared_exactly(rows: RowPredicate, kept: list[str], reads: Reads) -> None:
    assert reads.answer(reads.csv(MONEY), of_type("decimal(2)"), rows=rows) == kept


@pytest.mark.parametrize("value", ["12.505", "1e3", " 1", True, 0.1234567890123456, "NaN", "1" * 40])
def test_a_value_that_the_column_cannot_hold_is_refused(value: Any, reads: Reads) -> None:
    with pytest.raises(PlanError):
        reads.answer(
            reads.csv(MONEY), of_type("decimal(2)"), where={"column": "v", "op": "eq", "value": value}
        )


@pytest.mark.parametrize(
    ("transform", "released"),
    [
        (Round(5), ["15.00", "0.00", "90071992547410.00"]),
        (Round(0.05), ["12.50", "0.00", "90071992547409.95"]),
        (Clamp(0, 1000), ["12.50", "0.00", "1000.00"]),
        (Band(2.5), ["[12.50, 15.00)", "[-2.50, 0.00)", "[90071992547407.50, 90071992547410.00)"]),
        (Mask(0, 3), ["**.50", "**.01", "**************.93"]),
        (Ladder((("12.50", "ticket"),)), ["ticket", "*", "*"]),
    ],
)
def test_money_is_transformed_exactly(transform: Transform, released: list[str], reads: Reads) -> None:
    found = reads.answer(reads.csv(MONEY[:3]), of_type("decimal(2)"), transform=transform)
    assert sorted(found) == sorted(released)


def test_a_step_finer_than_the_column_is_refused(reads: Reads) -> None:
    with pytest.raises(PlanError) as refused:
        reads.answer(reads.csv(MONEY), of_type("decimal(2)"), transform=Round(0.001))
    assert refused.value.code == "transform.not-applicable"


@pytest.mark.parametrize("transform", [Round(5), Round(0.01), Clamp(None, 5), Band(1), Band(0.01)])
def test_any_decimal_is_scanned_without_an_error(transform: Transform, reads: Reads) -> None:
    cells = ["9" * 36 + ".99", "-" + "9" * 36 + ".99", "0", "-0.00"]
    assert len(reads.answer(reads.csv(cells), of_type("decimal(2)"), transform=transform)) == 4


def test_small_decimals_have_no_exponent(reads: Reads) -> None:
    cells = ["0.000000000000000001", "10.000000000000000000", "-0.000000100000000000"]
    for answer in ("json", "csv"):
        found = reads.answer(reads.csv(cells), of_type("decimal(18)"), answer)  # type: ignore[arg-type]
        assert [one.strip('"') for one in found] == cells


def test_whole_numbers_beyond_what_json_readers_hold_are_text_there(reads: Reads) -> None:
    numbers = [1, 2**53 - 1, 2**53, -(2**53), 2**63 - 1, -(2**63), None]
    wanted = [1, 2**53 - 1, str(2**53), str(-(2**53)), str(2**63 - 1), str(-(2**63)), None]
    path = reads.parquet(pa.array(numbers, pa.int64()))
    assert reads.answer(path, of_type("integer")) == wanted
    where = {"column": "v", "op": "eq", "value": str(2**53)}
    assert reads.answer(path, of_type("integer"), where=where) == [str(2**53)]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-7", "0"], "integer"),
        (["+8613800138000", "+8613900139000"], "string"),
        (["12E3", "101"], "string"),
        (["8e3", "1"], "string"),
        (["-007", "-008"], "string"),
        (["007"], "string"),
        (["1_000"], "string"),
        ([" 12", "13"], "string"),
        (["110101199003071234", "110101199003071235"], "string"),
        ([str(2**53 - 1)], "integer"),
        ([str(2**53)], "string"),
        (["12.50", "3.00"], "decimal(2)"),
        (["12345678901234567.89", "1.10"], "decimal(2)"),
        (["90071992547409.93", "90071992547409.90"], "decimal(2)"),
        (["12.5", "0.25", "3"], "number"),
        (["12.50", "3"], "string"),
        (["12.50", "3.005"], "string"),
        (["1.0", "-0.0"], "number"),
        (["-0.00", "1.00"], "string"),
        ([".5"], "string"),
        (["5."], "string"),
        (["NaN", "1.5"], "string"),
        (["inf"], "string"),
        (["1e400"], "string"),
        (["true", "false"], "boolean"),
        (["True"], "string"),
        (["1", "0", "true"], "string"),
        (["2024-02-29"], "date"),
        (["2024-02-30"], "string"),
        (["2024/1/3"], "string"),
        (["2024-01-01T00:00:00Z", "2024-01-01 08:00:00+08:00"], "datetime"),
        (["2024-01-01T00:00:00"], "string"),
        (["10:00:00"], "time"),
        (["", ""], "string"),
        (["0.1" + "0" * 30, "0.2" + "0" * 30], "string"),
    ],
)
def test_a_type_is_guessed_only_where_nothing_is_lost(cells: list[str], kind: str, reads: Reads) -> None:
    [column] = inferred_schema(reads.csv(cells)).columns
    assert column.type == kind


def test_local_times_become_instants_in_the_zone(reads: Reads) -> None:
    schema = inferred_schema(reads.csv(["2024-01-01 00:30:00"]), zone="Asia/Shanghai")
    assert (schema.columns[0].type, schema.zone) == ("datetime", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([Decimal("1.25")], pa.decimal128(38, 2)), "decimal(2)"),
        (pa.array([2**64 - 1], pa.uint64()), "decimal(0)"),
        (pa.array([Decimal("1")], pa.decimal128(38, 20)), "string"),
        (pa.array([2**63 - 1], pa.int64()), "integer"),
    ],
    ids=str,
)
def test_the_types_of_a_parquet_file_are_kept_exactly(column: pa.Array, kind: str, reads: Reads) -> None:
    path = reads.parquet(column)
    schema = inferred_schema(path)
    assert schema.columns[0].type == kind
    [released] = reads.answer(path, schema)
    assert Decimal(released) == Decimal(column.to_pylist()[0])


def test_decimals_that_the_engine_would_round_are_refused(reads: Reads) -> None:
    path = reads.parquet(pa.array([Decimal("1" * 45)], pa.decimal256(50, 0)))
    with pytest.raises(SourceMismatch, match="38 digits"):
        check_quality(Source(str(path), "parquet", of_type("number")))


def test_the_report_names_numbers_that_were_rounded(reads: Reads) -> None:
    cells = [
        "0.1",
        "0.30000000000000004",
        "12345678901234567.89",
        "0.1234567890123456789",
        "1e5",
        "9007199254740993",
    ]
    report = check_quality(Source(str(reads.csv(cells)), "csv", of_type("number")))
    assert [(one.kind, one.row) for one in report.defects] == [("rounded", 3), ("rounded", 4), ("rounded", 6)]


texts = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[+-]?[0-9 _.eE]{1,8}", fullmatch=True),
    st.sampled_from(
        ["NaN", "inf", "true", "TRUE", "2024-01-01", "1e400", "2024-01-01T00:00:00Z", "24:00:00"]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.one_of(st.lists(texts, min_size=1, max_size=4), texts.map(lambda one: [one] * 2)))
@example(cells=["1.10", "12345678901234567890.99"])
def test_inferred_values_are_released_as_written(cells: list[str], reads: Reads) -> None:
    path = reads.csv(cells)
    schema = inferred_schema(path)
    released = reads.answer(path, schema)
    shown = [json.dumps(one).strip('"') for one in released]
    if schema.columns[0].type == "number":  # In a column with 0.5, 3 is the same number as 3.0.
        assert [repr(float(one)) for one in shown] == [repr(float(one)) for one in cells]
    else:
        assert shown == cells
    assert check_quality(Source(str(path), "csv", schema)).clean
