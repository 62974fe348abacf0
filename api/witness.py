"""A witness in a process of its own: its key, the logs it watches, and HTTP (C2SP tlog-witness).

It stores the last head of each log that it cosigned, and cosigns only heads that extend it. If another department
than the operator's runs it, everybody who asks for its cosignature can detect a rollback.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.protocol.errors import ProfileError
from api.protocol.keystore import create_key, open_ed25519
from api.protocol.trust import Trust
from api.stopping import ended_in_order
from ledger.audit.formats.checkpoint import MAX_SIZE
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import COSIGNATURE, Signer, VerifierKey
from ledger.audit.outside.witness import MAX_REQUEST, Answer, Witness, WitnessState
from ledger.audit.verify.keychain import KeyChain, read_chain


def create_witness(state: Path, trust_files: list[Path], name: str, passphrase: str) -> dict[str, Any]:
    """Create a witness's key and store the logs it watches; returns its verifier key, for trust files."""
    logs = {str(trust.log_key.name): [str(trust.log_key)] for trust in map(Trust.read, trust_files)}
    info = create_key(state / "keys" / "witness.json", "witness", passphrase, label=name)
    key = VerifierKey(name, COSIGNATURE, bytes.fromhex(info.public))
    document = {"name": name, "vkey": str(key), "logs": logs}
    (state / "witness.json").write_text(json.dumps(document, indent=1) + "\n")
    return document


def open_witness(state: Path, passphrase: str) -> Witness:
    """The witness of a directory; ProfileError if there is none."""
    try:
        document = json.loads((state / "witness.json").read_text())
        name, logs = str(document["name"]), dict(document["logs"])
    except (OSError, ValueError, KeyError, TypeError) as damaged:
        raise ProfileError(
            f"{state} is not a witness's directory", hint="make one with: civic witness init"
        ) from damaged
    signer = Signer(name, open_ed25519(state / "keys" / "witness.json", passphrase), COSIGNATURE)
    keys = {origin: _chain(origin, items) for origin, items in logs.items()}
    return Witness(signer, keys, WitnessState(state / "seen"))


def _chain(origin: str, items: Any) -> KeyChain:
    """The pinned verifier key; after a rotation also the log's keys with their handovers, as in ``/v1/status`` and
    a bundle's manifest. Only the pinned key and its successors count."""
    try:
        pinned = VerifierKey.parse(items[0])
        found = read_chain(items[1:], origin, MAX_SIZE).since(pinned) if items[1:] else KeyChain.of(pinned)
    except (NoteInvalid, TypeError, LookupError, AttributeError) as damaged:
        raise ProfileError(
            f"the keys of {origin} do not hold: {damaged}",
            hint="the pinned key comes first; after a rotation put the list of keys from /v1/status behind it",
        ) from damaged
    if found is None:
        raise ProfileError(f"the pinned key of {origin} is not among the keys behind it")
    return found


def witness_app(witness: Witness) -> FastAPI:
    """POST /add-checkpoint and GET /<origin hash>/checkpoint, as in tlog-witness."""
    app = FastAPI(title="Civic Ledger witness", docs_url=None, redoc_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_REQUEST:
                return Response("the request is too large\n", 413, media_type="text/plain")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return Response("the request is not UTF-8\n", 400, media_type="text/plain")
        return _response(await run_in_threadpool(witness.add_checkpoint, text))

    @app.get("/{origin_hash}/checkpoint")
    def checkpoint(origin_hash: str) -> Response:
        return _response(witness.checkpoint(origin_hash), {"Cache-Control": "no-cache"})

    return app


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    """The content type is set as a header: as a media type of a text it would get a charset, which tlog-witness
    forbids."""
    return Response(answer.body, answer.status, {"Content-Type": answer.content_type, **(headers or {})})


def serve_witness(
    state: Path, passphrase: str, host: str, port: int, announce: Callable[[dict[str, Any]], None]
) -> None:
    """Serve until interrupted; ``announce`` is called with the address once it listens."""
    witness = open_witness(state, passphrase)
    with ended_in_order() as ending, socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
        config = uvicorn.Config(witness_app(witness), log_level="warning", access_log=False, lifespan="off")
        server = ending.server(config)
        announce(
            {
                "url": f"http://{host}:{listener.getsockname()[1]}",
                "vkey": str(witness.key),
                "pid": os.getpid(),
            }
        )
        server.run(sockets=[listener])
