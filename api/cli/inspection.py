"""What a file would become, before signing: types with reasons, first rows, defects and open questions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from access_policy.privacy.execution.inference import InferredColumn, infer_columns, schema_of_columns
from access_policy.privacy.execution.preview import rows_as_text
from access_policy.privacy.execution.quality import QualityReport, check_quality
from access_policy.privacy.schema import (
    COLUMN_CLASSES,
    FIELD_TYPES,
    AssetSchema,
    SchemaError,
    is_zone,
    parse_schema,
)
from access_policy.privacy.source import Source, SourceFormat, SourceMismatch
from api.cli.column_signs import signs_of, text_reason
from api.cli.failures import UsageError
from api.cli.json_input import pairs
from api.files import Prepared
from api.files.canonical import numbered_rows
from api.terminal.language import say
from ledger.counts import counted

ZONE = "Asia/Shanghai"
"""The default zone, if neither ``--zone`` nor CIVIC_ZONE names one."""
SHOWN = 5
SAMPLE = 10_000
"""The number of rows by which a column's values are examined."""
EXAMPLES = 3
_KEYED = ("string", "integer", "decimal(0)")


@dataclass(frozen=True, slots=True)
class Corrections:
    """The steward's corrections of the inferred facts: options as on the command line."""

    types: Sequence[str] = ()
    classes: Sequence[str] = ()
    person_key: str = ""
    missing: Sequence[str] = ()
    zone: str = ""
    default_zone: bool = True
    """Whether instants get a zone if neither an option nor the schema names one."""

    def null_texts(self) -> tuple[str, ...]:
        """The texts that mean null: the empty cell, and those that the option names."""
        return tuple(dict.fromkeys(["", *self.missing]))

    def chosen_zone(self) -> str:
        """The zone of instants that have none. UsageError if no zone has this name."""
        name = self.zone or os.environ.get("CIVIC_ZONE") or ZONE
        if not is_zone(name):
            raise UsageError(
                say("there is no time zone {name!r}", name=name[:40]),
                hint=say("--zone Asia/Shanghai, or CIVIC_ZONE"),
            )
        return name


@dataclass(frozen=True, slots=True)
class Defects:
    """The cells of a column with one kind of defect: their number, and the positions of the first ones."""

    kind: str
    count: int
    rows: tuple[int, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A column as it would be registered. ``questions`` are words of `SIGNS` for a column that is left *plain*."""

    name: str
    type: str
    classification: str
    why: str
    signs: tuple[str, ...]
    questions: tuple[str, ...]
    defects: tuple[Defects, ...]

    @property
    def hidden(self) -> bool:
        """Whether values may identify the person of a row."""
        return self.classification != "plain" or bool(self.signs)

    def to_json(self) -> dict[str, object]:
        """As JSON, without values of the file."""
        return {
            "name": self.name,
            "type": self.type,
            "class": self.classification,
            "why": self.why,
            "questions": list(self.questions),
            "defects": [
                {"kind": one.kind, "count": one.count, "rows": list(one.rows), "lines": list(one.lines)}
                for one in self.defects
            ],
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file, how it was read, and what would be registered. ``first_rows`` are texts of all columns."""

    prepared: Prepared
    schema: AssetSchema
    zone: str
    report: QualityReport
    findings: tuple[Finding, ...]
    first_rows: tuple[tuple[str | None, ...], ...] = field(repr=False)

    @property
    def person_keys(self) -> tuple[str, ...]:
        """Columns that may be the person key, if none is chosen."""
        if self.schema.person_key is not None:
            return ()
        keys = {"identity", "identifier", "all-different"}
        apart = [one for one in self.findings if keys & set(one.signs) and "name" not in one.signs]
        return tuple(one.name for one in apart if one.type in _KEYED)


def inspected(prepared: Prepared, corrections: Corrections, declared: object = None) -> Inspection:
    """Examine a prepared file under the inferred and corrected schema, or under a declared one.

    Raises SourceError if the file cannot be read under it, SchemaError, UsageError. Nothing is written.
    """
    zone = corrections.chosen_zone()
    if declared is None:
        columns = infer_columns(prepared.path, zone, corrections.null_texts())
        schema = corrected(schema_of_columns(columns, zone), corrections, zone)
        reasons = _reasons(prepared, columns, schema)
    else:
        schema = corrected(parse_schema(declared), corrections, zone)
        reasons = dict.fromkeys(schema.names(), say("declared"))
    report = check_quality(Source(str(prepared.path), cast(SourceFormat, prepared.format), schema))
    if not report.whole:
        raise SourceMismatch("the file lacks columns that its schema declares, or has lines of another shape")
    sample = rows_as_text(prepared.path, schema.names(), first=SAMPLE, missing=schema.missing_values)
    found = tuple(_findings(prepared, schema, reasons, report, list(sample.values())))
    return Inspection(prepared, schema, zone, report, found, tuple(list(sample.values())[:SHOWN]))


def corrected(schema: AssetSchema, by: Corrections, zone: str) -> AssetSchema:
    """The schema with the steward's corrections. SchemaError for an unknown column, type or class."""
    document = dict(schema.to_json())
    fields = {str(one["name"]): one for one in cast(list[dict[str, object]], document["fields"])}
    for option, member, said, words in (
        ("--type", "type", by.types, FIELD_TYPES),
        ("--class", "class", by.classes, COLUMN_CLASSES),
    ):
        for column, word in pairs(said, option).items():
            _must_have(schema, column)
            if word not in words:
                raise SchemaError(f"there is no column {member} {word[:40]!r}", matches=tuple(words))
            fields[column][member] = word
    if by.person_key:
        _must_have(schema, by.person_key)
        document["personKey"] = by.person_key
    if by.missing:
        document["missingValues"] = list(by.null_texts())
    named = by.zone or schema.zone or (zone if by.default_zone else None)
    if named and any(one["type"] == "datetime" for one in fields.values()):
        document["zone"] = named
    return parse_schema(document)


def _must_have(schema: AssetSchema, column: str) -> None:
    if schema.column(column) is None:
        raise SchemaError(f"the file has no column {column[:60]!r}", matches=schema.close_to(column))


def _reasons(prepared: Prepared, columns: Sequence[InferredColumn], schema: AssetSchema) -> dict[str, str]:
    """The reason for each column's type, in the command's language."""
    asked = {one.first_other for one in columns if one.first_other is not None}
    names = [one.name for one in columns]
    rows = rows_as_text(prepared.path, names, first=0, others=asked, missing=schema.missing_values)
    reasons_by_column: dict[str, str] = {}
    for place, one in enumerate(columns):
        if one.first_other is not None and one.first_other in rows:
            reasons_by_column[one.name] = _why_not_narrower(one, rows[one.first_other][place])
        else:
            reasons_by_column[one.name] = _why_type(one)
        if (declared := schema.column(one.name)) is not None and declared.type != one.type:
            reasons_by_column[one.name] = say("declared; found: {type}", type=one.type)
    return reasons_by_column


def _why_type(one: InferredColumn) -> str:
    if one.declared is not None:
        return say("the file says {declared}", declared=one.declared)
    if not one.values:
        return say("no values")
    return say("{values} written so", values=counted(one.values, "value, and it is", "values, all of them"))


def _why_not_narrower(one: InferredColumn, value: str | None) -> str:
    shape, row = text_reason(value), one.first_other
    if not one.nearest:
        return say("row {row} {shape}", row=row, shape=shape)
    kind = "decimal" if one.nearest.startswith("decimal") else one.nearest
    return say(
        "{fitting} of {values} {kind}; row {row} {shape}",
        fitting=one.fitting,
        values=counted(one.values, "value fits", "values fit"),
        kind=kind,
        row=row,
        shape=shape,
    )


def _findings(
    prepared: Prepared,
    schema: AssetSchema,
    reasons: Mapping[str, str],
    report: QualityReport,
    sample: Sequence[tuple[str | None, ...]],
) -> Iterator[Finding]:
    rows: dict[tuple[str, str], list[int]] = {}
    for defect in report.defects:
        at = rows.setdefault((defect.column or "", defect.kind), [])
        if defect.row is not None and len(at) < EXAMPLES:
            at.append(defect.row)
    lines = _lines(prepared, {row for at in rows.values() for row in at})
    for place, column in enumerate(schema.columns):
        signs = signs_of(column.name, [row[place] for row in sample], column.type in _KEYED)
        defects = tuple(
            Defects(
                kind,
                count,
                tuple(at := rows.get((name, kind), [])),
                tuple(lines[r] for r in at if r in lines),
            )
            for name, kind, count in report.counts
            if name == column.name
        )
        plain = column.classification == "plain" and schema.person_key != column.name
        yield Finding(
            column.name,
            column.type,
            column.classification,
            reasons[column.name],
            signs,
            signs if plain else (),
            defects,
        )


def _lines(prepared: Prepared, rows: set[int]) -> dict[int, int]:
    """Lines of the steward's own file (rows of a sheet) by number of data row."""
    last = max(rows, default=0)
    found: dict[int, int] = {}
    if last:
        for number, (line, _) in enumerate(numbered_rows(prepared.original, prepared.recognised), 1):
            if number in rows:
                found[number] = line
            if number == last:
                break
    return found


def as_document(found: Inspection, show_values: bool) -> dict[str, Any]:
    """The whole inspection for programs; values that may identify a person are included only if requested."""
    shown = [
        {
            one.name: None if value is None else HIDDEN if one.hidden and not show_values else value
            for one, value in zip(found.findings, row, strict=True)
        }
        for row in found.first_rows
    ]
    return {
        "file": str(found.prepared.original),
        "format": found.prepared.format,
        "read_as": found.prepared.recognised.to_json(),
        "rows": found.report.rows,
        "zone": found.zone,
        "columns": [one.to_json() for one in found.findings],
        "person_key": found.schema.person_key,
        "person_key_candidates": list(found.person_keys),
        "undeclared_columns": [name for name, kind, _ in found.report.counts if kind == "undeclared-column"],
        "spellings": [{"column": name, "values": values} for name, values in found.report.spellings],
        "first_rows": shown,
        "schema": found.schema.to_json(),
    }


HIDDEN = "***"
