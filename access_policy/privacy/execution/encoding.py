"""Encoding Arrow batches to the bytes of an answer, with the digest and the row count for the release record.

| format | media type | one row |
| --- | --- | --- |
| ``ndjson`` | application/x-ndjson | a JSON object on a line |
| ``json`` | application/json | an object in one array |
| ``csv`` | text/csv (RFC 4180 with LF, header line) | a line |
| ``arrow`` | application/vnd.apache.arrow.stream | in record batches |

Dates are ISO 8601, instants end in Z, null is JSON null or an empty CSV cell. Exact decimals are JSON texts with all
their places (``"12.50"``), and so are whole numbers beyond 2^53 - 1, which many readers of JSON would change (RFC 7493).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias, get_args

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

AnswerFormat: TypeAlias = Literal["ndjson", "json", "csv", "arrow"]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)
MEDIA_TYPES: dict[AnswerFormat, str] = {
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8; header=present",
    "arrow": "application/vnd.apache.arrow.stream",
}

JSON_EXACT = 2**53 - 1
PLAIN_PLACES = 6
"""Arrow writes decimals with more places with an exponent where they are small."""

SLICE_ROWS = 4_096
"""Rows turned into Python values at a time: memory stays flat whatever the size of a batch."""


def media_type(answer: AnswerFormat) -> str:
    """The media type of an answer format, without parameters: what terms name as ``fileFormat``."""
    return MEDIA_TYPES[answer].split(";")[0]


class Encoder(Iterator[bytes]):
    """Encode batches of one Arrow schema chunk by chunk; the answer is the concatenation of the chunks.

    ``rows``, ``bytes`` and ``sha256`` (hex) describe what was handed out so far; they describe the whole
    answer once iteration has ended. What ends an iteration early (a cancelled scan) raises through it.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, answer: AnswerFormat) -> None:
        self.media_type = MEDIA_TYPES[answer]
        self.rows = 0
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._chunks = _ENCODERS[answer](self._counted(batches), schema)

    @property
    def sha256(self) -> str:
        """The digest (hex) of all bytes returned so far."""
        return self._digest.hexdigest()

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._digest.update(chunk)
        self.bytes += len(chunk)
        return chunk

    def _counted(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.rows += batch.num_rows
            yield batch


def _ndjson(batches: Iterator[pa.RecordBatch], _schema: pa.Schema) -> Iterator[bytes]:
    for lines in _json_rows(batches):
        yield b"".join([line + b"\n" for line in lines])


def _json(batches: Iterator[pa.RecordBatch], _schema: pa.Schema) -> Iterator[bytes]:
    opening = b"["
    for lines in _json_rows(batches):
        yield opening + b",".join(lines)
        opening = b","
    yield b"[]" if opening == b"[" else b"]"


def _json_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[list[bytes]]:
    for batch in batches:
        for start in range(0, batch.num_rows, SLICE_ROWS):
            piece = batch.slice(start, SLICE_ROWS)
            names = piece.schema.names
            columns = [_json_column(column) for column in piece.columns]
            yield [orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _json_column(column: pa.Array) -> list[object]:
    # Arrow's cast of dates to text is faster than Python objects, and it supports years outside Python's calendar, which must
    # not fail an answer.
    text = column.cast(pa.string()) if pa.types.is_date(column.type) else _as_text(column)
    values: list[object] = text.to_pylist()
    if pa.types.is_int64(column.type):
        bounds = pc.min_max(column).as_py()
        if max(abs(bounds["min"] or 0), abs(bounds["max"] or 0)) > JSON_EXACT:
            return [
                str(value) if isinstance(value, int) and abs(value) > JSON_EXACT else value
                for value in values
            ]
    return values


def _is_plain_decimal(column: pa.Array) -> bool:
    return bool(pa.types.is_decimal(column.type)) and int(column.type.scale) <= PLAIN_PLACES


def _as_text(column: pa.Array) -> pa.Array:
    """Times, instants and exact decimals as text; other columns unchanged."""
    if _is_plain_decimal(column):
        return column.cast(pa.string())
    if pa.types.is_decimal(column.type):
        return pa.array(
            [None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string()
        )
    if pa.types.is_time(column.type):
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.000000$", "")
    if not pa.types.is_timestamp(column.type):
        return column
    text = pc.binary_join_element_wise(column.cast(pa.timestamp("us")).cast(pa.string()), "Z", "")
    dated = pc.replace_substring(text, " ", "T", max_replacements=1)
    return pc.replace_substring(dated, ".000000Z", "Z")


def _csv(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    sink = pa.BufferOutputStream()
    header = csv.CSVWriter(sink, pa.schema([pa.field(name, pa.string()) for name in schema.names]))
    header.close()
    yield sink.getvalue().to_pybytes()
    for batch in batches:
        if not batch.num_rows:
            continue
        columns = [column if _is_plain_decimal(column) else _as_text(column) for column in batch.columns]
        sink = pa.BufferOutputStream()
        csv.write_csv(
            pa.RecordBatch.from_arrays(columns, names=batch.schema.names),
            sink,
            csv.WriteOptions(include_header=False),
        )
        yield sink.getvalue().to_pybytes()


def _arrow(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    sink = _Collected()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        yield sink.take()
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)
                yield sink.take()
    yield sink.take()


class _Collected:
    """A write-only file object whose content is removed with `take`."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        return

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


_ENCODERS = {"ndjson": _ndjson, "json": _json, "csv": _csv, "arrow": _arrow}
