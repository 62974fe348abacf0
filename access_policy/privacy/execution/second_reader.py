"""The check that two independent readers, the engine and Arrow, read a Parquet file in the same way.

For a page with a false header (sizes, encoding, number of values) the engine read beyond the end of the page: the cells then
contained memory of the process, which differed at each read. A file in which a declared cell differs, or that one reader cannot
read to its end, is refused before its registration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from access_policy.privacy.cells import quote
from access_policy.privacy.execution.engine import AT_ONCE
from access_policy.privacy.source import SourceMismatch

BATCH = 32_768


def must_be_read_alike(connection: duckdb.DuckDBPyConnection, path: str, columns: Sequence[str]) -> None:
    """Read these columns with both readers; raises SourceMismatch unless all cells are the same."""
    try:
        with pq.ParquetFile(path, coerce_int96_timestamp_unit="us", page_checksum_verification=True) as file:
            for start in range(0, len(columns), AT_ONCE):
                names = list(columns[start : start + AT_ONCE])
                text = f"SELECT {', '.join(map(quote, names))} FROM read_parquet($path, hive_partitioning = false)"  # noqa: S608
                engine = connection.sql(text, params={"path": path}).to_arrow_reader(BATCH)
                other = file.iter_batches(BATCH, columns=names, use_threads=False)
                alike = all(
                    _alike(one, two.column(name))
                    for first, two in _aligned(engine, other)
                    for name, one in zip(names, first.columns, strict=True)
                )
                if not alike:
                    raise SourceMismatch("two readers do not find the same in the file")
    except (duckdb.Error, pa.ArrowException, OSError, RuntimeError, KeyError, ValueError):
        raise SourceMismatch("the file cannot be read to its end") from None


def _aligned(
    first: Iterable[pa.RecordBatch], second: Iterable[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Batches with the same rows of both readers; raises ValueError when one ends before the other."""
    ones, twos = iter(first), iter(second)
    one = two = None
    while True:
        one = one if one is not None and one.num_rows else next((b for b in ones if b.num_rows), None)
        two = two if two is not None and two.num_rows else next((b for b in twos if b.num_rows), None)
        if one is None or two is None:
            if one is not two:
                raise ValueError("one reader finds more rows")
            return
        rows = min(one.num_rows, two.num_rows)
        yield one.slice(0, rows), two.slice(0, rows)
        one, two = one.slice(rows), two.slice(rows)


def _alike(engine: pa.Array, other: pa.Array) -> bool:
    """Whether both have the same cells; for types that Arrow cannot convert to the engine's, the same nulls."""
    if not engine.is_null().equals(other.is_null()):
        return False
    if isinstance(other.type, pa.BaseExtensionType):
        return True
    try:
        cast = other.cast(engine.type)
    except pa.ArrowNotImplementedError:
        return True
    if not pa.types.is_floating(engine.type):
        return bool(engine.equals(cast))
    same = pc.or_(pc.equal(engine, cast), pc.and_(pc.is_nan(engine), pc.is_nan(cast)))
    return pc.all(same).as_py() is not False
