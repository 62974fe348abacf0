"""The one place that writes SQL: a plan becomes a statement whose every value is a bound parameter.

Only names from the asset's schema are written into the text, as quoted identifiers. Values of the grantee
and of the steward, parameters of transforms, keys and the file's path travel as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from access_policy.privacy.plan import Plan, PlannedColumn
from access_policy.privacy.pseudonyms import PSEUDONYM_HEX
from access_policy.privacy.schema import RESERVED_PREFIX, AssetSchema, Bound, FieldType, bind_value
from access_policy.privacy.source import SourceFormat
from access_policy.privacy.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Truncate,
)
from access_policy.rows import And, Compare, In, IsNull, Not, Operator, Or, RowPredicate

Parameter = Bound | bytes | list[str] | dict[str, str]

INVALID_CELLS = RESERVED_PREFIX + "invalid-cells"
"""Name of the extra column that counts a row's cells which broke the schema; schemas cannot use it."""

EXACT_LIMIT = 2**62
"""Whole numbers up to here, on either side, are banded and rounded without overflow."""

ENGINE_TYPES: dict[FieldType, str] = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "time": "TIME",
    "year": "BIGINT",
    "yearmonth": "VARCHAR",
}
_WIDENING: dict[FieldType, frozenset[str]] = {
    "integer": frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}),
    "number": frozenset({"FLOAT", "DOUBLE", "TINYINT", "SMALLINT", "INTEGER"}),
    "year": frozenset({"SMALLINT", "INTEGER", "USMALLINT", "UINTEGER"}),
    "datetime": frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"}),
}
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
    """SQL text and its named parameters, grown together."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    text: str = ""

    def bind(self, value: Parameter) -> str:
        """Add a parameter and return its marker."""
        name = f"v{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def render_plan(
    plan: Plan,
    path: str,
    file_format: SourceFormat,
    schema: AssetSchema,
    physical: Mapping[str, str],
    pads: Mapping[str, tuple[bytes, bytes]],
    shuffle: bytes = b"",
) -> Statement:
    """The statement of a plan. ``physical`` gives the file's own type of each column, in file order;
    ``pads`` the HMAC pads of each pseudonymised column, ``shuffle`` the key of a shuffled plan. The last output column is ``INVALID_CELLS``."""
    statement = Statement()
    planned = plan.columns + plan.looked_at
    types: dict[str, FieldType] = {c.name: c.source_type for c in planned}
    types |= {c.name: c.type for c in plan.filter_columns}
    inner = [f"{typed(name, kind, physical[name])} AS {quote(name)}" for name, kind in types.items()]
    broken = [
        f"({quote(c.name)} IS NOT NULL AND {typed(c.name, c.source_type, physical[c.name])} IS NULL)::INTEGER"
        for c in planned
        if can_break(c.source_type, physical[c.name])
    ]
    inner.append(f"{' + '.join(broken) or '0'} AS {quote(INVALID_CELLS)}")
    middle = [f"{_transformed(c, statement, pads)} AS {quote(c.name)}" for c in planned]
    middle.append(f"s.{quote(INVALID_CELLS)} AS {quote(INVALID_CELLS)}")
    reader = read_file(statement, path, file_format, schema, tuple(physical))
    outer = ", ".join(f"r.{quote(name)}" for name in [*(c.name for c in plan.columns), INVALID_CELLS])
    text = f"SELECT {', '.join(middle)} FROM (SELECT {', '.join(inner)} FROM {reader}) AS s"  # noqa: S608
    if plan.row_filter is not None:
        text += f" WHERE {_predicate(plan.row_filter, 's', types, statement)}"
    text = f"SELECT {outer} FROM ({text}) AS r"  # noqa: S608
    if plan.where is not None:
        released = {c.name: c.released_type for c in planned}
        text += f" WHERE {_predicate(plan.where, 'r', released, statement)}"
    keys = [f"r.{quote(k.column)} {'DESC' if k.descending else 'ASC'} NULLS LAST" for k in plan.order]
    if plan.shuffled:
        keys.append(_shuffled(plan, statement, shuffle))
    if keys:
        text += f" ORDER BY {', '.join(keys)}"
    if plan.limit is not None:
        text += f" LIMIT {statement.bind(plan.limit)}"
    statement.text = text
    return statement


def _shuffled(plan: Plan, statement: Statement, key: bytes) -> str:
    """A keyed hash of the released row. Each cell goes in with its length, so only equal rows have equal hashes:
    what is left to source order cannot be seen. The hash itself is not released."""
    if not key:
        raise ValueError("a shuffled plan needs its key")
    texts = [f"CAST(r.{quote(column.name)} AS VARCHAR)" for column in plan.columns]
    cells = ", ".join(f"strlen({text}), ':', {text}" for text in texts)
    return f"sha256({statement.bind(key)} || encode(concat({cells})))"


def read_file(
    statement: Statement,
    path: str,
    file_format: SourceFormat,
    schema: AssetSchema,
    header: tuple[str, ...],
    options: str = "",
) -> str:
    """The table function over one file. Nothing about a CSV is guessed: the dialect is RFC 4180, every
    cell is text, the names are the header's; a line of the wrong length stops the scan."""
    marker = statement.bind(path)
    if file_format == "parquet":
        return f"read_parquet({marker}, hive_partitioning = false{options})"
    columns = statement.bind(dict.fromkeys(header, "VARCHAR"))
    nulls = statement.bind(list(schema.missing_values))
    return (
        f"read_csv({marker}, columns = {columns}, auto_detect = false, header = true, delim = ',',"
        f" quote = '\"', escape = '\"', nullstr = {nulls}, hive_partitioning = false{options})"
    )


def can_break(kind: FieldType, physical: str) -> bool:
    """Whether a cell of this physical type may fail to be of the declared type."""
    if physical in _WIDENING.get(kind, ()):
        return False
    return kind == "yearmonth" or physical != ENGINE_TYPES[kind]


def typed(name: str, kind: FieldType, physical: str) -> str:
    """A source column as its declared type; a cell that is not of that type becomes null."""
    column = quote(name)
    target = ENGINE_TYPES[kind]
    if not can_break(kind, physical):
        return column if physical == target else f"CAST({column} AS {target})"
    if physical != "VARCHAR":
        cast = f"TRY_CAST({column} AS {target})"
        # The engine rounds 1.7 to the integer 2 without a word; a declared integer must be one.
        return f"CASE WHEN {column} = trunc({column}) THEN {cast} END" if target == "BIGINT" else cast
    match kind:
        case "integer":
            return (
                f"CASE WHEN regexp_full_match({column}, '[+-]?[0-9]+') THEN TRY_CAST({column} AS BIGINT) END"
            )
        case "year":
            return (
                f"CASE WHEN regexp_full_match({column}, '-?[0-9]{{4}}') THEN TRY_CAST({column} AS BIGINT) END"
            )
        case "yearmonth":
            return f"CASE WHEN regexp_full_match({column}, '[0-9]{{4}}-(0[1-9]|1[0-2])') THEN {column} END"
        case "date":
            return (
                f"CASE WHEN regexp_full_match({column}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
                f" THEN TRY_CAST({column} AS DATE) END"
            )
    return f"TRY_CAST({column} AS {target})"


def _transformed(column: PlannedColumn, statement: Statement, pads: Mapping[str, tuple[bytes, bytes]]) -> str:
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
            cast = float if column.source_type == "number" else int
            if bottom is not None:
                value = f"CASE WHEN {value} IS NOT NULL THEN greatest({value}, {statement.bind(cast(bottom))}) END"
            if top is not None:
                value = f"CASE WHEN {value} IS NOT NULL THEN least({value}, {statement.bind(cast(top))}) END"
            return value


def _round(value: str, kind: FieldType, step: float, statement: Statement) -> str:
    """The nearest multiple, halves away from zero. Whole numbers stay exact, and no value can overflow:
    an engine error at one row would tell that the row is there."""
    if kind == "number":
        marker = statement.bind(float(step))
        return f"round({value} / {marker}) * {marker}"
    s, limit = statement.bind(int(step)), statement.bind(EXACT_LIMIT)
    rest = f"({value} % {s})"
    return (
        f"{value} - {rest} + CASE WHEN abs({rest}) >= {s} - abs({rest}) AND {value} BETWEEN -{limit} AND {limit}"
        f" THEN sign({value}) * {s} ELSE 0 END"
    )


def _band(value: str, kind: FieldType, width: float, origin: float, statement: Statement) -> str:
    """``30-39`` where values and bounds are whole numbers, ``[0.5, 1)`` otherwise; ``*`` beyond 2^62."""
    if kind == "number" or not (float(width).is_integer() and float(origin).is_integer()):
        w, o = statement.bind(float(width)), statement.bind(float(origin))
        low = f"(floor(({value} - {o}) / {w}) * {w} + {o})"
        return f"'[' || CAST({low} AS VARCHAR) || ', ' || CAST({low} + {w} AS VARCHAR) || ')'"
    # Bands repeat with their width, so the origin can be taken below it, and nothing overflows.
    w, o = statement.bind(int(width)), statement.bind(int(origin) % int(width))
    limit = statement.bind(EXACT_LIMIT)
    low = f"({value} - (({value} % {w} - {o}) % {w} + {w}) % {w})"
    return (
        f"CASE WHEN {value} BETWEEN -{limit} AND {limit}"
        f" THEN concat(CAST({low} AS VARCHAR), '-', CAST({low} + {w} - 1 AS VARCHAR))"
        f" WHEN {value} IS NOT NULL THEN '*' END"
    )


def _predicate(
    predicate: RowPredicate, alias: str, types: Mapping[str, FieldType], statement: Statement
) -> str:
    """A predicate in SQL's three-valued logic: what is unknown is not released, negated or not."""
    match predicate:
        case Compare(column, op, value):
            marker = statement.bind(bind_value(types[column], value))
            return f"{alias}.{quote(column)} {_COMPARISONS[op]} {marker}"
        case In(column, values):
            markers = ", ".join(statement.bind(bind_value(types[column], value)) for value in values)
            return f"{alias}.{quote(column)} IN ({markers})"
        case IsNull(column):
            return f"{alias}.{quote(column)} IS NULL"
        case And(parts):
            return "(" + " AND ".join(_predicate(p, alias, types, statement) for p in parts) + ")"
        case Or(parts):
            return "(" + " OR ".join(_predicate(p, alias, types, statement) for p in parts) + ")"
        case Not(part):
            return f"(NOT {_predicate(part, alias, types, statement)})"
