"""Random files as other programs write them, from one seeded source."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .odd_values import KINDS, PHYSICAL, TAKEN, WRITTEN, ZONES
from .parquet_by_hand import Field, Struct, chunks, i64, rewritten

_ARROW: dict[str, pa.DataType] = {
    "float": pa.float32(),
    "halffloat": pa.float16(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "null": pa.null(),
    "date32[day]": pa.date32(),
    "date64[ms]": pa.date64(),
}


def arrow_type(name: str) -> pa.DataType:
    """Arrow's type of this name."""
    if name in _ARROW:
        return _ARROW[name]
    if name.startswith("timestamp"):
        unit, _, zone = name[10:-1].partition(", tz=")
        return pa.timestamp(unit, zone or None)
    if name.startswith("time"):
        return (pa.time32 if name.startswith("time32") else pa.time64)(name[7:-1])
    if name.startswith("decimal"):
        return pa.decimal128(*map(int, name[11:-1].split(",")))
    return getattr(pa, name)()


@dataclass(frozen=True)
class Table:
    """A file, its declared schema, and the values of its cells."""

    path: Path
    schema: dict[str, Any]
    physical: list[str | None]
    rows: list[list[Any]]
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def format(self) -> str:
        return self.path.suffix[1:]


def table(rng: random.Random, directory: Path, name: str, columns: int | None = None) -> Table:
    """A random file."""
    form = rng.choice(["csv", "parquet", "parquet"])
    count = columns or rng.randint(1, 4)
    zone = rng.choice(ZONES)
    fields: list[dict[str, Any]] = []
    physical: list[str | None] = []
    cells: list[list[Any]] = []
    rows = rng.choice([0, 1, 3, 12, 40, 40, 90])
    for number in range(count):
        kind = rng.choice(KINDS)
        made: dict[str, Any] = {"name": rng.choice(["v", "Wert", "名", "a b"]) + str(number), "type": kind}
        if kind == "string" and rng.random() < 0.3:
            made["normalise"] = rng.sample(["width", "nfc", "case", "trim"], rng.randint(1, 4))
        stored = None if form == "csv" else rng.choice([*TAKEN[kind], "string", "large_string", "null"])
        pool = WRITTEN[kind] if stored in (None, "string", "large_string") else PHYSICAL[str(stored)]
        fields.append(made)
        physical.append(stored)
        cells.append(_column(rng, pool, rows))
    schema: dict[str, Any] = {"fields": fields} | ({"zone": zone} if zone else {})
    if form == "csv" and rng.random() < 0.3:
        schema["missingValues"] = rng.choice([["", "NaN"], ["null"], ["-"], ["0", ""]])
    path = directory / f"{name}.{form}"
    by_row = [list(row) for row in zip(*cells, strict=True)] if rows else []
    made_table = Table(path, schema, physical, by_row)
    if form == "csv":
        missing = schema.get("missingValues", [""])
        by_row = [[missing[0] if cell is None else cell for cell in row] for row in by_row]
        made_table = Table(path, schema, physical, by_row)
        write_csv(rng, made_table)
    else:
        _write_parquet(rng, made_table)
    return made_table


def written(stem: Path, schema: dict[str, Any], physical: str | None, cells: Sequence[Any]) -> Table:
    """A file with these cells and the number of each row; CSV if there is no physical type."""
    if physical is None:
        made = Table(
            stem.with_suffix(".csv"), schema, [None, None], [[str(n), one] for n, one in enumerate(cells)]
        )
        write_csv(random.Random(0), made)
        return made
    rows = [[n, one] for n, one in enumerate(cells)]
    made = Table(stem.with_suffix(".parquet"), schema, ["int64", physical], rows)
    pq.write_table(pa.table({"n": range(len(rows)), "v": _array(list(cells), physical)}), made.path)
    return made


def _column(rng: random.Random, pool: list[Any], rows: int) -> list[Any]:
    """Cells from a pool: runs of one value and of nulls among them, as whole row groups of them happen."""
    chosen = rng.sample(pool, min(len(pool), rng.choice([1, 2, 3, 8, 30])))
    nulls = rng.choice([0, 0.1, 0.5, 1])
    found: list[Any] = []
    while len(found) < rows:
        cell = None if rng.random() < nulls else rng.choice(chosen)
        found += [cell] * rng.choice([1, 1, 1, 10])
    return found[:rows]


def write_csv(rng: random.Random, made: Table) -> None:
    """The table as RFC 4180 CSV, with one of the line endings and quoting styles."""
    with made.path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file,
            lineterminator=rng.choice(["\n", "\n", "\r\n"]),
            quoting=rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        )
        writer.writerow([one["name"] for one in made.schema["fields"]])
        for row in made.rows:
            writer.writerow(row)


def _array(cells: list[Any], physical: str) -> pa.Array:
    kind = arrow_type(physical)
    if physical.startswith(("date64", "timestamp", "time64")):
        return pa.array(cells, pa.int64()).cast(kind)
    if physical.startswith(("date32", "time32")):
        return pa.array(cells, pa.int32()).cast(kind)
    return pa.array(cells, kind)


def _write_parquet(rng: random.Random, made: Table) -> None:
    names = [one["name"] for one in made.schema["fields"]]
    columns = [
        _array([row[place] for row in made.rows], str(physical))
        for place, physical in enumerate(made.physical)
    ]
    for place, physical in enumerate(made.physical):
        if physical in ("string", "int64") and rng.random() < 0.2:
            columns[place] = columns[place].dictionary_encode()
    written = pa.table(dict(zip(names, columns, strict=True)))
    told: dict[str, Any] = {
        "row_group_size": rng.choice([1, 7, 10, 1_000]),
        "use_dictionary": rng.random() < 0.5,
        "write_statistics": rng.random() < 0.7,
        "compression": rng.choice(["none", "snappy", "zstd", "gzip"]),
        "data_page_size": rng.choice([1, 64, 1 << 20]),
        "data_page_version": rng.choice(["1.0", "2.0"]),
        "write_page_index": rng.random() < 0.5,
        "write_batch_size": rng.choice([1, 5, 1024]),
        "store_schema": rng.random() < 0.5,
        "version": "2.6",
    }
    if any(str(one).startswith("timestamp") for one in made.physical) and "ns" not in str(made.physical):
        told["version"] = rng.choice(["2.4", "2.6"])
    pq.write_table(written, made.path, **told)
    told["lies"] = rng.random() < 0.5
    if told["lies"]:
        rewritten(made.path, lambda footer: _lie(rng, footer))
    made.told.update(told)


def _lie(rng: random.Random, footer: Struct) -> None:
    """False bounds and null counts: those of another row group, of one value, or of none."""
    known: dict[Any, list[Struct]] = {}
    for chunk in chunks(footer):
        if 12 in chunk:
            known.setdefault(chunk[3].value[1][0], []).append(chunk[12].value)
    for chunk in chunks(footer):
        own = known.get(chunk[3].value[1][0])
        said: Struct = dict(rng.choice(own)) if own else {}
        if 5 in said and 6 in said and rng.random() < 0.5:
            one = rng.choice([5, 6])
            said |= {5: said[one], 6: said[one]}
        nulls = rng.choice([0, 1, chunk[5].value - 1, 10**6])
        said[3] = i64(nulls if nulls != chunk[5].value else 0)  # A false claim that all is null is refused.
        if rng.random() < 0.3:
            said[4] = i64(rng.choice([0, 1]))
        chunk[12] = Field(12, said)
