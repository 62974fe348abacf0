"""Shows an inspected file to its steward: columns with reasons, first rows, defects, and open questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.cli.column_signs import SIGNS
from api.cli.inspection import HIDDEN, Defects, Finding, Inspection, as_document
from api.cli.output import CommandResult, sentence, table
from api.cli.registration import remarks
from api.terminal.language import say
from languages.texts import N_
from ledger.counts import counted

if TYPE_CHECKING:
    from rich.console import Console

MOST = 40
"""The number of characters of a value that are shown."""
_KINDS = {
    "type": (
        "cell is not of the type and is",
        "cells are not of the type and are",
        N_("defect in {name}: {cells} released as null ({places})"),
    ),
    "required": ("cell is", "cells are", N_("defect in {name}: {cells} missing, but required ({places})")),
    "rounded": (
        "cell has",
        "cells have",
        N_("defect in {name}: {cells} more digits than a number keeps ({places})"),
    ),
}


def preview(found: Inspection, show_values: bool) -> CommandResult:
    """The inspection for people and for programs. Values that may identify a person are hidden unless requested."""
    document = as_document(found, show_values)
    rows = document["first_rows"]
    parts = [
        sentence({}, *remarks(found.prepared), *_head(found)),
        table(
            {},
            say("Columns"),
            [
                say("name"),
                say("type"),
                say("class"),
                say("why this type"),
            ],
            [[one.name, one.type, one.classification, one.why] for one in found.findings],
        ),
        table(
            {},
            say("First rows"),
            [say("name"), *(str(number + 1) for number in range(len(rows)))],
            [[one.name, *(_clipped(row[one.name]) for row in rows)] for one in found.findings],
        ),
        sentence({}, *_hidden(found, show_values), *_defects(found), *_spellings(found), *_questions(found)),
    ]

    def show(out: Console) -> None:
        for part in parts:
            assert part.show is not None
            part.show(out)

    return CommandResult(document, show)


def _clipped(value: str | None) -> str:
    text = "" if value is None else value
    return text if len(text) <= MOST else text[: MOST - 1] + "…"


def print_inspection(found: Inspection, show_values: bool) -> None:
    """Print the inspection on standard error, before a signature."""
    import contextlib
    import sys

    from api.cli.output import console

    result = preview(found, show_values)
    assert result.show is not None
    with contextlib.redirect_stdout(sys.stderr):
        result.show(console(error=True))


def print_summary(found: Inspection) -> None:
    """Print rows, defects and spellings of a file whose schema is on record, on standard error."""
    from api.terminal.screen import lines

    rows = found.report.rows
    lines(
        f"{found.prepared.original.name}: " + say("{rows}", rows=counted(rows, "row")),
        *_defects(found),
        *_spellings(found),
        error=True,
    )


def _head(found: Inspection) -> Iterator[str]:
    yield say("{rows}", rows=counted(found.report.rows, "row"))
    if found.schema.zone is not None:
        yield say("instants without a zone are local to {zone} (--zone)", zone=found.schema.zone)


def _hidden(found: Inspection, show_values: bool) -> Iterator[str]:
    if not show_values and any(one.hidden for one in found.findings):
        yield say("{hidden}: values that may tell who a row is about (--show-values)", hidden=HIDDEN)


def _defects(found: Inspection) -> Iterator[str]:
    for column in found.findings:
        for one in column.defects:
            one_cell, cells, text = _KINDS[one.kind]
            yield say(
                text,
                name=column.name,
                cells=counted(one.count, one_cell, cells),
                places=_places(one, found),
            )
    for name, kind, _ in found.report.counts:
        if kind == "undeclared-column":
            yield say("column {name} is not declared: it is not shared", name=name)


def _spellings(found: Inspection) -> Iterator[str]:
    for name, values in found.report.spellings:
        yield say(
            "{name}: {values} written in several ways that differ only by width, composition, case or blanks; a filter tells them apart (normalise in the schema)",
            name=name,
            values=counted(values, "value is", "values are"),
        )


def _places(one: Defects, found: Inspection) -> str:
    numbers = one.lines or one.rows
    more = ", ..." if one.count > len(numbers) else ""
    listed = ", ".join(map(str, numbers)) + more
    if one.lines and found.prepared.recognised.dialect is not None:
        return say("line {listed}", listed=listed)
    return say("row {listed}", listed=listed)


def _questions(found: Inspection) -> Iterator[str]:
    for one in found.findings:
        if one.questions:
            yield _question(one)
    if found.person_keys:
        names = ", ".join(found.person_keys)
        yield say(
            "question: does a column tell persons apart? candidates: {names} (--person-key)", names=names
        )


def _question(one: Finding) -> str:
    return say(
        "question: {name} looks like {sign} and is plain: is it not an identifier, quasi-identifier or sensitive? (--class)",
        name=one.name,
        sign=say(SIGNS[one.questions[0]]),
    )
