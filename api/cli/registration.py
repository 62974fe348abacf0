"""Makes a catalogue entry from a file: columns inferred, classed by the steward, described and hashed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli.failures import UsageError
from api.files import Prepared, prepare
from api.sdk.drafts import metadata_document, source_of
from api.terminal.language import say
from languages.texts import listed
from ledger.catalogue.metadata import parse_metadata
from ledger.counts import counted

if TYPE_CHECKING:
    from api.sdk.client import Civic


def catalogue_entry(
    path: Path,
    schema: Mapping[str, Any],
    *,
    title: Mapping[str, str],
    description: Mapping[str, str],
    sharing: str,
    grade: str,
    department: int,
    **more: Any,
) -> dict[str, Any]:
    """The catalogue entry of a file, checked; MetadataError with a JSON pointer if it has not the required form."""
    titles = {name: text for name, text in title.items() if text}
    if not titles:
        raise UsageError(say("a dataset needs a title"), hint="--title-zh, --title-en")
    words = {name: text for name, text in description.items() if text} or titles
    document = metadata_document(
        title=titles,
        description=words,
        schema=schema,
        source=source_of(path),
        sharing=sharing,
        grade=grade,
        department=department,
        **more,
    )
    parse_metadata(document)
    return document


def file_signed(
    civic: Civic, asset: str, path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = ""
) -> Path:
    """The file to hand in for a dataset: the steward's file, or the file written from it if that one was signed."""
    prepared = prepare(path, encoding=encoding, delimiter=delimiter, sheet=sheet)
    if not prepared.written:
        return path
    source = civic.dataset_source(asset)
    signed = [source.get("sha256"), *(one.get("sha256") for one in source.get("awaited", ()))]
    return prepared.path if source_of(prepared.path)["sha256"] in signed else path


def remarks(prepared: Prepared) -> list[str]:
    """Remarks for the steward about how the file was read."""
    found = prepared.recognised
    remarks_found: list[str] = []
    if found.dialect is not None and not found.canonical:
        document = found.to_json()
        remarks_found.append(
            say(
                "{name} was read as text in {encoding}, delimiter {delimiter}",
                name=prepared.original.name,
                encoding=document["encoding"],
                delimiter=document["delimiter"],
            )
        )
    if (sheet := found.sheet) is not None:
        name, others = prepared.original.name, listed(sheet.others)
        remarks_found.append(
            say("{file}: sheet {sheet} was read, not {others}", file=name, sheet=sheet.name, others=others)
            if others
            else say("{file}: sheet {sheet} was read", file=name, sheet=sheet.name)
        )
        if sheet.blank_rows:
            remarks_found.append(
                say(
                    "{rows} blank, and left out",
                    rows=counted(sheet.blank_rows, "row between others is", "rows between others are"),
                )
            )
        if sheet.long_numbers:
            remarks_found.append(
                say(
                    "warning: {numbers} more than 15 digits, the first in {first_long}: Excel has replaced the further digits by zeros; identity numbers must be cells of text",
                    numbers=counted(sheet.long_numbers, "number has", "numbers have"),
                    first_long=sheet.first_long,
                )
            )
    if prepared.written:
        remarks_found.append(
            say(
                "what is hashed and handed in is {name}, beside it: UTF-8, commas, every cell's text unchanged",
                name=prepared.path.name,
            )
        )
    return remarks_found
