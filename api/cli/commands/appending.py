"""``civic dataset append``: add files to a table and hand in only the new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.commands.registering import must_have_service_key, uploaded
from api.cli.commands.updating import recorded_source
from api.cli.failures import CommandError
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.options import Asset
from api.cli.output import note
from api.terminal.language import say
from languages.texts import N_

if TYPE_CHECKING:
    from api.sdk.client import Civic


def register(group: typer.Typer) -> None:
    """Add the command."""
    governing(
        group,
        "append",
        "A table grows by Parquet files: sign its next version, the parts on record and these; only the new files are handed in.",
    )(append_files)


def append_files(
    session: SigningSession,
    asset: Asset,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help=say("Parquet files with the columns and types on record, in the order of their rows."),
        ),
    ],
    no_upload: Annotated[
        bool,
        typer.Option(
            "--no-upload",
            help=say(
                "Do not hand the files in now: the version takes effect when all are (civic dataset upload)."
            ),
        ),
    ] = False,
) -> Proposal:
    from api.cli.inspection import Corrections, inspected
    from api.cli.preview import print_summary
    from api.files import prepare
    from api.sdk.drafts import draft_append
    from api.sdk.errors import ServiceProblem
    from api.terminal.screen import lines
    from ledger.audit.formats.source_parts import signed_files

    must_have_service_key(session)
    with session.profile.public() as civic:
        known = civic.dataset(asset)
    before = recorded_source(session, asset)
    draft = draft_append(known, before, files, deadline=session.deadline)
    schema = known["metadata"]["schema"]
    rows = 0
    for file in files:
        found = inspected(prepare(file), Corrections(default_zone=False), schema)
        print_summary(found)
        rows += found.report.rows
    after = signed_files(draft.documents[1])
    known_rows = before.get("rows")
    changes: dict[str, dict[str, Any]] = {
        "parts": {"before": len(signed_files(before)), "after": len(after)},
        "rows": {"before": known_rows, "after": None if known_rows is None else known_rows + rows},
        "bytes": {"before": before["bytes"], "after": sum(one.size for one in after)},
    }
    for name in (N_("parts"), N_("rows"), N_("bytes")):
        if (was := changes[name]["before"]) is not None:
            now = changes[name]["after"]
            lines(say("{name}: {before} -> {after}", name=say(name), before=was, after=now), error=True)
    version = int(draft.message["version"])

    def hand_files_in(answer: dict[str, Any]) -> dict[str, Any]:
        if no_upload or answer.get("state") != "awaiting-file":
            return {}
        note(
            say(
                "accepted; the files are handed in now. Should that break off: civic dataset upload {asset} FILE, for each",
                asset=asset,
            )
        )
        with session.profile.connect(session.passphrases) as civic:
            try:
                given = [uploaded(session, civic, asset, file)["upload"] for file in files]
                state = civic.act_status(answer["digest"], wait_s=session.wait_s)
            except ServiceProblem:
                _must_be_next(civic, asset, version, str(draft.message["metadata"]))
                raise
        if text := state.pop("receipt", None):
            state["receipt"] = str(session.profile.keep(str(text)))
        return state | {"uploads": given}

    return Proposal(draft, hand_files_in, {"asset": asset, "version": version, "changes": changes})


def _must_be_next(civic: Civic, asset: str, version: int, metadata: str) -> None:
    """Raise CommandError if this version number was taken by another version, which lacks these files."""
    found = civic.dataset(asset)
    if int(found["version"]) >= version and found["metadata_hash"] != metadata:
        raise CommandError(
            say(
                "another version {version} of {asset} was recorded meanwhile, without these files",
                version=version,
                asset=asset,
            ),
            hint=say("run the same command again: it appends to that version"),
            code="version.overtaken",
        )
