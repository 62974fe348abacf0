"""Commands of whoever runs an installation: init, serve, demo, chain. Only these touch the home directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.command import plain
from api.cli.language import say
from api.cli.options import Home, Host, Port

Json = Annotated[bool, typer.Option("--json", help=say("Print one JSON object.", "输出一个 JSON 对象。"))]


def register(app: typer.Typer) -> None:
    """Add the operator's commands to the application."""
    chain = typer.Typer(help=say("The installation's chain.", "本安装的区块链。"), no_args_is_help=True)
    app.command(
        "init", help=say("Make an installation: chain, contracts, keys.", "建立安装：链、合约、密钥。")
    )(plain(init))
    app.command("serve", help=say("Serve an installation over HTTP.", "通过 HTTP 提供服务。"))(plain(serve))
    app.command(
        "demo",
        help=say(
            "A whole city's story, from registration to an offline check.",
            "完整的城市演示：从登记到离线核验。",
        ),
    )(plain(demo))
    chain.command("serve", help=say("The embedded chain as JSON-RPC.", "以 JSON-RPC 提供内嵌链。"))(
        plain(chain_serve)
    )
    chain.command("status", help=say("Head and contracts of the chain.", "链头与合约。"))(plain(chain_status))
    app.add_typer(chain, name="chain")


def init(
    home: Home = Path("city"),
    council: Annotated[
        list[str] | None,
        typer.Option(help=say("Address of a council member (repeat).", "理事会成员地址（可重复）。")),
    ] = None,
    threshold: Annotated[
        int, typer.Option(min=1, help=say("Signatures the council needs.", "理事会所需签名数。"))
    ] = 1,
    guardian: Annotated[
        str | None,
        typer.Option(
            help=say("Address that may pause (default: first member).", "可暂停的地址（默认首位成员）。")
        ),
    ] = None,
    admission_delay: Annotated[
        int, typer.Option(min=0, help=say("Seconds between proposal and admission.", "提议到接纳的秒数。"))
    ] = 86_400,
    rpc_url: Annotated[
        str,
        typer.Option(
            help=say(
                "Use this EVM node instead of the embedded chain (or CIVIC_RPC_URL).",
                "使用该 EVM 节点代替内嵌链（或 CIVIC_RPC_URL）。",
            )
        ),
    ] = "",
    relayer_key: Annotated[
        Path | None,
        typer.Option(help=say("Key file that pays on an external chain.", "外部链上付费的密钥文件。")),
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help=say("File with the passphrase of the keys.", "密钥口令文件。"))
    ] = None,
    json: Json = False,
) -> None:
    from api.cli.output import show
    from api.installation import initialise
    from api.settings import Settings, read_passphrase

    settings = Settings.given(home=home, rpc_url=rpc_url or None, passphrase_file=passphrase_file)
    made = initialise(
        settings,
        read_passphrase(settings),
        council=council or [],
        threshold=threshold,
        guardian=guardian,
        admission_delay=admission_delay,
        relayer_key=relayer_key,
    )
    show(made.summary(), json, say("The installation is ready.", "安装已就绪。"))


def serve(
    home: Home = Path("city"),
    host: Host = None,
    port: Port = None,
    production: Annotated[
        bool,
        typer.Option(
            "--production",
            help=say("Refuse demo keys (or CIVIC_PRODUCTION).", "拒绝演示密钥（或 CIVIC_PRODUCTION）。"),
        ),
    ] = False,
    rpc_port: Annotated[
        int | None,
        typer.Option(
            help=say("Also serve the chain's JSON-RPC on this port.", "同时在该端口提供链的 JSON-RPC。")
        ),
    ] = None,
    clock_is: Annotated[
        str | None,
        typer.Option(
            "--clock-is",
            help=say(
                "The time by another clock, for a start after a long pause (or CIVIC_CLOCK_IS).",
                "另一时钟给出的时间，用于长时间停机后启动（或 CIVIC_CLOCK_IS）。",
            ),
        ),
    ] = None,
    json: Json = False,
) -> None:
    from api.server import run
    from api.settings import Settings

    run(
        Settings.given(
            home=home,
            host=host,
            port=port,
            production=production or None,
            clock_is=clock_is,
        ),
        announce_json=json,
        rpc_port=rpc_port,
    )


def demo(
    home: Home = Path("city"),
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve",
            help=say(
                "Go on serving at the end (default: on a terminal).", "结束后继续提供服务（默认：终端中）。"
            ),
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option(help=say("Replace a demo's home that is there already.", "替换已存在的演示目录。"))
    ] = False,
    rpc_url: Annotated[
        str,
        typer.Option(
            help=say(
                "Run on this EVM node instead of the embedded chain (or CIVIC_RPC_URL).",
                "在该 EVM 节点上运行（或 CIVIC_RPC_URL）。",
            )
        ),
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
    from api.homes import at_home
    from api.settings import Settings
    from api.wiring import open_chain, stated_time
    from ledger.chain.embedded.chain import EmbeddedChain
    from ledger.chain.embedded.serve import serve_chain
    from ledger.clock import Timekeeper

    found, settings = at_home(Settings.given(home=home, host=host, port=port))
    time = Timekeeper()
    with open_chain(found, settings, time) as chain:
        if not isinstance(chain, EmbeddedChain):
            raise typer.BadParameter(say("this installation uses an external chain", "本安装使用外部链"))
        time.begin(chain.head().timestamp, stated_time(settings))
        server = serve_chain(chain, settings.host, settings.port_or(8545))
        show(
            {"url": server.url, "chain_id": chain.chain_id},
            json,
            say("Serving; stop with Ctrl-C.", "正在服务；按 Ctrl-C 停止。"),
        )
        try:
            server.wait()
        except KeyboardInterrupt:
            server.close()


def chain_status(home: Home = Path("city"), json: Json = False) -> None:
    from api.cli.output import show
    from api.homes import at_home
    from api.settings import Settings
    from api.wiring import open_chain
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
            say("The chain's head.", "链头。"),
        )
