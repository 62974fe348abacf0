"""Texts that are written in several ways: compared by every character, or by the rules that the schema declares."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.quality import QualityReport, check_quality
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import AssetSchema, SchemaError, parse_schema
from access_policy.privacy.source import Source
from access_policy.privacy.spelling import NORMALISATIONS, normalised, normalised_sql
from access_policy.terms.rows import Compare, In, Not, RowPredicate
from access_policy.terms.transforms import Ladder, Mask, Pseudonym
from ledger.catalogue import metadata

from .conftest import SECRET

CAFES = ["Café", "Cafe\u0301", "Ｃａｆé", "Café ", "\u3000café", "tea"]
EVERYTHING = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
ALL = list(NORMALISATIONS)


def schema_of(rules: list[str]) -> AssetSchema:
    field = {"name": "v", "type": "string"} | ({"normalise": rules} if rules else {})
    return parse_schema({"fields": [{"name": "n", "type": "integer"}, field]})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    directory = tmp_path_factory.mktemp("spelled")
    (directory / "a.csv").write_text(
        "n,v\n" + "".join(f'{n},"{v}"\n' for n, v in enumerate(CAFES, 1)), "utf-8"
    )
    table = pa.table({"n": range(1, len(CAFES) + 1), "v": CAFES})
    pq.write_table(table, directory / "a.parquet")
    with Scanner([directory], size=1, timeout=30) as scanner:
        yield scanner, directory


def read(
    files: Any,
    rules: list[str],
    rows: RowPredicate | None = None,
    where: object = None,
    transform: Any = None,
) -> list[list[tuple[int, Any]]]:
    scanner, directory = files
    schema, answers = schema_of(rules), []
    for name in ("csv", "parquet"):
        source = Source(str(directory / f"a.{name}"), name, schema)
        permit = Permit("0x01", "r1", schema.names(), rows, {"v": transform} if transform else {})
        plan = compile_plan(parse_query({"where": where} if where else {}), permit, schema)
        with scanner.scan(plan, source, derive_grant_key(SECRET, "0x01")) as scan:
            answers.append(sorted((r["n"], r["v"]) for batch in scan for r in batch.to_pylist()))
    assert answers[0] == answers[1]
    return answers[0]


def test_without_a_rule_texts_differ_by_every_character(files: Any) -> None:
    assert [n for n, _ in read(files, [], Compare("v", "neq", "Café"))] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("spelled", CAFES[:5])
def test_normalised_spellings_are_excluded_together(spelled: str, files: Any) -> None:
    for rows in (Compare("v", "neq", spelled), Not(In("v", (spelled,)))):
        assert read(files, ALL, rows) == [(6, "tea")]
    assert [n for n, _ in read(files, ALL, where={"column": "v", "op": "eq", "value": spelled})] == [
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize(
    ("rules", "kept"), [(["nfc"], [3, 4, 5, 6]), (["width"], [2, 4, 5, 6]), (["trim", "nfc"], [3, 5, 6])]
)
def test_only_the_declared_rules_count(rules: list[str], kept: list[int], files: Any) -> None:
    assert [n for n, _ in read(files, rules, Compare("v", "neq", "Café"))] == kept


def test_what_is_transformed_and_released_is_the_normal_spelling(files: Any) -> None:
    assert {value for _, value in read(files, ALL)} == {"café", "tea"}
    assert len({value for _, value in read(files, ALL, transform=Pseudonym())}) == 2
    assert {value for _, value in read(files, ALL, transform=Mask(1, 0, "*"))} == {"c***", "t**"}
    labels = read(files, ALL, transform=Ladder((("CAFÉ", "drink"), ("Café", "other")), "none"))
    assert [label for _, label in labels] == ["drink"] * 5 + ["none"]


ENGINE = duckdb.connect()


def in_engine(texts: list[str], rules: list[str]) -> list[str]:
    text = f"SELECT list_transform($texts::VARCHAR[], lambda s: {normalised_sql('s', rules)})"
    written: list[str] = ENGINE.execute(text, {"texts": texts}).fetchall()[0][0]
    return written


@pytest.mark.parametrize("rules", [["width"], ALL], ids=str)
def test_engine_and_python_write_every_character_alike(rules: list[str]) -> None:
    engine = duckdb.connect()
    engine.register("texts", pa.table({"n": range(len(EVERYTHING)), "s": EVERYTHING}))
    once = normalised_sql("s", rules)  # type: ignore[arg-type]
    answer = engine.sql(f"SELECT {once} AS a FROM texts ORDER BY n").to_arrow_table()
    alone = answer.column("a").to_pylist()
    assert alone == [normalised(text, rules) for text in EVERYTHING]  # type: ignore[arg-type]
    if rules == ["width"]:
        assert all(
            new in (old, unicodedata.normalize("NFKC", old))
            for old, new in zip(EVERYTHING, alone, strict=True)
        )


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=40))
def test_engine_and_python_write_every_text_alike(texts: list[str]) -> None:
    written = in_engine(texts, ALL)
    assert written == [normalised(text, ALL) for text in texts]
    assert written == [normalised(text, ALL) for text in written]


def test_the_report_counts_values_with_several_spellings_and_names_none(files: Any) -> None:
    _, directory = files
    for rules, spellings in ([], (("v", 1),)), (["nfc"], (("v", 1),)), (ALL, ()):
        for name in ("csv", "parquet"):
            report = check_quality(Source(str(Path(directory) / f"a.{name}"), name, schema_of(rules)))  # type: ignore[arg-type]
            assert (report.spellings, report.clean) == (spellings, True)
            assert QualityReport.from_json(report.to_json()) == report
            assert "af" not in str(report.to_json())


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ({"type": "integer", "normalise": ["nfc"]}, "/fields/0/normalise"),
        ({"type": "string", "normalise": "nfc"}, "/fields/0/normalise"),
        ({"type": "string", "normalise": ["nfkc"]}, "/fields/0/normalise"),
        ({"type": "string", "normalise": ["nfc", "nfc"]}, "/fields/0/normalise"),
        ({"type": "string", "normalise": [["nfc"]]}, "/fields/0/normalise"),
        ({"type": "string", "normalise": ["nfc"]}, "/personKey"),
    ],
)
def test_unsupported_spelling_rule_is_refused(field: dict[str, Any], pointer: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_schema({"fields": [{"name": "a", **field}], "personKey": "a"})
    assert refused.value.pointer == pointer


def test_a_schema_with_rules_is_written_as_it_was_read() -> None:
    schema = schema_of(["trim", "width"])
    assert parse_schema(schema.to_json()) == schema
    assert metadata.NORMALISATIONS == NORMALISATIONS
