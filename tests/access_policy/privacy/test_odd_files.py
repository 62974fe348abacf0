"""Valid, unusual files: line breaks in quotes, a thousand columns; and files that cannot be read at all."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution import quality
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source, SourceMismatch
from access_policy.privacy.sql import Statement
from access_policy.terms.transforms import Band, Transform

from .conftest import SECRET

WIDE = 1_000


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scanner, Path]]:
    directory = tmp_path_factory.mktemp("files")
    with Scanner([directory], size=1, timeout=60) as opened:
        yield opened, directory


def rows_of(
    scanner: Scanner, source: Source, query: object = None, transforms: dict[str, Transform] | None = None
) -> int:
    permit = Permit("0x01", "r1", source.schema.names(), None, transforms or {})
    plan = compile_plan(parse_query(query or {}), permit, source.schema)
    with scanner.scan(plan, source, derive_grant_key(SECRET, "0x01")) as scan:
        return sum(batch.num_rows for batch in scan)


def texts(*names: str) -> AssetSchema:
    return parse_schema({"fields": [{"name": name, "type": "string"} for name in names]})


CELLS: list[tuple[Callable[[int], str], int]] = [
    (lambda n: "x\n" + "\n".join(f"{line},y{line}" for line in range(200)), 50_000),
    (lambda n: "\n".join(f"{line},{line}" for line in range(150_000)), 45),
]


@pytest.mark.parametrize(("cell", "rows"), CELLS)
def test_line_breaks_in_quotes_are_read_in_a_large_file(
    cell: Callable[[int], str], rows: int, scanner: tuple[Scanner, Path]
) -> None:
    opened, directory = scanner
    path = directory / "breaks.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["a", "b"])
        writer.writerows([str(n), cell(n)] for n in range(rows))
    assert path.stat().st_size > 75 << 20
    source = Source(str(path), "csv", texts("a", "b"))
    assert rows_of(opened, source) == rows
    assert opened.check_quality(source).rows == rows
    path.unlink()


@pytest.mark.parametrize(("suffix", "kind"), [("csv", "number"), ("parquet", "integer")])
def test_a_thousand_columns_are_read(kind: str, suffix: str, scanner: tuple[Scanner, Path]) -> None:
    opened, directory = scanner
    names = [f"column {n}" for n in range(WIDE)]
    path = directory / f"wide.{suffix}"
    if suffix == "csv":
        path.write_text(
            ",".join(names) + "\n" + ",".join(["x"] * WIDE) + "\n" + ",".join(["1"] * WIDE) + "\n"
        )
    else:
        pq.write_table(pa.table({name: ["x", "1"] for name in names}), path)
    schema = parse_schema({"fields": [{"name": name, "type": kind} for name in names], "personKey": names[0]})
    source = Source(str(path), suffix, schema)  # type: ignore[arg-type]
    assert opened.check_quality(source).rows == 2
    assert rows_of(opened, source) == 2
    banded: dict[str, Transform] = dict.fromkeys(names[:40], Band(2))
    order = {"columns": names[:990], "order": [{"column": names[-1]}]}
    assert rows_of(opened, source, order, banded) == 2


def test_unreadable_file_is_refused_when_it_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of a file runs the widest read that a grant can permit, up to its first row."""
    path = tmp_path / "file.csv"
    path.write_text("a\n1\n")
    source = Source(str(path), "csv", texts("a"))
    assert quality.check_quality(source).clean
    monkeypatch.setattr(quality, "render_plan", lambda *_: Statement(text="SELECT nothing"))
    with pytest.raises(SourceMismatch):
        quality.check_quality(source)
