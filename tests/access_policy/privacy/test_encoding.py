"""The same rows in four formats, with the digest and the size of exactly the bytes that were returned."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access_policy.privacy.execution.encoding import (
    ANSWER_FORMATS,
    MEDIA_TYPES,
    AnswerFormat,
    Encoder,
)

from .conftest import ROWS, Register

TYPES = pa.schema(
    [
        ("text", pa.string()),
        ("whole", pa.int64()),
        ("number", pa.float64()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("moment", pa.timestamp("us", "Etc/UTC")),
    ]
)
tables = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
            "number": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "flag": st.none() | st.booleans(),
            "day": st.none() | st.dates(),
            "moment": st.none() | st.datetimes(timezones=st.just(dt.UTC)),
        }
    ),
    max_size=12,
)


def encoded(rows: list[dict[str, Any]], answer: AnswerFormat, split: int = 5) -> tuple[bytes, Encoder]:
    batches = [
        pa.RecordBatch.from_pylist(rows[i : i + split], schema=TYPES) for i in range(0, len(rows), split)
    ]
    encoder = Encoder(iter(batches), TYPES, answer)
    return b"".join(encoder), encoder


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row in the form of JSON."""
    text = {name: value.isoformat() for name, value in row.items() if isinstance(value, dt.date)}
    text |= {name: str(n) for name, n in row.items() if type(n) is int and abs(n) >= 2**53}
    return row | {name: value.replace("+00:00", "Z") for name, value in text.items()}


@given(tables)
def test_json_and_ndjson_hold_every_value(rows: list[dict[str, Any]]) -> None:
    wanted = [plain(row) for row in rows]
    assert json.loads(encoded(rows, "json")[0]) == wanted
    lines = encoded(rows, "ndjson")[0].splitlines()
    assert [json.loads(line) for line in lines] == wanted


@given(tables)
def test_arrow_answer_equals_the_table(rows: list[dict[str, Any]]) -> None:
    table = pa.ipc.open_stream(encoded(rows, "arrow")[0]).read_all()
    assert table.schema == TYPES
    assert table.to_pylist() == rows


@given(tables)
def test_csv_distinguishes_null_from_empty_and_holds_any_text(rows: list[dict[str, Any]]) -> None:
    data = encoded(rows, "csv")[0]
    read = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert read[0] == TYPES.names
    assert [line[0] for line in read[1:]] == [row["text"] or "" for row in rows]
    assert [line[5] for line in read[1:]] == [plain(row)["moment"] or "" for row in rows]
    assert data.count(b'""') >= sum(row["text"] == "" for row in rows)


@given(tables, st.sampled_from(ANSWER_FORMATS))
def test_digest_and_counts_match_the_answer(rows: list[dict[str, Any]], answer: AnswerFormat) -> None:
    data, encoder = encoded(rows, answer)
    assert encoder.sha256 == hashlib.sha256(data).hexdigest()
    assert (encoder.rows, encoder.bytes) == (len(rows), len(data))
    assert encoder.media_type == MEDIA_TYPES[answer]


@pytest.mark.parametrize("answer", [f for f in ANSWER_FORMATS if f != "arrow"])
def test_answer_does_not_depend_on_batch_borders(answer: AnswerFormat) -> None:
    rows = [{"text": str(i), "whole": i} for i in range(11)]
    assert len({encoded(rows, answer, split)[0] for split in (1, 3, 11)}) == 1


def test_numbers_that_json_lacks_are_null_there() -> None:
    rows = [{"number": float("nan")}, {"number": float("inf")}]
    assert [row["number"] for row in json.loads(encoded(rows, "json")[0])] == [None, None]


def test_years_beyond_python_s_calendar_do_not_break_an_answer() -> None:
    days = pa.array([-800_000, 3_000_000], pa.int32()).cast(pa.date32())
    moments = pa.array([-(10**17), 3 * 10**17], pa.timestamp("us", "UTC"))
    batch = pa.record_batch({"day": days, "moment": moments})
    rows = json.loads(b"".join(Encoder(iter([batch]), batch.schema, "json")))
    assert [row["day"] for row in rows] == ["-0221-09-04", "10183-09-21"]
    assert rows[1]["moment"] == "11476-08-15T05:20:00Z"


def test_error_in_the_batches_ends_the_answer() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([{"text": "a"}], schema=TYPES)
        raise RuntimeError("revoked")

    encoder = Encoder(broken(), TYPES, "ndjson")
    assert next(encoder)
    with pytest.raises(RuntimeError, match="revoked"):
        next(encoder)
    assert encoder.rows == 1


@pytest.mark.parametrize("answer", ANSWER_FORMATS)
def test_a_scan_can_be_answered_in_every_format(register: Register, answer: AnswerFormat) -> None:
    with register.scanner.scan(register.plan(), register.source()) as scan:
        encoder = Encoder(scan, scan.schema, answer)
        assert b"".join(encoder)
    assert encoder.rows == len(ROWS)


def test_two_scans_of_one_plan_are_the_same_bytes(register: Register) -> None:
    digests = set()
    for file_format in ("csv", "parquet", "parquet"):
        with register.scanner.scan(register.plan(), register.source(file_format)) as scan:
            encoder = Encoder(scan, scan.schema, "ndjson")
            for _ in encoder:
                pass
            digests.add(encoder.sha256)
    assert len(digests) == 1
