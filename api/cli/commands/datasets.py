"""``civic dataset``: the catalogue, and registering, handing in, suspending and retiring datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.commands import appending, registering, updating
from api.cli.failures import CommandError
from api.cli.file_options import Delimiter, Encoding, SheetName
from api.cli.governing import Proposal, SigningSession, governing
from api.cli.options import (
    Asset,
    Limit,
    NamedVersion,
    PassphraseFile,
    ProfileOption,
    Reason,
    ServiceKeyOption,
    Stopper,
    department_number,
)
from api.cli.output import CommandResult, facts, note, table
from api.cli.standings import value_words
from api.terminal.language import language, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("The catalogue of datasets."), no_args_is_help=True)
    app.add_typer(group, name="dataset")
    command(group, "list", "The catalogue.")(list_)
    command(group, "show", "One dataset with its columns.")(show)
    registering.register(group)
    updating.register(group)
    appending.register(group)
    command(
        group,
        "source",
        "Digest and size of a dataset's file: for its holder, processor and operator, and for city-wide auditors.",
    )(source)
    command(
        group,
        "upload",
        "Hand in the file that the catalogue entry, or a new version that awaits it, names by its SHA-256.",
    )(upload)
    governing(group, "suspend", "Stop every use of a dataset, at once.")(suspend)
    governing(group, "lift", "Let a suspended dataset go on.")(lift)
    governing(
        group,
        "retire",
        "Take a dataset out for ever: signed by the quorum of its grade, for general data by a steward and a second officer.",
    )(retire)
    governing(
        group,
        "renew-parent",
        "Let a derived dataset live on under a newer grant of what it was derived from.",
    )(renew_parent)


def list_(
    department: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("Only this department's."),
            show_default=False,
        ),
    ] = None,
    limit: Limit = 200,
    profile: ProfileOption = None,
) -> CommandResult:
    from itertools import islice

    from api.cli.profile import read_profile

    filters: dict[str, str | int] = {} if department is None else {"department": department}
    with read_profile(profile).public() as civic:
        found = list(islice(civic.datasets(**filters), limit))
    return table(
        {"datasets": found},
        say("Datasets"),
        [
            say("id"),
            say("title"),
            say("grade"),
            say("sharing"),
            say("status"),
        ],
        [
            [
                one.get("id"),
                title_of(one),
                *(value_words(name, one.get(name)) for name in ("grade", "sharing", "status")),
            ]
            for one in found
        ],
    )


def show(asset: Asset, version: NamedVersion = None, profile: ProfileOption = None) -> CommandResult:
    from api.cli.profile import read_profile
    from api.sdk.drafts import document_hash

    with read_profile(profile).public() as civic:
        found = civic.dataset(asset, version)
    entry = found.get("metadata")
    # An entry that was signed with a plain digest is shown without it: only its parties can check its hash.
    whole = isinstance(entry, dict) and entry["source"].keys() != {"format"}
    if not isinstance(entry, dict) or (whole and document_hash(entry) != found.get("metadata_hash")):
        raise CommandError(
            say("the entry that the service shows is not the one that was signed"),
            hint=say("tell the auditor"),
            code="metadata.tampered",
        )
    found["checked"] = whole
    if not whole:
        note(say("the entry was signed with its file's digest, which is not shown: its hash was not checked"))
    columns = [f"{field['name']}: {field['type']} ({field['class']})" for field in entry["schema"]["fields"]]
    shown = [(name, value_words(name, value)) for name, value in found.items() if name != "metadata"]
    return facts(found, title_of(found), [*shown, (say("columns"), columns)])


def source(
    asset: Asset,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = civic.dataset_source(asset)
    return facts(found, say("The file that was signed"), found.items())


def upload(
    asset: Asset,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=say("The data."))],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    sheet: SheetName = "",
) -> CommandResult:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile
    from api.cli.registration import file_signed

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        chosen = file_signed(civic, asset, file, encoding=encoding, delimiter=delimiter, sheet=sheet)
        answer = civic.upload(asset, chosen)
    answer["receipt"] = str(found.keep(answer["receipt"], answer.pop("call", None)))
    shown = [(name, value) for name, value in answer.items() if name != "entry"]
    return facts(answer, say("The file is in its place."), shown)


def suspend(session: SigningSession, asset: Asset, reason: Reason, by: Stopper = "holder") -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(asset, reason, by=by, deadline=session.deadline))


def lift(session: SigningSession, asset: Asset, reason: Reason, by: Stopper = "holder") -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(asset, reason, lift=True, by=by, deadline=session.deadline))


def renew_parent(
    session: SigningSession,
    asset: Asset,
    parent: Annotated[
        str,
        typer.Argument(metavar="PARENT", help=say("What it is derived from, such as 7.12.")),
    ],
    under: Annotated[str, typer.Option(help=say("The newer grant: 0x and 64 hex digits."))],
) -> Proposal:
    from api.sdk.drafts import draft_parent_renewal

    return Proposal(draft_parent_renewal(asset, parent, under, deadline=session.deadline))


def retire(session: SigningSession, asset: Asset) -> Proposal:
    from api.sdk.drafts import draft_retirement

    return Proposal(draft_retirement(asset, deadline=session.deadline))


def title_of(one: dict[str, Any]) -> str:
    """The title in the command's language."""
    titles = (one.get("metadata") or {}).get("title") or {}
    return str(titles.get(language()) or next(iter(titles.values()), ""))
