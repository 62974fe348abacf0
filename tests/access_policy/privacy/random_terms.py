"""Random terms and queries over a table, from one seeded source."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import rowwise, rowwise_cells
from .odd_values import TEXTS
from .random_tables import Table

ORDERED = ["eq", "neq", "lt", "lteq", "gt", "gteq"]
LITERALS: dict[str, list[Any]] = {
    "string": [*TEXTS[:9], "x", "CAFÉ"],
    "integer": [0, 7, -7, 10, 30, 36, "9007199254740993", "-9223372036854775808", "007", 95],
    "number": [0, 0.1, 0.3, 10, 35, -0.25, 1e300, 5e-324, 36.5, 2.0**53, 0.15],
    "boolean": [True, False],
    "date": ["2024-05-01", "2024-02-29", "0001-01-01", "9999-12-31", "1970-01-01"],
    "time": ["10:00:00", "00:00:00", "23:59:59.999999", "09:30:00.5"],
    "datetime": [
        "2023-12-31T16:30:00Z",
        "2024-01-01T00:30:00+08:00",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2024-01-01T00:00:00-05:00",
    ],
    "year": [2024, 1999, 0, -44, 1970],
    "yearmonth": ["2024-05", "1999-12", "0001-01", "2024-01", "1970-01"],
    "decimal(0)": [0, 12, -12, "110101199003071234", "12.0", 10],
    "decimal(2)": [12.5, "12.50", 0, "-0.01", "90071992547409.93", 7],
    "decimal(18)": [1.5, "0.000000000000000001", 12, 0],
}


def transform(rng: random.Random, kind: str) -> dict[str, Any]:
    """A transform that fits the type."""
    decimal = kind.startswith("decimal")
    fits: list[Callable[[], dict[str, Any]]] = [lambda: {"type": "keep"}]
    if decimal or kind in ("string", "integer", "date", "year", "yearmonth"):
        fits.append(
            lambda: (
                {"type": "mask", "keep_first": rng.choice([0, 1, 3]), "keep_last": rng.choice([0, 2])}
                | rng.choice([{}, {"with": "•"}])
            )
        )
        steps = [str(one) for one in LITERALS[kind] if one != ""]
        fits.append(
            lambda: (
                {"type": "ladder", "steps": {one: rng.choice("AB") for one in rng.sample(steps, 2)}}
                | rng.choice([{}, {"otherwise": "?"}])
            )
        )
    if kind in ("date", "datetime"):
        fits += [lambda: {"type": "truncate", "to": rng.choice(["month", "year"])}] * 2
    if decimal or kind in ("integer", "number", "year"):
        whole = kind in ("integer", "year", "decimal(0)")
        steps_of = [1, 5, 7, 10, 100, 2**40] if whole else [1, 5, 0.1, 0.05, 0.25, 10, 2.5, 1000]
        edges = [0, -7, 5, 18, 90] if whole else [0, -0.5, 12.5, 90, 0.1]
        fits += [
            lambda: {"type": "round", "step": rng.choice(steps_of)},
            lambda: (
                {"type": "band", "width": rng.choice(steps_of)}
                | rng.choice([{}, {"origin": rng.choice(edges)}])
            ),
            lambda: (
                {"type": "clamp"}
                | rng.choice(
                    [
                        {"bottom": edges[0]},
                        {"top": edges[-1]},
                        {"bottom": edges[0], "top": edges[-1]},
                        {"top": edges[1]},
                    ]
                )
            ),
        ]
    return rng.choice(fits)()


def predicate(
    rng: random.Random, types: Mapping[str, tuple[str, bool, Sequence[Any]]], depth: int = 3
) -> dict[str, Any]:
    """A row predicate. ``types`` has, for each column, its type, whether it is ordered, and values that occur
    in it."""
    if depth and rng.random() < 0.5:
        word = rng.choice(["and", "or", "not"])
        if word == "not":
            return {"not": predicate(rng, types, depth - 1)}
        return {word: [predicate(rng, types, depth - 1) for _ in range(rng.randint(1, 3))]}
    name = rng.choice(list(types))
    kind, ordered, seen = types[name]
    pool = [*LITERALS[kind], *seen]
    op = rng.choice(["isNull", "in", *(ORDERED if ordered else ORDERED[:2])])
    if op == "isNull":
        return {"column": name, "op": op}
    if op == "in":
        return {"column": name, "op": op, "value": [rng.choice(pool) for _ in range(rng.randint(1, 4))]}
    return {"column": name, "op": op, "value": rng.choice(pool)}


def as_literal(kind: str, value: Any) -> Any:
    """A value in the form of a predicate."""
    if kind in ("number", "boolean", "year"):
        return value
    return rowwise.as_text(kind, value)


@dataclass(frozen=True)
class Terms:
    """The granted columns, rows and transforms, and the query."""

    granted: dict[str, Any]
    query: dict[str, Any]


def terms(rng: random.Random, made: Table) -> Terms:
    """Random terms over a table, and a query under them."""
    fields = {one["name"]: one for one in made.schema["fields"]}
    seen: dict[str, list[Any]] = {}
    for place, (name, one) in enumerate(fields.items()):
        values = [
            rowwise_cells.read(one, made.physical[place], row[place], made.schema) for row in made.rows[:20]
        ]
        seen[name] = [as_literal(one["type"], v) for v in values if not isinstance(v, rowwise_cells.Cell)][:6]
        if one["type"] == "year":
            seen[name] = [v for v in seen[name] if abs(v) < 2**53]
    source = {n: (one["type"], one["type"] != "boolean", seen[n]) for n, one in fields.items()}
    columns = rng.sample(list(fields), rng.randint(1, len(fields)))
    often = rng.choice([0, 0.6])
    transforms = {n: transform(rng, fields[n]["type"]) for n in columns if rng.random() < often}
    granted: dict[str, Any] = {"columns": columns, "transforms": transforms}
    if rng.random() < 0.8:
        granted["rows"] = predicate(rng, source)
    query: dict[str, Any] = {}
    if rng.random() < 0.5:
        query["columns"] = rng.sample(columns, rng.randint(1, len(columns)))
    if rng.random() < 0.5:
        released = {}
        for name in columns:
            how = transforms.get(name, {"type": "keep"})
            kind = rowwise.released_type(how, fields[name]["type"])
            ordered = kind != "boolean" and how["type"] not in ("mask", "ladder", "band")
            released[name] = (
                kind,
                ordered,
                seen[name] if how["type"] == "keep" else ["A", "0-4"][: kind == "string"],
            )
        query["where"] = predicate(rng, released, 2)
    if not transforms and rng.random() < 0.7:
        names = query.get("columns", columns)
        keys = [n for n in rng.sample(names, rng.randint(0, len(names))) if fields[n]["type"] != "number"]
        query["order"] = [{"column": n, "descending": rng.random() < 0.5} for n in keys]
        if not any(fields[n]["type"] == "number" for n in names):  # A sort treats 0 and -0 as equal.
            query["limit"] = rng.choice([1, 5, 1_000])
        elif keys:
            del query["order"]
    return Terms(granted, query)
