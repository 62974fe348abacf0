"""``civic witness``: run a witness of other installations' logs. It uses only its own directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.options import Host, Port
from api.cli.output import CommandResult, facts, note, sentence
from api.terminal.language import say
from api.terminal.screen import json_out

State = Annotated[Path, typer.Option("--state", help=say("The witness's directory."))]


def register(app: typer.Typer) -> None:
    """Add ``civic witness``."""
    group = typer.Typer(
        help=say("Watch another's log: cosign what extends what was seen."),
        no_args_is_help=True,
    )
    app.add_typer(group, name="witness")
    command(group, "init", "Make a witness's key and name the logs it watches.")(witness_init)
    command(group, "serve", "Answer cosigning requests over HTTP (C2SP tlog-witness).")(witness_serve)


def witness_init(
    state: State,
    trust: Annotated[
        list[Path],
        typer.Option(help=say("Trust file of a log to watch (repeat).")),
    ],
    name: Annotated[
        str,
        typer.Option(help=say("The witness's name, such as audit.city.example.")),
    ],
    passphrase_file: Annotated[Path | None, typer.Option(help=say("File with the key's passphrase."))] = None,
) -> CommandResult:
    from api.witness import create_witness

    made = create_witness(state, trust, name, _passphrase(passphrase_file, state))
    return facts(
        made,
        say("The witness is ready; its key goes into trust files."),
        made.items(),
    )


def witness_serve(
    state: State,
    host: Host = None,
    port: Port = None,
    passphrase_file: Annotated[Path | None, typer.Option(help=say("File with the key's passphrase."))] = None,
) -> CommandResult:
    from api.runtime.settings import Settings
    from api.witness import serve_witness

    settings = Settings.given(home=state, host=host, port=port)

    def announce(made: dict[str, Any]) -> None:
        json_out(made)

    note(say("Serving; stop with Ctrl-C."))
    passphrase = _passphrase(passphrase_file, state)
    serve_witness(state, passphrase, settings.host, settings.port_or(8700), announce)
    return sentence({"stopped": True}, say("Stopped."))


def _passphrase(file: Path | None, state: Path) -> str:
    from api.runtime.settings import Settings, read_passphrase

    return read_passphrase(Settings.given(home=state, passphrase_file=file))
