"""The SQL of plans: only this module writes it, and all values are bound parameters.

The text contains only names of the asset's schema, as quoted identifiers. Values of the grantee and of the steward, parameters
of transforms, keys and the file's path are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from access_policy.privacy.cells import (
    ENGINE_TYPES,
    Zone,
    can_break,
    is_broken,
    is_missing,
    is_there,
    quote,
    value_of,
)
from access_policy.privacy.plan import Plan, PlannedColumn
from access_policy.privacy.pseudonyms import PSEUDONYM_HEX
from access_policy.privacy.schema import (
    DECIMAL_DIGITS,
    RESERVED_PREFIX,
    AssetSchema,
    Bound,
    FieldType,
    bind_value,
    decimal_scale,
)
from access_policy.privacy.source import SourceFormat, splits_at_lines
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Operator, Or, RowPredicate, Scalar
from access_policy.terms.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Truncate,
)

Parameter = Bound | bytes | list[str] | dict[str, str]

INVALID_CELLS = RESERVED_PREFIX + "invalid-cells"
"""The name of the additional column with the number of invalid cells of a row; schemas cannot use it."""

THERE = RESERVED_PREFIX + "there-"
"""The prefix of inner columns that state whether a cell is not missing."""

EXACT_LIMIT = 2**62
"""Integers up to this absolute value are banded and rounded without overflow."""

_COMPARISONS: dict[Operator, str] = {
    "eq": "=",
    "neq": "<>",
    "lt": "<",
    "lteq": "<=",
    "gt": ">",
    "gteq": ">=",
}


@dataclass(slots=True)
class Statement:
    """An SQL text under construction, with its named parameters."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    text: str = ""
    _zone: str | None = None

    def bind(self, value: Parameter) -> str:
        """Add a parameter and return its marker."""
        name = f"v{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def zone(self, name: str | None) -> Zone | None:
        """A function that binds the zone at its first call and returns the marker; None without a zone."""
        if name is None:
            return None

        def marker() -> str:
            if self._zone is None:
                self._zone = self.bind(name)
            return self._zone

        return marker


def render_plan(
    plan: Plan,
    path: str | list[str],
    file_format: SourceFormat,
    schema: AssetSchema,
    physical: Mapping[str, str],
    pads: Mapping[str, tuple[bytes, bytes]],
    shuffle: bytes = b"",
) -> Statement:
    """The statement of a plan. ``physical`` maps each column to its type in the file, in file order; ``pads`` maps each
    pseudonymised column to its HMAC pads; ``shuffle`` is the key of a shuffled plan. The last output column is
    ``INVALID_CELLS``."""
    statement = Statement()
    planned = plan.columns + plan.looked_at
    types: dict[str, FieldType] = {c.name: c.source_type for c in planned}
    types |= {c.name: c.type for c in plan.filter_columns}
    zone = statement.zone(schema.zone)
    rules = {column.name: column.normalise for column in schema.columns}
    inner = [
        f"{value_of(name, kind, physical[name], zone, rules[name])} AS {quote(name)}"
        for name, kind in types.items()
    ]
    there = {
        name: f"{THERE}{number}"
        for number, (name, kind) in enumerate(types.items())
        if can_break(kind, physical[name])
    }
    inner += [f"{is_there(name)} AS {quote(flag)}" for name, flag in there.items()]
    broken = [
        f"{is_broken(f's.{quote(c.name)}', f's.{quote(there[c.name])}')}::INTEGER"
        for c in planned
        if c.name in there
    ]
    middle = [f"{_transformed(c, statement, pads, zone)} AS {quote(c.name)}" for c in planned]
    middle.append(f"{_sum(broken)} AS {quote(INVALID_CELLS)}")
    reader = read_file(statement, path, file_format, schema, tuple(physical))
    outer = ", ".join(f"r.{quote(name)}" for name in [*(c.name for c in plan.columns), INVALID_CELLS])
    text = f"SELECT {', '.join(middle)} FROM (SELECT {', '.join(inner)} FROM {reader}) AS s"  # noqa: S608
    if plan.row_filter is not None:
        text += f" WHERE {_predicate(plan.row_filter, 's', types, statement, there)}"
    text = f"SELECT {outer} FROM ({text}) AS r"  # noqa: S608
    if plan.where is not None:
        released = {c.name: c.released_type for c in planned}
        text += f" WHERE {_predicate(plan.where, 'r', released, statement, {})}"
    keys = [f"r.{quote(k.column)} {'DESC' if k.descending else 'ASC'} NULLS LAST" for k in plan.order]
    if plan.shuffled:
        keys.append(_shuffled(plan, statement, shuffle))
    if keys:
        text += f" ORDER BY {', '.join(keys)}"
    if plan.limit is not None:
        text += f" LIMIT {statement.bind(plan.limit)}"
    statement.text = text
    return statement


def _sum(terms: list[str]) -> str:
    """The sum as a balanced tree, because the engine limits the depth of expressions to less than a thousand."""
    if len(terms) < 2:
        return terms[0] if terms else "0"
    half = len(terms) // 2
    return f"({_sum(terms[:half])} + {_sum(terms[half:])})"


def _shuffled(plan: Plan, statement: Statement, key: bytes) -> str:
    """A keyed hash of the released row. Each cell is hashed with its length, so only equal rows have equal hashes, and their
    source order cannot be seen. The hash is not released."""
    if not key:
        raise ValueError("a shuffled plan needs its key")
    texts = [f"CAST(r.{quote(column.name)} AS VARCHAR)" for column in plan.columns]
    cells = ", ".join(f"strlen({text}), ':', {text}" for text in texts)
    return f"sha256({statement.bind(key)} || encode(concat({cells})))"


def read_file(
    statement: Statement,
    path: str | list[str],
    file_format: SourceFormat,
    schema: AssetSchema,
    header: tuple[str, ...],
) -> str:
    """The table function over one file, or over several Parquet files one after the other. Nothing about a CSV is guessed: the dialect is RFC 4180, every
    cell is text, the names are the header's; a line of the wrong length stops the scan."""
    marker = statement.bind(path)
    if file_format == "parquet":
        return f"read_parquet({marker}, hive_partitioning = false)"
    if not isinstance(path, str):
        raise TypeError("only Parquet files are parts of a table")
    columns = statement.bind(dict.fromkeys(header, "VARCHAR"))
    one_thread = "" if splits_at_lines(path) else ", parallel = false"
    nulls = statement.bind(list(schema.missing_values))
    return (
        f"read_csv({marker}, columns = {columns}, auto_detect = false, header = true, delim = ',',"
        f" quote = '\"', escape = '\"', nullstr = {nulls}, hive_partitioning = false{one_thread})"
    )


def _transformed(
    column: PlannedColumn, statement: Statement, pads: Mapping[str, tuple[bytes, bytes]], zone: Zone | None
) -> str:
    value = f"s.{quote(column.name)}"
    text = f"CAST({value} AS VARCHAR)"
    match column.transform:
        case Keep():
            return value
        case Pseudonym():
            inner, outer = (statement.bind(pad) for pad in pads[column.name])
            digest = f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"
            return f"left({digest}, {PSEUDONYM_HEX})"
        case Mask(first, last, character):
            f, n = statement.bind(first), statement.bind(last)
            c, hidden = statement.bind(character), f"length({text}) - {f} - {n}"
            return (
                f"CASE WHEN {hidden} > 0"
                f" THEN left({text}, {f}) || repeat({c}, {hidden}) || right({text}, {n})"
                f" ELSE repeat({c}, length({text})) END"
            )
        case Truncate(to):
            if zone is not None and column.source_type == "datetime":
                value = f"timezone({zone()}, {value})"
            return f"strftime({value}, '%Y-%m')" if to == "month" else f"year({value})"
        case Band(width, origin):
            return _band(value, column.source_type, width, origin, statement)
        case Ladder(steps, otherwise):
            codes = statement.bind([code for code, _ in steps])
            broader = statement.bind([label for _, label in steps])
            found = f"map({codes}::VARCHAR[], {broader}::VARCHAR[])[{text}]"
            return f"CASE WHEN {value} IS NOT NULL THEN coalesce({found}, {statement.bind(otherwise)}) END"
        case Round(step):
            return _round(value, column.source_type, step, statement)
        case Clamp(bottom, top):
            for bound, name in ((bottom, "greatest"), (top, "least")):
                if bound is not None:
                    edge = _exact(column.source_type, bound, statement)
                    value = f"CASE WHEN {value} IS NOT NULL THEN {name}({value}, {edge}) END"
            return value


def _round(value: str, kind: FieldType, step: float, statement: Statement) -> str:
    """The nearest multiple, halves away from zero. Integers remain exact, and no value can overflow, because an engine error
    at one row would reveal the row."""
    if kind == "number" and float(step).is_integer():
        s, size = statement.bind(float(step)), f"abs({value})"
        rest = f"fmod({size}, {s})"  # exact, unlike a product: from 2^52 on, no half of a step is a double
        nearest = f"CASE WHEN 2 * {rest} >= {s} THEN {size} + ({s} - {rest}) ELSE {size} - {rest} END"
        return (
            f"CASE WHEN {size} < {statement.bind(float(step) * 2**52)}"
            f" THEN CASE WHEN {value} < 0 THEN 0 - {nearest} ELSE {nearest} END ELSE {value} END"
        )
    if kind == "number":
        s, digits, half = (statement.bind(one) for one in (float(step), _decimals(step), _decimals(step / 2)))
        size, near = f"abs({value})", f"floor(abs({value}) / {s})"
        # The division may be wrong by one step (1.15 / 0.1 is less than 11.5), so the decimal forms of the halves decide.
        edges = [f"round(({near} + {place}) * {s}, {half})" for place in (-0.5, 0.5, 1.5)]
        steps = [f"round(({near} + {place}) * {s}, {digits})" for place in (-1, 0, 1, 2)]
        cases = " ".join(f"WHEN {size} < {edge} THEN {one}" for edge, one in zip(edges, steps, strict=False))
        nearest = f"CASE {cases} ELSE {steps[-1]} END"
        # Above 2^52 steps, neighbouring doubles differ by more than a step. The sign of zero is removed.
        return (
            f"CASE WHEN {size} < {statement.bind(float(step) * 2**52)}"
            f" THEN CASE WHEN {value} < 0 THEN 0 - {nearest} ELSE {nearest} END ELSE {value} END"
        )
    s, limit = _exact(kind, step, statement), _limit(kind, statement)
    rest = f"({value} % {s})"
    return (
        f"{value} - {rest} + CASE WHEN abs({rest}) < {s} - abs({rest}) OR {value} NOT BETWEEN -{limit} AND {limit}"
        f" THEN {s} - {s} WHEN {value} < 0 THEN -{s} ELSE {s} END"
    )


def _exact(kind: FieldType, value: float, statement: Statement) -> str:
    """A parameter of a transform as a value of the column's type, which can represent it."""
    if kind in ("integer", "year"):
        return statement.bind(int(value))
    return _literal(kind, value, statement)


def _limit(kind: FieldType, statement: Statement) -> str:
    """The largest absolute value of this type that is banded and rounded without overflow."""
    scale = decimal_scale(kind)
    return (
        statement.bind(EXACT_LIMIT)
        if scale is None
        else _literal(kind, 10 ** (DECIMAL_DIGITS - 2 - scale), statement)
    )


def _decimals(*values: float) -> int:
    """The decimal places that represent all of these exactly; results are rounded to them, so that 3 steps of 0.1 are 0.3."""
    return max(0, *(-int(Decimal(repr(float(value))).normalize().as_tuple().exponent) for value in values))


def _band(value: str, kind: FieldType, width: float, origin: float, statement: Statement) -> str:
    """``30-39`` where values and bounds are whole numbers, ``[0.5, 1.0)`` otherwise; ``*`` beyond 2^62, of doubles beyond 2^52 and 2^52
    widths, where the bounds could not be written."""
    if decimal_scale(kind) is not None:
        w, o = _exact(kind, width, statement), _exact(kind, origin, statement)
        low = f"({value} - (({value} % {w} - {o} % {w}) % {w} + {w}) % {w})"
        limit = _limit(kind, statement)
        return (
            f"CASE WHEN {value} BETWEEN -{limit} AND {limit}"
            f" THEN '[' || CAST({low} AS VARCHAR) || ', ' || CAST({low} + {w} AS VARCHAR) || ')'"
            f" WHEN {value} IS NOT NULL THEN '*' END"
        )
    if kind == "number" or not (float(width).is_integer() and float(origin).is_integer()):
        w, o = statement.bind(float(width)), statement.bind(float(origin))
        digits = statement.bind(_decimals(width, origin))
        near = f"floor(({value} - {o}) / {w})"
        # The division may be wrong by one band (0.3 / 0.1 is less than 3), so the decimal forms of the bounds decide.
        edges = [f"round(({near} + {step}) * {w} + {o}, {digits})" for step in (-1, 0, 1, 2)]
        bands = [
            f"'[' || CAST({low} AS VARCHAR) || ', ' || CAST({high} AS VARCHAR) || ')'"
            for low, high in pairwise(edges)
        ]
        limit = statement.bind(min(float(width), 1.0) * 2**52)
        return (
            f"CASE WHEN abs({value}) >= {limit} THEN '*' WHEN {value} < {edges[1]} THEN {bands[0]}"
            f" WHEN {value} < {edges[2]} THEN {bands[1]} WHEN {value} IS NOT NULL THEN {bands[2]} END"
        )
    # Bands repeat with their width, so the origin is reduced modulo the width to prevent overflow.
    w, o = statement.bind(int(width)), statement.bind(int(origin) % int(width))
    limit = _limit(kind, statement)
    low = f"({value} - (({value} % {w} - {o}) % {w} + {w}) % {w})"
    return (
        f"CASE WHEN {value} BETWEEN -{limit} AND {limit}"
        f" THEN concat(CAST({low} AS VARCHAR), '-', CAST({low} + {w} - 1 AS VARCHAR))"
        f" WHEN {value} IS NOT NULL THEN '*' END"
    )


def _literal(kind: FieldType, value: Scalar, statement: Statement) -> str:
    """A value as the column's type. Exact decimals are bound as text, because the engine guesses the digits of a number."""
    bound = bind_value(kind, value)
    return (
        f"CAST({statement.bind(f'{bound:f}')} AS {ENGINE_TYPES[kind]})"
        if isinstance(bound, Decimal)
        else statement.bind(bound)
    )


def _predicate(
    predicate: RowPredicate,
    alias: str,
    types: Mapping[str, FieldType],
    statement: Statement,
    there: Mapping[str, str],
) -> str:
    """A predicate in SQL's three-valued logic: rows with an unknown result are not released, negated or not. ``there`` maps
    columns to the inner columns that state whether a cell is not missing; null in a cell that is not missing is invalid."""
    match predicate:
        case Compare(column, op, value):
            marker = _literal(types[column], value, statement)
            return f"{alias}.{quote(column)} {_COMPARISONS[op]} {marker}"
        case In(column, values):
            markers = ", ".join(_literal(types[column], value, statement) for value in values)
            return f"{alias}.{quote(column)} IN ({markers})"
        case IsNull(column):
            cell = f"{alias}.{quote(column)}"
            return (
                is_missing(cell, f"{alias}.{quote(there[column])}") if column in there else f"{cell} IS NULL"
            )
        case And(parts) | Or(parts):
            word = " AND " if isinstance(predicate, And) else " OR "
            return "(" + word.join(_predicate(p, alias, types, statement, there) for p in parts) + ")"
        case Not(part):
            return f"(NOT {_predicate(part, alias, types, statement, there)})"
