"""``civic profile``: the caller's identity, the service's address, and the pinned trust file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.command import command, refuse_unused
from api.cli.options import ProfileOption, department_number
from api.cli.output import CommandResult, facts
from api.terminal.language import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say("Your directory: service, department, keys, trust."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="profile")
    command(
        group,
        "init",
        "Make a profile directory from a trust file that came by another channel than the service.",
    )(init)
    command(group, "show", "Show the profile.")(show)


def init(
    url: Annotated[str, typer.Option(help=say("Address of the service."))],
    department: Annotated[
        int,
        typer.Option(parser=department_number, metavar="NUMBER", help=say("Number of your department.")),
    ],
    trust: Annotated[Path, typer.Option(help=say("Trust file of the installation."))],
    name: Annotated[str, typer.Option(help=say("Your name, for yourself."))] = "",
    officer: Annotated[str, typer.Option(help=say("Name of the officer's key file in keys/."))] = "",
    service: Annotated[str, typer.Option(help=say("Name of the service key file in keys/."))] = "",
    witness: Annotated[
        list[str] | None,
        typer.Option(
            help=say("NAME=URL of a witness of the trust file, which is then asked directly (repeat)."),
            show_default=False,
        ),
    ] = None,
    witness_minutes: Annotated[
        int,
        typer.Option(
            min=1,
            max=1440,
            help=say("How old the witnesses' cosignatures may be."),
        ),
    ] = 10,
    profile: ProfileOption = None,
) -> CommandResult:
    from api.cli.enrolment import write_profile
    from api.cli.json_input import pairs
    from api.cli.profile import FILE, Profile, must_be_trusted, profile_directory
    from api.protocol.errors import ProfileError
    from api.protocol.trust import Trust

    path = profile_directory(profile)
    if (path / FILE).exists() or (path / "trust.json").exists():
        raise ProfileError(
            say("there is a profile in {path} already", path=path),
            hint=say("choose another directory; what was pinned is never replaced silently"),
        )
    pinned = Trust.read(trust)
    witnesses = pairs(witness or (), "--witness")
    must_be_trusted(witnesses, pinned)
    if not pinned.quorum and not witnesses:
        refuse_unused(say("a trust file without a quorum"), "witness_minutes")
    made = Profile(path, url, department, name, officer, service, witnesses, witness_minutes)
    write_profile(made, trust)
    document = {"profile": str(path), **made.to_json(), "origin": pinned.log_key.name}
    return facts(document, say("The profile is ready."), document.items())


def show(profile: ProfileOption = None) -> CommandResult:
    from api.cli.profile import read_profile

    found = read_profile(profile)
    pinned = found.trust()
    document = {
        "profile": str(found.path),
        **found.to_json(),
        "origin": pinned.log_key.name,
        "chain_id": pinned.chain_id,
        "contracts": pinned.contracts,
        "keys": sorted(path.stem for path in found.keys.glob("*.json")),
        "receipts": sum(1 for _ in found.receipts.glob("*.tlog-proof")),
    }
    return facts(document, say("Profile"), document.items())
