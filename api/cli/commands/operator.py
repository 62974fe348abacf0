"""Commands of the operator: serve, demo, chain. Only they use the home directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.command import plain
from api.cli.commands.chain_keeping import register_keeping_of_chain
from api.cli.options import Home, Host, Port, Production
from api.terminal.language import say
from languages.texts import N_

Json = Annotated[bool, typer.Option("--json", help=say("Print one JSON object."))]


def register(app: typer.Typer) -> None:
    """Add the operator's commands to the application."""
    chain = typer.Typer(help=say("The installation's chain."), no_args_is_help=True)
    app.command("serve", help=say("Serve an installation over HTTP."))(plain(serve))
    app.command(
        "demo",
        help=say("Run the demo: a whole city, from registration to an offline check."),
    )(plain(demo))
    chain.command("serve", help=say("The embedded chain as JSON-RPC."))(plain(chain_serve))
    chain.command("status", help=say("Head and contracts of the chain."))(plain(chain_status))
    register_keeping_of_chain(chain)
    app.add_typer(chain, name="chain")


def serve(
    home: Home = Path("city"),
    host: Host = None,
    port: Port = None,
    production: Production = False,
    rpc_port: Annotated[
        int | None,
        typer.Option(help=say("Also serve the chain's JSON-RPC on this port.")),
    ] = None,
    clock_is: Annotated[
        str | None,
        typer.Option(
            "--clock-is",
            help=say("The time by another clock, for a start after a long pause (or CIVIC_CLOCK_IS)."),
        ),
    ] = None,
    json: Json = False,
) -> None:
    from api.runtime.settings import Settings
    from api.server import run

    run(
        Settings.given(
            home=home,
            host=host,
            port=port,
            production=production or None,
            clock_is=clock_is,
        ),
        announce_json=json,
        sentence=say(N_("Civic Ledger serves {home} at {url}")),
        rpc_port=rpc_port,
    )


def demo(
    home: Home = Path("city"),
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve",
            help=say("Go on serving at the end (default: on a terminal)."),
        ),
    ] = None,
    replace: Annotated[bool, typer.Option(help=say("Replace a demo's home that is there already."))] = False,
    rpc_url: Annotated[
        str,
        typer.Option(help=say("Run on this EVM node instead of the embedded chain (or CIVIC_RPC_URL).")),
    ] = "",
    json: Json = False,
) -> None:
    from api.demo.story import run_demo

    run_demo(home, serve=serve, replace=replace, rpc_url=rpc_url, as_json=json)


def chain_serve(
    home: Home = Path("city"),
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    from api.cli.output import show
    from api.operator.home_chain import open_chain, stated_time
    from api.operator.homes import at_home
    from api.runtime.settings import Settings
    from ledger.chain.embedded.chain import EmbeddedChain
    from ledger.chain.embedded.serve import serve_chain
    from ledger.clock import Timekeeper

    found, settings = at_home(Settings.given(home=home, host=host, port=port))
    time = Timekeeper()
    with open_chain(found, settings, time) as chain:
        if not isinstance(chain, EmbeddedChain):
            raise typer.BadParameter(say("this installation uses an external chain"))
        time.begin(chain.head().timestamp, stated_time(settings))
        server = serve_chain(chain, settings.host, settings.port_or(8545))
        show(
            {"url": server.url, "chain_id": chain.chain_id},
            json,
            say("Serving; stop with Ctrl-C."),
        )
        try:
            server.wait()
        except KeyboardInterrupt:
            server.close()


def chain_status(home: Home = Path("city"), json: Json = False) -> None:
    from api.cli.output import show
    from api.operator.home_chain import open_chain
    from api.operator.homes import at_home
    from api.runtime.settings import Settings
    from ledger.clock import Timekeeper

    found, settings = at_home(Settings.given(home=home))
    with open_chain(found, settings, Timekeeper()) as chain:
        head = chain.head()
        show(
            {
                "chain_id": chain.chain_id,
                "block": head.number,
                "hash": head.hash,
                "time": head.timestamp,
                "contracts": found.deployment.get("addresses", {}),
            },
            json,
            say("The chain's head."),
        )
