"""Cells that are not of their declared type: their effect in the steward's filter, in transforms, in the
answer and in the report. The metadata of a file has no effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.quality import check_quality
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, SchemaError, parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Or, RowPredicate
from access_policy.terms.transforms import Band, Clamp, Round, Transform, Truncate

from .conftest import SECRET

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    directory = tmp_path_factory.mktemp("odd")
    with Scanner([directory], size=1, timeout=30) as opened:
        yield opened, directory


class Odd:
    """A file with one odd column and a number for each row."""

    def __init__(self, scanner: Scanner, source: Source) -> None:
        self.scanner, self.source = scanner, source

    def read(
        self,
        rows: RowPredicate | None = None,
        transforms: Mapping[str, Transform] | None = None,
        where: object = None,
    ) -> list[dict[str, Any]]:
        schema = self.source.schema
        permit = Permit("0x01", "r1", schema.names(), rows, dict(transforms or {}))
        plan = compile_plan(parse_query({"where": where} if where else {}), permit, schema)
        with self.scanner.scan(plan, self.source, derive_grant_key(SECRET, "0x01")) as scan:
            return sorted((row for batch in scan for row in batch.to_pylist()), key=lambda row: row["n"])

    def rows(self, rows: RowPredicate | None = None, **more: Any) -> list[int]:
        return [row["n"] for row in self.read(rows, **more)]

    def values(self, **more: Any) -> list[Any]:
        return [row["v"] for row in self.read(**more)]

    def defects(self) -> list[int | None]:
        return [defect.row for defect in check_quality(self.source).defects]


@pytest.mark.parametrize(
    ("step", "cells", "rounded", "bands"),
    [
        (
            0.1,
            ["0.3", "0.31", "-0.3", "0.7", "1e300"],
            [0.3, 0.3, -0.3, 0.7, 1e300],
            ["[0.3, 0.4)", "[0.3, 0.4)", "[-0.3, -0.2)", "[0.7, 0.8)", "*"],
        ),
        (0.05, ["0.15", "1.07"], [0.15, 1.05], ["[0.15, 0.2)", "[1.05, 1.1)"]),
        (
            0.1,
            ["1.15", "116.05", "-15.35"],
            [1.2, 116.1, -15.4],
            ["[1.1, 1.2)", "[116.0, 116.1)", "[-15.4, -15.3)"],
        ),
        (2.5, ["7.6", "-1"], [7.5, 0.0], ["[7.5, 10.0)", "[-2.5, 0.0)"]),
    ],
)
def test_steps_and_bands_are_printed_as_they_were_asked(
    step: float, cells: list[str], rounded: list[float], bands: list[str], scanner: Any
) -> None:
    odd = csv_of(scanner, "number", cells)
    assert odd.values(transforms={"v": Round(step)}) == rounded
    assert odd.values(transforms={"v": Band(step)}) == bands


def schema_of(kind: str, **more: Any) -> AssetSchema:
    return parse_schema({"fields": [{"name": "n", "type": "integer"}, {"name": "v", "type": kind}], **more})


def csv_of(scanner: Any, kind: str, cells: Sequence[str], **more: Any) -> Odd:
    opened, directory = scanner
    path = directory / f"{abs(hash((kind, *cells, str(more))))}.csv"
    path.write_text("n,v\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(cells, 1)))
    return Odd(opened, Source(str(path), "csv", schema_of(kind, **more)))


def parquet_of(scanner: Any, kind: str, column: pa.Array, options: Any = None, **more: Any) -> Odd:
    opened, directory = scanner
    path = directory / f"{len(list(directory.iterdir()))}.parquet"
    table = pa.table({"n": pa.array(range(1, len(column) + 1)), "v": column})
    pq.write_table(table, path, **(options or {}))
    return Odd(opened, Source(str(path), "parquet", schema_of(kind, **more)))


FILTERS: list[tuple[RowPredicate, list[int]]] = [
    (Compare("v", "gt", 35), [4]),
    (Compare("v", "neq", 10), [4]),
    (Not(Compare("v", "lteq", 35)), [4]),
    (Not(In("v", (10,))), [4]),
    (IsNull("v"), [3]),
    (Not(IsNull("v")), [1, 4]),
    (Or((IsNull("v"), Not(IsNull("v")))), [1, 3, 4]),
    (And((Not(IsNull("v")), Compare("n", "gt", 1))), [4]),
]


@pytest.mark.parametrize("odd", ["NaN", "inf", "-Infinity", "1e400", "1_000", " 12", "0x1F", "12,5"])
@pytest.mark.parametrize(("rows", "kept"), FILTERS, ids=str)
def test_invalid_number_in_csv_passes_no_filter(
    odd: str, rows: RowPredicate, kept: list[int], scanner: Any
) -> None:
    assert csv_of(scanner, "number", ["10", odd, "", "50"]).rows(rows) == kept


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
@pytest.mark.parametrize(("rows", "kept"), FILTERS, ids=str)
@pytest.mark.parametrize("physical", [pa.float64(), pa.float32()], ids=str)
def test_invalid_number_in_parquet_passes_no_filter(
    odd: float, rows: RowPredicate, kept: list[int], physical: pa.DataType, scanner: Any
) -> None:
    assert parquet_of(scanner, "number", pa.array([10, odd, None, 50], physical)).rows(rows) == kept


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_invalid_number_is_released_as_null(odd: float, scanner: Any) -> None:
    odd_file = parquet_of(scanner, "number", pa.array([10.0, odd, None, 500.0]))
    for transform, wanted in [
        (Clamp(0, 90), [10.0, None, None, 90.0]),
        (Band(100), ["[0.0, 100.0)", None, None, "[500.0, 600.0)"]),
        (Round(5), [10.0, None, None, 500.0]),
    ]:
        assert odd_file.values(transforms={"v": transform}) == wanted
    assert odd_file.rows(where={"column": "v", "op": "gt", "value": 35}) == [4]
    assert odd_file.defects() == [2]


@pytest.mark.parametrize(
    ("kind", "cells", "good"),
    [
        ("date", ["2024-05-01", "", "2024/05/01", "2024-13-01", "2024-02-29", "infinity"], [1, 5]),
        ("integer", ["7", "", "7.0", "seven", "-007", "1e3"], [1, 5]),
        ("boolean", ["true", "", "yes", "t", "0", "wahr"], [1, 5]),
        ("time", ["10:00:00", "", "24:00:00", "23:59:60", "09:30:00.5", "09:30"], [1, 5]),
        ("year", ["2024", "", "24", "twenty", "1999", "2024.0"], [1, 5]),
        ("yearmonth", ["2024-05", "", "2024-13", "05/2024", "1999-12", "2024-5"], [1, 5]),
        (
            "datetime",
            [
                "2024-01-01T00:00:00Z",
                "",
                "2024-01-01T24:00:00Z",
                "infinity",
                "2024-01-01 08:00+08:00",
                "2024/1/3",
            ],
            [1, 5],
        ),
        (
            "datetime",
            [
                "2024-01-01T00:00:00Z",
                "",
                "2024-01-01T00:00:00",
                "2024-12-31T23:59:60Z",
                "2024-01-01T08:00:00+08",
                "epoch",
            ],
            [1, 5],
        ),
    ],
)
def test_invalid_cell_is_unknown_in_the_stewards_filter(
    kind: str, cells: list[str], good: list[int], scanner: Any
) -> None:
    odd = csv_of(scanner, kind, cells)
    assert odd.rows(IsNull("v")) == [2]
    assert odd.rows(Not(IsNull("v"))) == good
    assert odd.rows(Or((IsNull("v"), Compare("n", "eq", 3)))) == [2, 3]
    assert odd.rows(Not(Or((IsNull("v"), Compare("n", "eq", 1))))) == [5]
    assert odd.defects() == [3, 4, 6]
    assert [row is None for row in odd.values()] == [n not in good for n in range(1, 7)]


def test_a_parquet_file_with_a_group_of_nulls_does_not_defeat_the_filter(scanner: Any) -> None:
    """Plain encoding with statistics, as `pyarrow` writes it without dictionaries: one group of nulls, one of one value."""
    column = pa.array([None] * 1000 + ["case"] * 1000, pa.string())
    odd = parquet_of(scanner, "string", column, {"use_dictionary": False, "row_group_size": 1000})
    assert odd.rows(IsNull("v")) == list(range(1, 1001))
    assert odd.rows(Not(IsNull("v"))) == list(range(1001, 2001))


def patched(path: Path, old: bytes, new: bytes) -> None:
    """Change the footer, not the data: the last occurrences of ``old`` are in the footer."""
    body = path.read_bytes()
    length = int.from_bytes(body[-8:-4], "little")
    data, footer = body[: -8 - length], body[-8 - length :]
    assert (footer.count(old) > 0, len(old)) == (True, len(new))
    path.write_bytes(data + footer.replace(old, new))


@pytest.mark.parametrize(
    ("written", "said", "rows", "kept"),
    [
        (["nsw", "nsw", "vic", "qld"], (b"vic", b"nat"), Compare("v", "eq", "nsw"), [1, 2]),
        (["vic", "vic", "vic", "vic"], (b"vic", b"nsw"), Compare("v", "eq", "nsw"), []),
        (["vic", "vic", "vic", "vic"], (b"vic", b"nsw"), Compare("v", "eq", "vic"), [1, 2, 3, 4]),
        (["vic", "vic", "vic", "vic"], (b"vic", b"nsw"), Not(Compare("v", "eq", "vic")), []),
        (["vic", "vic", "vic", "vic"], (b"vic", b"nsw"), In("v", ("nsw", "qld")), []),
    ],
)
def test_stated_minimum_and_maximum_have_no_effect(
    written: list[str], said: tuple[bytes, bytes], rows: RowPredicate, kept: list[int], scanner: Any
) -> None:
    odd = parquet_of(scanner, "string", pa.array(written), {"use_dictionary": False, "compression": "none"})
    patched(Path(odd.source.path), *said)
    assert odd.rows(rows) == kept


@pytest.mark.parametrize("bound", [90, 100])
def test_stated_bounds_of_numbers_have_no_effect(bound: int, scanner: Any) -> None:
    odd = parquet_of(scanner, "integer", pa.array([10, 30, 95], pa.int64()), {"use_dictionary": False})
    ten = (10).to_bytes(8, "little")
    patched(Path(odd.source.path), ten, (99).to_bytes(8, "little"))
    assert odd.rows(Compare("v", "gteq", bound)) == ([3] if bound == 90 else [])
    assert odd.rows(Compare("v", "lt", bound)) == ([1, 2] if bound == 90 else [1, 2, 3])


def test_one_extreme_instant_does_not_stop_every_read(scanner: Any) -> None:
    moments = pa.array([0, 2**63 - 1, -(2**63) + 1, None, 1_700_000_000_000], pa.timestamp("ms", tz="UTC"))
    odd = parquet_of(scanner, "datetime", moments)
    assert odd.rows(Not(IsNull("v"))) == [1, 5]
    assert odd.rows() == [1, 2, 3, 4, 5]
    local = parquet_of(scanner, "datetime", moments.cast(pa.timestamp("ms")), zone="Asia/Shanghai")
    assert local.rows(Not(IsNull("v"))) == [1, 5]


def test_days_and_months_are_those_of_the_schemas_zone(scanner: Any) -> None:
    cells = ["2024-01-01T00:30:00+08:00", "2023-12-31T15:59:00Z", "2024-01-01T00:30:00", "2023-12-31 23:59"]
    odd = csv_of(scanner, "datetime", cells, zone="Asia/Shanghai")
    assert odd.values(transforms={"v": Truncate("month")}) == ["2024-01", "2023-12", "2024-01", "2023-12"]
    assert odd.values(transforms={"v": Truncate("year")}) == [2024, 2023, 2024, 2023]
    assert [value.astimezone(dt.UTC).isoformat() for value in odd.values()] == [
        "2023-12-31T16:30:00+00:00",
        "2023-12-31T15:59:00+00:00",
        "2023-12-31T16:30:00+00:00",
        "2023-12-31T15:59:00+00:00",
    ]
    assert odd.defects() == []


def test_skipped_or_repeated_local_hour_is_a_defect(scanner: Any) -> None:
    cells = ["2026-03-29T02:30:00", "2026-10-25T02:30:00", "2026-03-29T03:30:00", "2026-10-25T02:30:00+01:00"]
    odd = csv_of(scanner, "datetime", cells, zone="Europe/Berlin")
    assert odd.defects() == [1, 2]
    assert [value is None for value in odd.values()] == [True, True, False, False]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "localtime", "../../etc/passwd", 8, "asia/shanghai"])
def test_a_zone_is_a_name_of_the_time_zone_database(zone: object) -> None:
    with pytest.raises(SchemaError) as refused:
        schema_of("datetime", zone=zone)
    assert refused.value.pointer == "/zone"


@pytest.mark.parametrize(
    ("kind", "column", "broken"),
    [
        ("integer", pa.array([1.0, 1.7, 2.0**60, 1e30]), [2, 4]),
        ("number", pa.array([1, 2**53, 2**53 + 1], pa.int64()), [3]),
        ("number", pa.array([1, 2**63, 2**64 - 1], pa.uint64()), [3]),
        ("integer", pa.array([1, 2**63 - 1, 2**63], pa.uint64()), [3]),
        ("date", pa.array([0, 86_400_000_000, 1], pa.timestamp("us")), [3]),
        ("datetime", pa.array([0, 1000, 1001], pa.timestamp("ns")), [3]),
    ],
    ids=str,
)
def test_value_that_the_declared_type_cannot_hold_is_a_defect(
    kind: str, column: pa.Array, broken: list[int], scanner: Any
) -> None:
    odd = parquet_of(scanner, kind, column, zone="UTC")
    assert odd.defects() == broken
    assert [row["n"] for row in odd.read() if row["v"] is None] == broken
