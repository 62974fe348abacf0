"""False statements in Parquet files: a row filter cannot be bypassed by a file's author."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.scan_errors import ScanError
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import Query
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source, SourceMismatch
from access_policy.terms.rows import IsNull, RowPredicate, parse_rows

from . import rowwise
from .parquet_by_hand import Struct, binary, chunks, i64, rewritten, spoilt, structure
from .rowwise_cells import MISSING

SCHEMA = parse_schema({"fields": [{"name": "n", "type": "integer"}, {"name": "v", "type": "string"}]})


class Place:
    def __init__(self, scanner: Scanner, directory: Path) -> None:
        self.scanner, self.path = scanner, directory / "lies.parquet"

    def source(self, schema: AssetSchema = SCHEMA) -> Source:
        return Source(str(self.path), "parquet", schema)

    def rows(self, rows: RowPredicate | None = None, schema: AssetSchema = SCHEMA) -> list[tuple[Any, ...]]:
        plan = compile_plan(Query(), Permit("0x01", "r", schema.names(), rows, {}), schema)
        with self.scanner.scan(plan, self.source(schema)) as scan:
            return [tuple(row.values()) for batch in scan for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("hostile")
    with Scanner([directory], size=1, timeout=30) as scanner:
        yield Place(scanner, directory)


def nulls(said: int) -> Any:
    """A footer that claims this many nulls in its second column."""

    def change(footer: Struct) -> None:
        column = list(chunks(footer))[1]
        column[12] = structure({3: i64(said)})

    return change


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_false_all_null_statement_releases_no_rows(version: str, place: Place) -> None:
    """Regression: with ``v isNull`` every row was released."""
    table = pa.table({"n": [1, 2, 3], "v": ["objects", "objects", None]})
    pq.write_table(table, place.path, data_page_version=version)
    assert place.rows(IsNull("v")) == [(3, None)]
    for said in (0, 2, 4):
        rewritten(place.path, nulls(said))
        assert place.rows(IsNull("v")) == [(3, None)]
    rewritten(place.path, nulls(3))
    with pytest.raises(SourceMismatch):
        place.rows(IsNull("v"))
    with pytest.raises(SourceMismatch):
        place.scanner.check_quality(place.source())


def test_a_column_that_is_all_null_is_read(place: Place) -> None:
    nothing = pa.array([None, None], pa.string())
    columns = {"n": [1, 2], "v": nothing, "a, b": nothing, "l": pa.array([None, []], pa.list_(pa.int64()))}
    pq.write_table(pa.table(columns), place.path)
    assert place.rows(IsNull("v")) == [(1, None), (2, None)]
    assert place.scanner.check_quality(place.source()).rows == 2


def test_a_bound_of_the_wrong_size_is_refused_when_the_file_is_checked(place: Place) -> None:
    """Regression: it killed the process that read it."""
    pq.write_table(pa.table({"n": [1, 2, 3], "v": ["a", "b", None]}), place.path)
    before = place.scanner.process_ids()

    def change(footer: Struct) -> None:
        column = next(chunks(footer))
        said = dict(column[12].value)
        column[12] = structure(said | {number: said[number]._replace(value=b"x") for number in (5, 6)})

    rewritten(place.path, change)
    with pytest.raises(SourceMismatch):
        place.scanner.check_quality(place.source())
    assert place.scanner.process_ids() == before


def test_an_instant_that_the_engine_cannot_read_is_refused_when_the_file_is_checked(place: Place) -> None:
    """Milliseconds that overflow a 64-bit number of microseconds: every read of the column would fail."""
    schema = parse_schema({"fields": [{"name": "n", "type": "integer"}, {"name": "v", "type": "datetime"}]})
    moments = pa.array([0, 10**18], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"n": [1, 2], "v": moments}), place.path)
    with pytest.raises(SourceMismatch):
        place.scanner.check_quality(place.source(schema))


def test_engine_failure_on_one_file_does_not_affect_others(place: Place) -> None:
    """Regression: after an internal error of the engine, the process refused every file of all
    departments."""
    honest = pa.table({"n": [1, 2], "v": ["a", None]})
    pq.write_table(honest, place.path)
    assert place.rows() == [(1, "a"), (2, None)]
    before = place.scanner.process_ids()

    def change(footer: Struct) -> None:
        next(chunks(footer))[7] = i64(-(2**31))

    rewritten(place.path, change)
    with pytest.raises(SourceMismatch):
        place.scanner.check_quality(place.source())
    pq.write_table(honest, place.path)
    assert place.rows() == [(1, "a"), (2, None)]
    assert place.scanner.process_ids() == before


def test_non_utf8_column_name_is_refused(place: Place) -> None:
    pq.write_table(pa.table({"n": [1], "v": ["a"]}), place.path)
    before = place.scanner.process_ids()
    rewritten(place.path, lambda footer: footer[2].value[1][2].update({4: binary(b"\xff\xfe")}))
    with pytest.raises(SourceMismatch):
        place.scanner.check_quality(place.source())
    assert place.scanner.process_ids() == before


KINDS = {"n": "integer", "s": "string", "d": "number", "b": "boolean"}
SPOILT = parse_schema({"fields": [{"name": name, "type": kind} for name, kind in KINDS.items()]})
FILTERS: list[dict[str, Any]] = [
    {"column": "s", "op": "isNull"},
    {"not": {"column": "s", "op": "in", "value": ["nsw", "vic"]}},
    {"column": "d", "op": "gt", "value": 35},
    {"column": "b", "op": "eq", "value": True},
]


def spoil(rng: random.Random, path: Path) -> list[str]:
    """A small honest file, and then one that is not."""
    rows = rng.choice([4, 30, 200])
    table = pa.table(
        {
            "n": range(rows),
            "s": rng.choices(["nsw", "vic", "qld", None], k=rows),
            "d": rng.choices([10.0, 35.0, 36.5, None], k=rows),
            "b": rng.choices([True, False, None], k=rows),
        }
    )
    pq.write_table(
        table,
        path,
        row_group_size=rng.choice([7, 1_000]),
        use_dictionary=rng.random() < 0.5,
        compression=rng.choice(["none", "snappy", "zstd"]),
        data_page_version=rng.choice(["1.0", "2.0"]),
        data_page_size=rng.choice([8, 64, 1 << 20]),
        write_page_index=rng.random() < 0.5,
        write_statistics=rng.random() < 0.5,
    )
    return spoilt(rng, path)


def inconsistent(place: Place, rng: random.Random) -> str | None:
    """The errors in the answers from a corrupted file that the check accepted."""
    told = spoil(rng, place.path)
    try:
        report = place.scanner.check_quality(place.source(SPOILT))
    except SourceMismatch:
        return None
    if any(kind == "missing-column" for _, kind, _ in report.counts):
        return None
    try:
        whole = place.rows(None, SPOILT)
        for rows in FILTERS:
            cells = [
                {n: MISSING if c is None else c for n, c in zip(KINDS, row, strict=True)} for row in whole
            ]
            kept = [row for row, cell in zip(whole, cells, strict=True) if rowwise.holds(rows, cell, KINDS)]
            if place.rows(parse_rows(rows), SPOILT) != kept:
                return f"{told}: {rows}"
        if report.rows != len(whole):
            return f"{told}: {report.rows} rows were reported"
    except (ScanError, SourceMismatch) as refused:
        return f"{told}: {refused.code}"
    return None


def test_corrupted_file_is_refused_or_read_consistently(place: Place) -> None:
    """Regression: a false page header made the engine read beyond the page, with other values at every
    read."""
    before = place.scanner.process_ids()
    found = {seed: inconsistent(place, random.Random(seed)) for seed in range(50)}
    assert not {seed: said for seed, said in found.items() if said}
    assert place.scanner.process_ids() == before


@pytest.mark.drill
def test_many_corrupted_files_are_refused_or_read_consistently(place: Place) -> None:
    first = secrets.randbelow(2**32)
    until, seed = time.monotonic() + 120, first
    found: dict[int, str] = {}
    while time.monotonic() < until:
        said = inconsistent(place, random.Random(seed))
        found |= {seed: said} if said else {}
        seed += 1
    print(f"seeds {first} to {seed}, {len(found)} found")
    assert not found
