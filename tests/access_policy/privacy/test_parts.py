"""A table in several Parquet files is read like one file: the same rows in the same order, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import (
    PartsDiffer,
    Source,
    SourceChanged,
    SourceFile,
    SourceMismatch,
)
from access_policy.terms.rows import Compare, IsNull, Not, Or, RowPredicate
from access_policy.terms.transforms import Clamp, Mask, Pseudonym, Transform

from .conftest import SECRET

SCHEMA = parse_schema(
    {
        "fields": [
            {"name": "id", "type": "string", "class": "identifier"},
            {"name": "n", "type": "integer"},
            {"name": "v", "type": "number"},
            {"name": "day", "type": "date"},
        ],
        "personKey": "id",
    }
)
COLUMNS = {"id": pa.string(), "n": pa.int64(), "v": pa.float64(), "day": pa.string()}
GRANT = "0x01"
CELL: dict[str, st.SearchStrategy[Any]] = {
    "id": st.one_of(st.none(), st.sampled_from(["a", "b", "Ａ", "a ", "é", "e\u0301"])),
    "n": st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([-(2**63), 2**63 - 1])),
    "v": st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), 1e300])),
    "day": st.one_of(st.none(), st.sampled_from(["2024-05-01", "2024-13-01", "", "2024/05/02"])),
}
ROWS = st.lists(st.fixed_dictionaries(CELL), max_size=40)
QUERIES: list[tuple[object, RowPredicate | None, dict[str, Transform]]] = [
    ({}, None, {}),
    ({"limit": 3}, None, {}),
    ({"order": [{"column": "n"}]}, Not(Compare("n", "eq", 1)), {}),
    ({"where": {"column": "id", "op": "eq", "value": "a"}}, None, {}),
    ({}, Or((IsNull("day"), Compare("v", "gt", 0.0))), {"v": Clamp(0.0, 2.0)}),
    ({}, IsNull("v"), {"id": Pseudonym(), "day": Mask(0, 2, "*")}),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scanner, Path]]:
    directory = tmp_path_factory.mktemp("parts")
    with Scanner([directory], size=1, timeout=60) as scanner:
        yield scanner, directory


def written(path: Path, rows: list[dict[str, Any]], columns: dict[str, pa.DataType] | None = None) -> Path:
    kinds = columns or COLUMNS
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})
    pq.write_table(table, path, row_group_size=7)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def over(paths: list[Path], schema: AssetSchema = SCHEMA) -> Source:
    first, *further = [SourceFile(str(path), digest(path)) for path in paths]
    return Source(first.path, "parquet", schema, first.sha256, tuple(further))


def planned(
    query: object = None, rows: RowPredicate | None = None, transforms: dict[str, Transform] | None = None
) -> Plan:
    permit = Permit(GRANT, "r1", SCHEMA.names(), rows, transforms or {})
    return compile_plan(parse_query(query or {}), permit, SCHEMA)


def answer(scanner: Scanner, source: Source, plan: Plan) -> tuple[list[str], int]:
    """The rows as text, including NaN, in their order, and the number of cells that break the schema."""
    with scanner.scan(plan, source, derive_grant_key(SECRET, GRANT)) as scan:
        found = [repr(row) for batch in scan for row in batch.to_pylist()]
        assert scan.summary is not None
        return found, scan.summary.invalid_cells


def days(number: int) -> list[dict[str, Any]]:
    return [{"id": f"p{n % 5}", "n": number * 100 + n, "v": n / 2, "day": "2024-05-01"} for n in range(20)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, data=st.data())
def test_rows_of_parts_are_those_of_the_one_file(
    place: tuple[Scanner, Path], rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    scanner, directory = place
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), min_size=1, max_size=6)))
    edges = [0, *cuts, len(rows)]
    whole = over([written(directory / "whole.parquet", rows)])
    pieces = [rows[low:high] for low, high in pairwise(edges)]
    parts = over([written(directory / f"part-{n}.parquet", one) for n, one in enumerate(pieces)])
    for query, kept, transforms in QUERIES:
        plan = planned(query, kept, transforms)
        assert answer(scanner, parts, plan) == answer(scanner, whole, plan), (query, kept, transforms)
    one = scanner.check_quality(Source(whole.path, "parquet", SCHEMA))
    assert scanner.check_quality(parts, together="spellings").spellings == one.spellings


def test_rows_come_in_the_order_of_the_parts(place: tuple[Scanner, Path]) -> None:
    scanner, directory = place
    first, second = (written(directory / f"order-{n}.parquet", days(n)) for n in (0, 1))
    forward, _ = answer(scanner, over([first, second]), planned())
    back, _ = answer(scanner, over([second, first]), planned())
    assert forward == back[20:] + back[:20]
    assert forward != back


def in_place(part: Path, other: Path) -> None:
    before = part.stat()
    part.write_bytes(part.read_bytes().replace(b"p1", b"q1"))
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))


def gone(part: Path, other: Path) -> None:
    part.unlink()


def the_other_part(part: Path, other: Path) -> None:
    shutil.copy(other, part)


def exchanged(part: Path, other: Path) -> None:
    part.rename(kept := part.with_name("kept"))
    other.rename(part)
    kept.rename(other)


def a_link_to_the_other(part: Path, other: Path) -> None:
    part.unlink()
    part.symlink_to(other)


def cut_off(part: Path, other: Path) -> None:
    os.truncate(part, part.stat().st_size - 9)


ATTACKS: list[Callable[[Path, Path], None]] = [
    in_place,
    gone,
    the_other_part,
    exchanged,
    a_link_to_the_other,
    cut_off,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_part_that_differs_from_the_signed_one_ends_every_read(
    attack: Callable[[Path, Path], None], number: int, place: tuple[Scanner, Path], tmp_path: Path
) -> None:
    scanner, directory = place
    folder = directory / tmp_path.name
    folder.mkdir()
    parts = [written(folder / f"{n}.parquet", days(n)) for n in range(3)]
    source = over(parts)
    assert len(answer(scanner, source, planned())[0]) == 60
    attack(parts[number], parts[(number + 1) % 3])
    for _ in range(2):
        with pytest.raises(SourceChanged):
            answer(scanner, source, planned())
    for n, part in enumerate(parts):
        part.unlink(missing_ok=True)
        written(part, days(n))
    assert len(answer(scanner, source, planned())[0]) == 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_part_that_changes_while_it_is_read_ends_the_read(
    attack: Callable[[Path, Path], None], place: tuple[Scanner, Path], tmp_path: Path
) -> None:
    scanner, directory = place
    folder = directory / tmp_path.name
    folder.mkdir()
    parts = [written(folder / f"{n}.parquet", days(n)) for n in range(3)]
    with scanner.scan(planned(), over(parts), derive_grant_key(SECRET, GRANT)) as scan:
        attack(parts[2], parts[1])
        with pytest.raises(SourceChanged):
            list(scan)


def test_worker_is_released_when_a_part_is_missing(
    place: tuple[Scanner, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is detected while the worker waits for the parts."""
    from access_policy.privacy.execution.checked import CheckedParts

    scanner, directory = place
    parts = [written(directory / f"late-{n}.parquet", days(n)) for n in range(3)]
    source, give = over(parts), CheckedParts.give

    def gone_before_it_is_given(files: CheckedParts, send: Callable[[int], None]) -> None:
        parts[2].unlink()
        give(files, send)

    with monkeypatch.context() as patched:
        patched.setattr(CheckedParts, "give", gone_before_it_is_given)
        with pytest.raises(SourceChanged):
            answer(scanner, source, planned())
    written(parts[2], days(2))
    assert len(answer(scanner, source, planned())[0]) == 60


NARROW = COLUMNS | {"n": pa.int32()}
TEXT = COLUMNS | {"v": pa.string()}
MOVED = dict(reversed(COLUMNS.items()))
MORE = {"note": pa.int64()} | COLUMNS
LESS = {name: kind for name, kind in COLUMNS.items() if name != "v"}


def other_part(path: Path, columns: dict[str, pa.DataType]) -> Path:
    rows = [row | {"note": 1} for row in days(1)]
    if columns is TEXT:
        rows = [row | {"v": str(row["v"])} for row in rows]
    return written(path, rows, columns)


@pytest.mark.parametrize(
    ("columns", "error"), [(NARROW, PartsDiffer), (TEXT, PartsDiffer), (LESS, SourceMismatch)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_part_with_other_types_is_never_cast(
    columns: dict[str, pa.DataType], error: type[Exception], turned: bool, place: tuple[Scanner, Path]
) -> None:
    """int32 and int64 parts each fit the schema, and the engine would accept them; whether a read fails would
    depend on the order of the parts and on hidden values."""
    scanner, directory = place
    parts = [
        written(directory / "typed-0.parquet", days(0)),
        other_part(directory / "typed-1.parquet", columns),
    ]
    source = over(parts[::-1] if turned else parts)
    with pytest.raises(error):
        answer(scanner, source, planned())
    report = scanner.check_quality(source, together="types")
    assert not report.whole
    [(column, kind, _)] = report.counts
    assert (column, kind) == (
        "n" if columns is NARROW else "v",
        "missing-column" if columns is LESS else "other-type",
    )


@pytest.mark.parametrize("columns", [MOVED, MORE])
def test_column_order_and_undeclared_columns_are_accepted(
    columns: dict[str, pa.DataType], place: tuple[Scanner, Path]
) -> None:
    scanner, directory = place
    first, second = days(0), days(1)
    parts = [
        written(directory / "moved-0.parquet", first),
        other_part(directory / "moved-1.parquet", columns),
    ]
    whole = over([written(directory / "moved.parquet", first + second)])
    plan = planned({"limit": 30})
    for source in (over(parts), over(parts[::-1])):
        assert len(answer(scanner, source, planned())[0]) == 40
    assert answer(scanner, over(parts), plan) == answer(scanner, whole, plan)
