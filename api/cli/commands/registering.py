"""``civic dataset inspect`` and ``register``: examine a file, describe it, sign it and hand it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.failures import CommandError, UsageError
from api.cli.file_options import (
    Classes,
    Delimiter,
    Encoding,
    Missing,
    PersonKey,
    SheetName,
    ShowValues,
    Types,
    ZoneName,
)
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.json_input import listed, read_object
from api.cli.options import ProfileOption
from api.cli.output import CommandResult
from api.terminal.language import say

if TYPE_CHECKING:
    from api.cli.inspection import Inspection
    from api.sdk.client import Civic

OF_THE_FILE = ("encoding", "delimiter", "sheet", "show_values")
OF_THE_SCHEMA = ("classes", "person_key", "types", "zone", "missing")
OF_THE_ENTRY = (
    *OF_THE_SCHEMA, "title_zh", "title_en", "description_zh", "description_en", "grade", "sharing",
    "update_cycle", "legal_basis", "licence",
)  # fmt: skip
"""Parameters of ``civic dataset register`` that a finished entry already contains."""


def register(group: typer.Typer) -> None:
    """Add the commands."""
    command(
        group,
        "inspect",
        "Look at a file before it is registered: how it is read, its columns and why, defects, and what to decide.",
    )(inspect_file)
    governing(
        group, "register", "Describe a file, sign its catalogue entry, record it, and hand the file in."
    )(register_dataset)


def inspect_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=say("CSV, Parquet or an .xlsx workbook."),
        ),
    ],
    types: Types = None,
    classes: Classes = None,
    person_key: PersonKey = "",
    missing: Missing = None,
    zone: ZoneName = "",
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    sheet: SheetName = "",
    show_values: ShowValues = False,
    write: Annotated[
        Path | None,
        typer.Option(
            help=say("Write the schema here, to be edited: civic dataset register --metadata takes it."),
            show_default=False,
        ),
    ] = None,
    write_entry: Annotated[
        Path | None,
        typer.Option(
            help=say("Write a whole catalogue entry here, to be edited; titled by the file's name."),
            show_default=False,
        ),
    ] = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from tempfile import TemporaryDirectory

    from api.cli.inspection import Corrections, inspected
    from api.cli.preview import preview
    from api.cli.profile import read_profile
    from api.cli.registration import catalogue_entry
    from api.files import prepare

    if write_entry is None:
        refuse_unused(say("no --write-entry"), "profile")
    corrections = Corrections(listed(types), listed(classes), person_key, missing or (), zone)
    with TemporaryDirectory(prefix="civic-inspect-") as folder:
        prepared = prepare(file, encoding=encoding, delimiter=delimiter, sheet=sheet, folder=Path(folder))
        found = inspected(prepared, corrections)
        if write is not None:
            _write(write, found.schema.to_json())
        if write_entry is not None:
            titles = {"zh": file.stem, "en": file.stem}
            entry = catalogue_entry(
                prepared.path,
                found.schema.to_json(),
                title=titles,
                description=titles,
                sharing="conditional",
                grade="general",
                department=read_profile(profile).department,
            )
            _write(write_entry, entry)
        return preview(found, show_values)


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    except FileExistsError:
        raise CommandError(
            say("there is a file at {path} already", path=path),
            hint=say("choose another name"),
            code="metadata.file",
        ) from None


def register_dataset(
    session: SigningSession,
    asset: Annotated[
        str,
        typer.Argument(
            metavar="[ASSET]",
            help=say("Such as 7.12; the next free number by default."),
        ),
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            help=say("The data: CSV, Parquet or an .xlsx workbook."),
            show_default=False,
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help=say("A finished catalogue entry, or a schema, as civic dataset inspect writes them."),
            show_default=False,
        ),
    ] = None,
    classes: Classes = None,
    person_key: PersonKey = "",
    title_zh: Annotated[str, typer.Option(help=say("Title in Chinese."), show_default=False)] = "",
    title_en: Annotated[str, typer.Option(help=say("Title in English."), show_default=False)] = "",
    description_zh: Annotated[str, typer.Option(help=say("Summary in Chinese."), show_default=False)] = "",
    description_en: Annotated[str, typer.Option(help=say("Summary in English."), show_default=False)] = "",
    grade: Annotated[str, typer.Option(help="general | important | core")] = "general",
    sharing: Annotated[str, typer.Option(help="unconditional | conditional | none")] = "conditional",
    update_cycle: Annotated[
        str,
        typer.Option(help=say("How often it is renewed, such as P1D."), show_default=False),
    ] = "",
    legal_basis: Annotated[
        str, typer.Option(help=say("Legal basis of holding it."), show_default=False)
    ] = "",
    licence: Annotated[str, typer.Option(help=say("Licence of open data."), show_default=False)] = "",
    parent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASSET[=GRANT]",
            help=say(
                "What it is derived from, and the grant that allows it; no grant where your department processes it."
            ),
            show_default=False,
        ),
    ] = None,
    no_upload: Annotated[bool, typer.Option("--no-upload", help=say("Do not hand the file in now."))] = False,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    sheet: SheetName = "",
    types: Types = None,
    zone: ZoneName = "",
    missing: Missing = None,
    show_values: ShowValues = False,
) -> Proposal:
    from api.cli.inspection import Corrections, inspected
    from api.cli.preview import print_inspection
    from api.cli.registration import catalogue_entry
    from api.files import prepare
    from api.sdk.drafts import draft_registration

    given_document = None if metadata is None else read_object(metadata, "--metadata")
    entry = given_document if given_document is not None and "fields" not in given_document else None
    _must_have_data(session, file, entry, no_upload)
    if entry is not None:
        refuse_unused("--metadata", *OF_THE_ENTRY)
    about: dict[str, Any] = {}
    if file is None:
        assert entry is not None
        refuse_unused("--metadata", "no_upload", *OF_THE_FILE)
        entry_must_be_of(entry, None)
    else:
        prepared = prepare(file, encoding=encoding, delimiter=delimiter, sheet=sheet)
        file = prepared.path
        if entry is not None:
            entry_must_be_of(entry, file)
        corrections = Corrections(listed(types), listed(classes), person_key, missing or (), zone)
        found = inspected(prepared, corrections, given_document if entry is None else entry["schema"])
        print_inspection(found, show_values)
        about = about_file(found)
        if entry is None:
            entry = catalogue_entry(
                file,
                found.schema.to_json(),
                title={"zh": title_zh, "en": title_en},
                description={"zh": description_zh, "en": description_en},
                sharing=sharing,
                grade=grade,
                department=session.profile.department,
                updateCycle=update_cycle or None,
                legalBasis=legal_basis or None,
                licence=licence or None,
            )
    number = asset or _next_number(session)
    draft = draft_registration(number, entry, parents=_lineage(parent or []), deadline=session.deadline)

    def hand_file_in(_: dict[str, Any]) -> dict[str, Any]:
        if file is None or no_upload:
            return {}
        with session.profile.connect(session.passphrases) as civic:
            return uploaded(session, civic, number, file)

    return Proposal(draft, hand_file_in, {"asset": number} | about)


def _must_have_data(
    session: SigningSession, file: Path | None, entry: dict[str, Any] | None, no_upload: bool
) -> None:
    """A file must be given, or an entry that was finished for one; and a key to hand the file in with."""
    if file is None and entry is None:
        raise UsageError(
            say("name the data or a finished catalogue entry"),
            hint="--file data.csv, --metadata entry.json",
        )
    if file is not None and not no_upload:
        must_have_service_key(session)


def uploaded(session: SigningSession, civic: Civic, asset: str, file: Path) -> dict[str, Any]:
    """Hand a file in, keep its receipt, and report it as the member ``upload`` of the command's answer."""
    given = civic.upload(asset, file)
    kept = session.profile.keep(given["receipt"], given.get("call"))
    return {"upload": {"sha256": given.get("sha256"), "bytes": given.get("bytes"), "receipt": str(kept)}}


def must_have_service_key(session: SigningSession) -> None:
    """UsageError when the profile has no key to hand a file in with."""
    if not session.profile.service:
        raise UsageError(
            say("handing the file in needs a service key, and the profile names none"),
            hint=say("--no-upload, and later: civic dataset upload"),
        )


def about_file(found: Inspection) -> dict[str, Any]:
    """Facts about the file for the answer: which file was signed, the zone, and columns with open questions."""
    document: dict[str, Any] = {}
    if found.prepared.written:
        document["signed_file"] = str(found.prepared.path)
    if found.schema.zone is not None:
        document["zone"] = found.schema.zone
    if questioned := [one.name for one in found.findings if one.questions]:
        document["questioned"] = questioned
    return document


def _next_number(session: SigningSession) -> str:
    mine = session.profile.department
    with session.profile.public() as civic:
        used = [int(str(one["id"]).partition(".")[2]) for one in civic.datasets(department=mine)]
    return f"{mine}.{max(used, default=0) + 1}"


def _lineage(given: list[str]) -> dict[str, str]:
    """``7.12=0x...`` or ``7.12``, each parent once."""
    from ledger.chain.limits import NOTHING

    found: dict[str, str] = {}
    for one in given:
        parent, _, grant = one.partition("=")
        if parent in found:
            raise UsageError(
                say("{parent} is named twice", parent=parent),
                hint=say("name each parent once"),
            )
        found[parent] = grant if "=" in one else NOTHING
    return found


def entry_must_be_of(entry: dict[str, Any], file: Path | None) -> None:
    """Check that a finished entry is well formed and, if the file is given, describes this file."""
    from api.sdk.drafts import source_of
    from ledger.catalogue.metadata import MetadataError, is_sealed, parse_metadata

    parse_metadata(entry)
    if is_sealed(entry):
        raise MetadataError(
            "the entry names an opening that is not here: write its source out",
            pointer="/source",
            hint='{"format": "csv", "sha256": "...", "bytes": 1024}; a salt is drawn',
        )
    if file is None:
        return
    given_document = source_of(file)
    if any(given_document[name] != entry["source"][name] for name in ("format", "sha256", "bytes")):
        raise MetadataError(
            f"the entry is not about {file.name}: its SHA-256 is {given_document['sha256']}",
            pointer="/source",
        )
