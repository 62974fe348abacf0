"""``civic home``: show what an installation records, and record that a part of it moved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.command import command
from api.cli.failures import UsageError
from api.cli.options import Home
from api.cli.output import CommandResult, facts
from api.terminal.language import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("What an installation was made with."), no_args_is_help=True)
    app.add_typer(group, name="home")
    command(group, "show", "Mode, chain, database and address that the home records.")(show)
    command(
        group,
        "move",
        "Record that the log, the node or the public address moved to what CIVIC_DATABASE_URL, CIVIC_RPC_URL and CIVIC_PUBLIC_URL say. Service stopped.",
    )(move)


def show(home: Home = Path("city")) -> CommandResult:
    from api.runtime.settings import read_home

    document = read_home(home).facts()
    return facts(document, say("The home"), document.items())


def move(
    older_chain: Annotated[
        bool,
        typer.Option(
            "--older-chain",
            help=say(
                "The embedded chain was put back from an older backup: the next start follows it from there."
            ),
        ),
    ] = False,
    home: Home = Path("city"),
) -> CommandResult:
    from api.operator.homes import OLDER_CHAIN, moved
    from api.runtime.home_lock import locked_home
    from api.runtime.settings import Settings, read_home

    settings = Settings.given(home=home)
    if not (settings.database_url or settings.rpc_url or settings.public_url or older_chain):
        raise UsageError(
            say("nothing is said to have moved"),
            hint="CIVIC_DATABASE_URL, CIVIC_RPC_URL, CIVIC_PUBLIC_URL",
        )
    found = read_home(home)
    with locked_home(home):
        made = moved(found, settings)
        made.write()
        if older_chain:
            (home / OLDER_CHAIN).touch()
    document = made.facts()
    return facts(document, say("The home records it."), document.items())
