"""Listening: uvicorn over an open gateway, with a line that says where, once it really answers."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zlib import crc32

import uvicorn

from api.app import create_app, enveloped
from api.http.connections import Limits, guarded
from api.http.exchanges import Exchange, log_exchange
from api.journal import log_to
from api.operator.gateway import Gateway
from api.operator.homes import at_home, must_have_public_url
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings, SettingsInvalid
from api.stopping import ended_in_order
from ledger.visible import json_line, visible


def run(
    settings: Settings,
    *,
    announce_json: bool = False,
    sentence: str = "Civic Ledger serves {home} at {url}",
    rpc_port: int | None = None,
) -> None:
    """Serve until interrupted. Prints the address on standard output when the socket listens, with ``sentence`` for people."""
    log_to(sys.stderr, settings.log)
    must_have_public_url(at_home(settings)[1])  # what does not fit is said before anything is opened
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        host, port = listener.getsockname()[:2]
        with (
            ended_in_order() as ending,
            settled(settings) as processors,
            open_gateway(settings, scan_cpus=processors) as gateway,
            told(gateway) as (heard, figures_url),
        ):
            rpc = None
            if rpc_port is not None:
                from ledger.chain.embedded.chain import EmbeddedChain
                from ledger.chain.embedded.serve import serve_chain

                if not isinstance(gateway.chain, EmbeddedChain):
                    raise SettingsInvalid(
                        "--rpc-port serves the embedded chain, and this installation uses a node",
                        hint="leave --rpc-port out",
                    )
                rpc = serve_chain(gateway.chain, settings.host, rpc_port)
            config = uvicorn.Config(
                enveloped(create_app(gateway), gateway, heard),
                http=guarded(limits_of(settings)),
                ws="none",
                proxy_headers=False,  # a caller could write them
                log_level="warning",
                log_config=None,  # its lines go where ours go
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=10,
                timeout_keep_alive=75,
                server_header=False,
            )
            server = ending.server(config)
            gc.freeze()  # what is open now stays for good: collecting garbage need not look at it again
            listener.listen(512)
            url = reached_at(host, port)
            document = {"url": url, "home": str(settings.home)} | ({"rpc": rpc.url} if rpc else {})
            document |= {"metrics": figures_url} if figures_url else {}
            print(
                json_line(document, ascii_only=True)
                if announce_json
                else visible(sentence.format(home=settings.home, url=url)),
                flush=True,
            )
            gateway.database.hold.when_lost(lambda: setattr(server, "should_exit", True))
            try:
                server.run(sockets=[listener])
            finally:
                gc.unfreeze()  # else the interpreter ends with everything alive, and DuckDB's bindings say so at length
                if rpc:
                    rpc.close()
            gateway.database.hold.must_have_held()


@contextmanager
def told(gateway: Gateway) -> Iterator[tuple[Callable[[Exchange], None], str]]:
    """What is told of each exchange: the access log, and the figures where `Settings.metrics` says so. Gives also the URL of
    the figures, or an empty text."""
    if not gateway.settings.metrics:
        yield log_exchange, ""
        return
    from api.metrics import Figures, served

    figures = Figures(gateway)

    def heard(exchange: Exchange) -> None:
        figures.heard(exchange)
        log_exchange(exchange)

    with served(figures, gateway.settings) as url:
        yield heard, url


def limits_of(settings: Settings) -> Limits:
    """What a connection may cost."""
    return Limits(
        connections=settings.connections,
        per_address=settings.connections_per_address,
        head_bytes=settings.head_bytes,
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        send_s=settings.send_timeout_s,
    )


def reached_at(host: str, port: int) -> str:
    """The URL of a listening socket. One that listens everywhere is reached on loopback, among others."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is compared, not bound
    return f"http://{f'[{here}]' if ':' in here else here}:{port}"


@contextmanager
def settled(settings: Settings) -> Iterator[frozenset[int]]:
    """Keep this process's threads on one processor, if it is to be so; gives the processors it could have used.

    The interpreter's lock lets one of them run at a time, and handing it over to another processor costs more than
    the second one gives (docs/decisions/0007). Several services of one machine spread by their homes. Afterwards the
    calling thread may use all of them again.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield frozenset()
        return
    processors = sorted(os.sched_getaffinity(0))
    if settings.cpus == "one":
        os.sched_setaffinity(0, {processors[crc32(os.fsencode(settings.home.resolve())) % len(processors)]})
    try:
        yield frozenset(processors)
    finally:
        os.sched_setaffinity(0, processors)
