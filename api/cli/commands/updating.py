"""``civic dataset update``: replace a dataset's file by a new version without failing a read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.command import refuse_unused
from api.cli.commands.registering import (
    OF_THE_SCHEMA,
    about_file,
    entry_must_be_of,
    must_have_service_key,
    uploaded,
)
from api.cli.failures import CommandError
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
from api.cli.options import Asset
from api.cli.output import note
from api.terminal.language import say

if TYPE_CHECKING:
    from api.cli.inspection import Inspection
    from api.cli.version_changes import VersionChanges
    from api.sdk.acts import ActDraft


def register(group: typer.Typer) -> None:
    """Add the command."""
    governing(
        group,
        "update",
        "A dataset has a newer file: sign its next version, hand the file in; reads go over the old one until it is recorded.",
    )(update_dataset)


def update_dataset(
    session: SigningSession,
    asset: Asset,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=say("CSV, Parquet or an .xlsx workbook."),
        ),
    ],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help=say(
                "A finished catalogue entry, or a schema; by default those on record, with columns that are new as they look."
            ),
            show_default=False,
        ),
    ] = None,
    types: Types = None,
    classes: Classes = None,
    person_key: PersonKey = "",
    missing: Missing = None,
    zone: ZoneName = "",
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    sheet: SheetName = "",
    show_values: ShowValues = False,
    no_upload: Annotated[
        bool,
        typer.Option(
            "--no-upload",
            help=say(
                "Do not hand the file in now: the version takes effect when it is (civic dataset upload)."
            ),
        ),
    ] = False,
) -> Proposal:
    from api.cli.inspection import Corrections, inspected
    from api.cli.preview import print_inspection
    from api.cli.version_changes import kept_schema
    from api.files import prepare
    from api.sdk.drafts import draft_version, source_of
    from api.terminal.screen import lines

    if not no_upload:
        must_have_service_key(session)
    given_document = None if metadata is None else read_object(metadata, "--metadata")
    entry = given_document if given_document is not None and "fields" not in given_document else None
    if entry is not None:
        refuse_unused("--metadata", *OF_THE_SCHEMA)
    with session.profile.public() as civic:
        known = civic.dataset(asset)
    recorded = known["metadata"]
    prepared = prepare(file, encoding=encoding, delimiter=delimiter, sheet=sheet)
    by = Corrections(
        listed(types),
        listed(classes),
        person_key,
        missing or (),
        zone,
        default_zone=given_document is not None,
    )
    otherwise: tuple[tuple[str, str, str], ...] = ()
    if given_document is None:
        kept = kept_schema(prepared, recorded["schema"], by)
        declared, otherwise = kept.schema, kept.otherwise
    else:
        declared = given_document if entry is None else entry["schema"]
    if entry is not None:
        entry_must_be_of(entry, prepared.path)
    found = inspected(prepared, by, declared)
    source = source_of(prepared.path)
    new = entry or {**recorded, "schema": found.schema.to_json(), "source": source}
    draft = draft_version(asset, int(known["version"]) + 1, new, deadline=session.deadline)
    print_inspection(found, show_values)
    before = recorded_source(session, asset)
    _must_change(before, source, recorded, new)
    changes = _changes(session, draft, found, before, source, recorded, otherwise)
    lines(*changes.in_words(), error=True)
    about = {"asset": asset, "version": draft.message["version"], "changes": changes.to_json()}

    def hand_file_in(answer: dict[str, Any]) -> dict[str, Any]:
        if no_upload or answer.get("state") != "awaiting-file":
            return {}
        note(
            say(
                "accepted; the file is handed in now. Should that break off: civic dataset upload {asset} {file}",
                asset=asset,
                file=file,
            )
        )
        with session.profile.connect(session.passphrases) as civic:
            upload = uploaded(session, civic, asset, prepared.path)
            state = civic.act_status(answer["digest"], wait_s=session.wait_s)
        if text := state.pop("receipt", None):
            state["receipt"] = str(session.profile.keep(str(text)))
        return state | upload

    return Proposal(draft, hand_file_in, about | about_file(found))


def recorded_source(session: SigningSession, asset: str) -> dict[str, Any]:
    """The recorded file; for a table in parts the bytes of all. Empty without a service key, which this query needs."""
    from ledger.audit.formats.source_parts import signed_files

    if not session.profile.service:
        return {}
    with session.profile.connect(session.passphrases) as civic:
        source = civic.dataset_source(asset)
    return source | {"bytes": sum(one.size for one in signed_files(source))}


def _must_change(
    before: dict[str, Any], source: dict[str, Any], recorded: dict[str, Any], new: dict[str, Any]
) -> None:
    same = {name: value for name, value in new.items() if name != "source"}
    if before.get("sha256") == source["sha256"] and same == {
        name: value for name, value in recorded.items() if name != "source"
    }:
        raise CommandError(
            say("the file is the one on record, and so is its description"),
            hint=say("nothing was signed; there is nothing to update"),
            code="version.unchanged",
        )


def _changes(
    session: SigningSession,
    draft: ActDraft,
    found: Inspection,
    before: dict[str, Any],
    source: dict[str, Any],
    recorded: dict[str, Any],
    otherwise: tuple[tuple[str, str, str], ...],
) -> VersionChanges:
    from api.cli.document_checks import document_findings
    from api.cli.version_changes import VersionChanges
    from api.documents.datasets import column_changes

    _, findings = document_findings(session.profile, draft)
    return VersionChanges(
        before,
        {"rows": found.report.rows, "bytes": source["bytes"], "sha256": source["sha256"]},
        list(column_changes(recorded["schema"], draft.documents[0]["schema"])),
        [one for one in findings if one.code == "version.breaks-grant"],
        [one for one in findings if one.code == "version.pinned-grant"],
        [one for one in otherwise if one[1] == _type_of(draft, one[0])],
    )


def _type_of(draft: ActDraft, column: str) -> str:
    """The type that will be declared: an option may correct the inferred one."""
    fields = draft.documents[0]["schema"]["fields"]
    return next((str(one["type"]) for one in fields if one["name"] == column), "")
