"""The data plane against a second implementation: random files, random terms, every released row and value the same.

`rowwise` says docs/values.md row by row in plain Python; `random_tables` makes files as strangers write them.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from access_policy.decision.answers import Permit
from access_policy.privacy.execution.encoding import AnswerFormat, Encoder
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import parse_query
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.rows import parse_rows
from access_policy.terms.transforms import parse_transform

from . import rowwise
from .conftest import SECRET
from .odd_values import KINDS, PHYSICAL, TAKEN, WRITTEN
from .random_tables import Table, table, write_csv, written
from .random_terms import Terms, terms, transform
from .rowwise_cells import MISSING, scale_of

FIXED = 20260101
ARROW = {
    "string": pa.string(),
    "integer": pa.int64(),
    "year": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
    "yearmonth": pa.string(),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scanner, Path]]:
    directory = tmp_path_factory.mktemp("reference")
    with Scanner([directory], size=1, timeout=30) as scanner:
        yield scanner, directory


class Case:
    """One file under one set of terms, by the product and by the reference."""

    def __init__(self, scanner: Scanner, made: Table, asked: Terms) -> None:
        self.scanner, self.made, self.asked = scanner, made, asked
        schema = parse_schema(made.schema)
        granted = asked.granted
        rows = parse_rows(granted["rows"]) if "rows" in granted else None
        transforms = {name: parse_transform(one) for name, one in granted["transforms"].items()}
        permit = Permit("0x01", "r1", tuple(granted["columns"]), rows, transforms)
        self.plan: Plan = compile_plan(parse_query(asked.query), permit, schema)
        self.source = Source(str(made.path), made.format, schema)  # type: ignore[arg-type]

    def differences(self) -> Iterator[str]:
        """The differences between the product and the page; empty if both agree."""
        names, types, rows = rowwise.answer(
            self.made.rows, self.made.physical, self.made.schema, self.asked.granted, self.asked.query
        )
        wanted = [[comparable(cell) for cell in row] for row in rows]
        yield from self._unlike("arrow", wanted, self.arrow(names, types))
        as_json = [[rowwise.as_json(k, c) for k, c in zip(types, row, strict=True)] for row in rows]
        read = [list(row.values()) for row in json.loads(self._body("json"))]
        yield from self._unlike("json", _repr(as_json), _repr(read, types))
        as_csv = [
            [None if c is MISSING else csv_form(k, c) for k, c in zip(types, row, strict=True)]
            for row in rows
        ]
        yield from self._unlike("csv", _repr(as_csv), _repr(csv_rows(self._body("csv"), types)))

    def _unlike(self, form: str, wanted: list[Any], found: list[Any]) -> Iterator[str]:
        if self.plan.shuffled:
            wanted, found = sorted(wanted, key=repr), sorted(found, key=repr)
        if wanted != found:
            first = next((pair for pair in zip(wanted, found, strict=False) if pair[0] != pair[1]), "rows")
            yield f"{form}: {len(wanted)} rows wanted, {len(found)} found; first (wanted, found) {first}"

    def _body(self, answer: AnswerFormat) -> bytes:
        with self.scanner.scan(self.plan, self.source, derive_grant_key(SECRET, "0x01")) as scan:
            return b"".join(Encoder(scan, scan.schema, answer))

    def arrow(self, names: list[str], types: list[str]) -> list[Any]:
        found = pa.ipc.open_stream(self._body("arrow")).read_all()
        wanted = [pa.decimal128(38, scale_of(k)) if k.startswith("decimal") else ARROW[k] for k in types]
        assert (found.schema.names, found.schema.types) == (names, wanted)
        columns = [column.to_pylist() for column in found.columns]
        return [
            [comparable(MISSING if cell is None else cell) for cell in row]
            for row in zip(*columns, strict=True)
        ]


def comparable(cell: Any) -> Any:
    """A value that equals only an identical one: -0.0 is not 0.0, True is not 1."""
    return repr(cell.astimezone(dt.UTC).replace(tzinfo=dt.UTC) if isinstance(cell, dt.datetime) else cell)


def _repr(rows: list[list[Any]], types: list[str] | None = None) -> list[list[str]]:
    """``types``: a number without a point in JSON or CSV is the same double as one with it."""
    if types is None:
        return [[repr(cell) for cell in row] for row in rows]
    return [
        [repr(float(c) if k == "number" and c is not None else c) for k, c in zip(types, row, strict=True)]
        for row in rows
    ]


def csv_form(kind: str, cell: Any) -> Any:
    return cell if kind == "number" else rowwise.as_text(kind, cell)


_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,"\n]*))([,\n])')


def csv_rows(body: bytes, types: list[str]) -> list[list[Any]]:
    """The records of a CSV answer below its header; null is an empty cell without quotes."""
    cells: list[list[Any]] = [[]]
    text = body.decode()
    at = 0
    while at < len(text):
        found = _CELL.match(text, at)
        assert found is not None, text[at : at + 40]
        quoted, bare, end = found.groups()
        cells[-1].append(quoted.replace('""', '"') if quoted is not None else bare or None)
        at = found.end()
        if end == "\n":
            cells.append([])
    return [
        [float(c) if k == "number" and c is not None else c for k, c in zip(types, row, strict=True)]
        for row in cells[1:-1]
    ]


def compare(
    place: tuple[Scanner, Path], seed: int, seconds: float, files: int | None = None
) -> tuple[int, list[str]]:
    """The number of compared cases, and the differences, for this many files or this long."""
    scanner, directory = place
    cases, found, until = 0, list[str](), time.monotonic() + seconds
    number = 0
    while (time.monotonic() < until) if files is None else (number < files):
        rng = random.Random(f"{seed}:{number}")
        made = table(rng, directory, f"t{number % 8}-{seed}")
        for _ in range(4):
            asked = terms(rng, made)
            cases += 1
            try:
                differs = list(Case(scanner, made, asked).differences())
            except Exception as error:  # noqa: BLE001
                differs = [f"{type(error).__name__} {error} {vars(error)}"]
            found += [
                f"seed {seed}:{number} {made.format} {one}\n  {asked}\n  {made.schema} {made.physical} {made.told}"
                for one in differs
            ]
        made.path.unlink()
        number += 1
    return cases, found


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS))
def test_every_cell_matches_the_documented_value(kind: str, place: tuple[Scanner, Path]) -> None:
    """Every odd cell of every physical type that a type is declared over, with a zone and without."""
    scanner, directory = place
    for zone, physical in itertools.product(
        [None, "Europe/Berlin"], dict.fromkeys([None, "string", *TAKEN[kind]])
    ):
        fields = [{"name": "n", "type": "integer"}, {"name": "v", "type": kind}]
        schema: dict[str, Any] = {"fields": fields} | ({"zone": zone} if zone else {})
        pool = WRITTEN[kind] if physical in (None, "string") else PHYSICAL[str(physical)]
        made = written(directory / f"cells-{kind}", schema, physical, pool)
        whole = Case(scanner, made, Terms({"columns": ["n", "v"], "transforms": {}}, {}))
        names, types, rows = rowwise.answer(made.rows, made.physical, schema, whole.asked.granted, {})
        for cell, wanted, found in zip(pool, rows, whole.arrow(names, types), strict=True):
            assert comparable(wanted[1]) == found[1], (physical, zone, cell)


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS))
def test_every_transform_matches_the_documentation(kind: str, place: tuple[Scanner, Path]) -> None:
    """Many transforms of one type side by side, each over every cell that is written as text."""
    scanner, directory = place
    rng = random.Random(kind)
    transforms = {f"c{number}": transform(rng, kind) for number in range(40)}
    schema = {"fields": [{"name": name, "type": kind} for name in transforms], "zone": "America/New_York"}
    rows = [[cell] * len(transforms) for cell in WRITTEN[kind]]
    made = Table(directory / f"transforms-{kind}.csv", schema, [None] * len(transforms), rows)
    write_csv(rng, made)
    whole = Case(scanner, made, Terms({"columns": list(transforms), "transforms": transforms}, {}))
    assert not list(whole.differences())


def test_rows_and_values_match_the_reference(place: tuple[Scanner, Path]) -> None:
    cases, found = compare(place, FIXED, 0, 24)
    assert not found, "\n".join(found[:3])
    assert cases == 96


def test_rows_and_values_match_the_reference_with_another_seed(place: tuple[Scanner, Path]) -> None:
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")
    _, found = compare(place, seed, 0, 16)
    assert not found, "\n".join(found[:3])


def test_large_numbers_are_rounded_to_the_nearest_multiple(place: tuple[Scanner, Path]) -> None:
    """A seed that found 9007199254740993 rounded to the second nearest multiple of 5."""
    _, found = compare(place, 3365290879, 0, 16)
    assert not found, "\n".join(found[:3])


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_rows_and_values_match_the_reference_for_four_minutes(place: tuple[Scanner, Path]) -> None:
    seed = secrets.randbelow(2**32)
    cases, found = compare(place, seed, 240)
    print(f"seed {seed}, {cases} cases, {len(found)} differences")
    assert not found, "\n".join(found[:5])
