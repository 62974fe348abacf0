"""Hostile names, values, files and paths reach the engine without effect."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.engine import EngineLimits, open_hardened
from access_policy.privacy.execution.scan_errors import ScanError
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import Query, parse_query
from access_policy.privacy.schema import AssetSchema, SchemaError, parse_schema
from access_policy.privacy.source import Source, SourceForbidden, SourceMismatch, SourceMissing
from access_policy.terms.rows import And, Compare, In, Not, Or
from access_policy.terms.transforms import Keep, Ladder, Mask, Pseudonym, Transform

from .conftest import ROWS, SECRET, Register
from .reference import answer

NASTY = [
    "'",
    '"',
    "''; DROP TABLE x; --",
    '"; SELECT 1; --',
    "$v0",
    "$path",
    "?",
    "{}",
    "%s",
    "\\",
    "a\nb",
    "a,b",
    "\u202e",
    "ＳＥＬＥＣＴ",
    "NULL",
    "1 OR 1=1",
    "*",
    "COPY (SELECT 1) TO '/tmp/x'",
    "read_csv('/etc/passwd')",
    "r",
    "s",
    "rowid",
    "北京",
    "😀",
]
texts = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=12
)
names = st.sampled_from([n for n in NASTY if n.isprintable()]) | st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_string_is_interpreted_as_sql(register: Register, data: st.DataObject) -> None:
    """Hostile column names, cells, compared values, masks, ladders, null texts and grants."""
    columns = data.draw(st.lists(names, min_size=2, max_size=3, unique_by=str.casefold))
    missing = data.draw(st.sampled_from(NASTY))
    document = {"fields": [{"name": n, "type": "string"} for n in columns], "missingValues": [missing]}
    try:
        schema = parse_schema(document)
    except SchemaError:
        return
    cells = texts.filter(lambda text: text not in (missing, ""))
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, cells)), min_size=1, max_size=5))
    source = written(
        register.directory, schema, rows, data.draw(st.sampled_from(["csv", "parquet"])), missing
    )
    value = data.draw(st.sampled_from([row[columns[0]] for row in rows]) | texts)
    transforms: dict[str, Transform] = {
        columns[0]: data.draw(st.sampled_from([Keep(), Ladder(((value or "x", "'"),), '"'), Pseudonym()])),
        columns[1]: data.draw(st.sampled_from([Keep(), Mask(1, 0, "'"), Mask(0, 1, '"')])),
    }
    where = data.draw(
        st.sampled_from(
            [
                None,
                Compare(columns[0], "eq", value),
                Not(In(columns[1], (value, "'"))),
                Or((Compare(columns[1], "neq", value), And((Compare(columns[0], "eq", "'"),)))),
            ]
        )
    )
    rows_filter = data.draw(st.sampled_from([None, Not(Compare(columns[1], "eq", value))]))
    permit = Permit(data.draw(texts), "r", tuple(columns), rows_filter, transforms)
    plan = compile_plan(Query(where=where), permit, schema)
    key = derive_grant_key(SECRET, permit.grant)
    with register.scanner.scan(plan, source, key) as scan:
        released = [row for batch in scan for row in batch.to_pylist()]
    assert released == answer(plan, rows, schema, key)


def written(
    directory: Path, schema: AssetSchema, rows: list[dict[str, Any]], file_format: str, missing: str
) -> Source:
    path = directory / f"hostile.{file_format}"
    if file_format == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, schema.names(), lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    return Source(str(path), file_format, schema)  # type: ignore[arg-type]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A readable file outside the scanner's folders."""
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "register.parquet")
    return tmp_path / "register.parquet"


def refuse(register: Register, path: str, file_format: str = "parquet") -> type[Exception]:
    with pytest.raises((SourceForbidden, SourceMissing)) as refused:
        register.scanner.scan(register.plan(), Source(path, file_format, register.schema))  # type: ignore[arg-type]
    assert path == "" or path not in str(refused.value)
    return type(refused.value)


def test_a_source_outside_the_allowed_directories_is_refused(register: Register, outside: Path) -> None:
    assert refuse(register, str(outside)) is SourceForbidden
    assert refuse(register, "/etc/passwd", "csv") is SourceForbidden
    assert refuse(register, f"{register.directory}/../{outside.parent.name}/register.parquet") in (
        SourceForbidden,
        SourceMissing,
    )


def test_a_link_inside_that_leads_outside_is_refused(register: Register, outside: Path) -> None:
    link = register.directory / "link.parquet"
    link.symlink_to(outside)
    try:
        assert refuse(register, str(link)) is SourceForbidden
    finally:
        link.unlink()


@pytest.mark.parametrize(
    "path",
    ["", "*.parquet", "https://example.org/x.parquet", "s3://bucket/x", "register.{csv,parquet}", "a\x00b"],
)
def test_patterns_and_urls_are_refused_as_files(register: Register, path: str) -> None:
    refuse(register, path)
    refuse(register, f"{register.directory}/{path}")


def test_directory_or_device_is_refused_as_a_file(register: Register) -> None:
    assert refuse(register, str(register.directory)) is SourceForbidden
    assert refuse(register, "/dev/zero") is SourceForbidden


@pytest.mark.parametrize(
    "statement",
    [
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET allowed_directories",
        "SET memory_limit = '1TB'",
        "COPY (SELECT 1) TO '{outside}/stolen.csv'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '{outside}/register.parquet'",
        "SELECT * FROM glob('/etc/*')",
        "ATTACH '{outside}/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "SELECT * FROM python_variable",
    ],
)
def test_engine_refuses_dangerous_sql(register: Register, outside: Path, statement: str) -> None:
    """Even if a string became SQL, it could do nothing of this."""
    python_variable = pa.table({"secret": [1]})
    assert python_variable.num_rows == 1
    with open_hardened([str(register.directory)], None, EngineLimits()) as engine:
        with pytest.raises(duckdb.Error):
            engine.execute(statement.format(outside=outside.parent)).fetchall()
    assert not (outside.parent / "stolen.csv").exists()


def test_engine_settings(register: Register) -> None:
    """Settings that are not visible from outside: spilt rows are encrypted, and no extension is loaded
    automatically."""
    with open_hardened([str(register.directory)], None, EngineLimits()) as engine:
        found = dict(engine.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    wanted = {
        "enable_external_access": "false",
        "lock_configuration": "true",
        "temp_file_encryption": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "TimeZone": "UTC",
        "threads": "2",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_worker_process_has_no_gateway_secret(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIC_SECRET", "not for workers")
    with Scanner([register.directory], size=1) as scanner:
        scanner.warm()
        (pid,) = scanner.process_ids()
        assert b"not for workers" not in Path(f"/proc/{pid}/environ").read_bytes()
        held = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
        assert not [target for target in held if target.startswith(str(register.directory))]


SECRET_CELL = "very-secret-diagnosis"


def broken_files(directory: Path) -> dict[str, Source]:
    """Files that fail during the read, each with a secret near the failure."""
    schema = parse_schema({"fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]})
    good = "".join(f"row {i},x\n" for i in range(50_000))
    (directory / "ragged.csv").write_text(f"a,b\n{good}{SECRET_CELL},y,{SECRET_CELL}\n")
    (directory / "quote.csv").write_text(f'a,b\n{good}"{SECRET_CELL},y\n')
    (directory / "latin.csv").write_bytes(f"a,b\n{good}".encode() + SECRET_CELL.encode() + b"\xff\xfe,y\n")
    table = pa.table({"a": [SECRET_CELL + str(i) for i in range(50_000)], "b": ["x"] * 50_000})
    pq.write_table(table, directory / "torn.parquet", compression="none", use_dictionary=False)
    torn = bytearray((directory / "torn.parquet").read_bytes())
    torn[2000:2400] = b"\xff" * 400
    (directory / "torn.parquet").write_bytes(torn)
    return {
        path.name: Source(str(path), "parquet" if path.suffix == ".parquet" else "csv", schema)
        for path in (directory / n for n in ("ragged.csv", "quote.csv", "latin.csv", "torn.parquet"))
    }


@pytest.mark.parametrize("name", ["ragged.csv", "quote.csv", "latin.csv", "torn.parquet"])
def test_runtime_error_has_a_constant_text(
    register: Register, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = broken_files(register.directory)[name]
    permit = Permit("0x01", "r", ("a", "b"), None, {})
    plan = compile_plan(parse_query({}), permit, source.schema)
    with pytest.raises(ScanError) as failed, register.scanner.scan(plan, source) as scan:
        list(scan)
    error: BaseException | None = failed.value
    assert failed.value.code == "scan.failed"
    assert str(error) == ScanError.text
    while error is not None:
        assert SECRET_CELL not in repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    seen = capfd.readouterr()
    assert SECRET_CELL not in seen.out + seen.err
    assert register.read(register.plan({"limit": 1}))


def test_different_failures_give_the_same_text(register: Register) -> None:
    files = broken_files(register.directory)
    bodies = set()
    for name in ("ragged.csv", "quote.csv"):
        plan = compile_plan(parse_query({}), Permit("0x01", "r", ("a",), None, {}), files[name].schema)
        with pytest.raises(ScanError) as failed, register.scanner.scan(plan, files[name]) as scan:
            list(scan)
        bodies.add((failed.value.code, str(failed.value), failed.value.pointer))
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("content", "file_format"),
    [
        (b"", "csv"),
        (b"", "parquet"),
        (b"PAR1 no parquet at all PAR1", "parquet"),
        (b"\xff\xfe\x00\x00", "csv"),
        (b"a,a\n1,2\n", "csv"),
        (b"other,names\n1,2\n", "csv"),
        (b'"unclosed\n1,2\n', "csv"),
        (b"a" * 2_000_000, "csv"),
    ],
)
def test_a_file_that_is_not_what_was_declared_is_a_mismatch(
    register: Register, content: bytes, file_format: str
) -> None:
    path = register.directory / f"odd.{file_format}"
    path.write_bytes(content)
    with pytest.raises(SourceMismatch):
        register.scanner.scan(register.plan(), Source(str(path), file_format, register.schema))  # type: ignore[arg-type]


def test_deleted_file_is_reported_missing(register: Register) -> None:
    with pytest.raises(SourceMissing):
        register.scanner.scan(
            register.plan(), Source(str(register.directory / "gone.csv"), "csv", register.schema)
        )
