"""A witness in a process of its own: its key, the logs it watches, and HTTP (C2SP tlog-witness).

It remembers the last head it cosigned of each log and cosigns only what extends it. Run by another department
than the operator's, it is what makes a rollback visible to everybody who asks for its cosignature.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.sdk.errors import ProfileError
from api.sdk.keystore import create_key, open_ed25519
from api.sdk.trust import Trust
from ledger.audit.checkpoint import SignedCheckpoint
from ledger.audit.errors import AuditError
from ledger.audit.log import AuditLog
from ledger.audit.note import COSIGNATURE, Signer, VerifierKey
from ledger.audit.witness import MAX_REQUEST, Answer, Witness, WitnessState, collect

ASK_TIMEOUT_S = 5.0
_log = logging.getLogger(__name__)


def create_witness(state: Path, trust_files: list[Path], name: str, passphrase: str) -> dict[str, Any]:
    """Draw a witness's key and note the logs it watches; what its verifier key is, for trust files."""
    logs = {str(trust.log_key.name): [str(trust.log_key)] for trust in map(Trust.read, trust_files)}
    info = create_key(state / "keys" / "witness.json", "witness", passphrase, label=name)
    key = VerifierKey(name, COSIGNATURE, bytes.fromhex(info.public))
    document = {"name": name, "vkey": str(key), "logs": logs}
    (state / "witness.json").write_text(json.dumps(document, indent=1) + "\n")
    return document


def open_witness(state: Path, passphrase: str) -> Witness:
    """The witness of a directory; ProfileError when it is none."""
    try:
        document = json.loads((state / "witness.json").read_text())
        name, logs = str(document["name"]), dict(document["logs"])
    except (OSError, ValueError, KeyError, TypeError) as damaged:
        raise ProfileError(
            f"{state} is not a witness's directory", hint="make one with: civic witness init"
        ) from damaged
    signer = Signer(name, open_ed25519(state / "keys" / "witness.json", passphrase), COSIGNATURE)
    keys = {origin: tuple(VerifierKey.parse(text) for text in texts) for origin, texts in logs.items()}
    return Witness(signer, keys, WitnessState(state / "seen"))


def witness_app(witness: Witness) -> FastAPI:
    """POST /add-checkpoint, as tlog-witness has it."""
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
        answer = await run_in_threadpool(witness.add_checkpoint, text)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    return app


def serve_witness(
    state: Path, passphrase: str, host: str, port: int, announce: Callable[[dict[str, Any]], None]
) -> None:
    """Serve until interrupted; ``announce`` is told where, once it listens."""
    import socket

    witness = open_witness(state, passphrase)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
        announce(
            {
                "url": f"http://{host}:{listener.getsockname()[1]}",
                "vkey": str(witness.key),
                "pid": os.getpid(),
            }
        )
        config = uvicorn.Config(witness_app(witness), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


class Cosigners:
    """The log's side: asks each configured witness for its cosignature before a head goes on chain.

    ``witnesses`` maps a URL to the verifier key expected there. A witness that does not answer is left out; one
    that refuses is left out too and said loudly: it has seen another history.
    """

    def __init__(self, log: AuditLog, witnesses: dict[str, VerifierKey]) -> None:
        self._log = log
        self._witnesses = witnesses
        self._known: dict[str, int] = {}

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The verifier keys of the configured witnesses."""
        return tuple(self._witnesses.values())

    def __call__(self, signed: SignedCheckpoint) -> SignedCheckpoint:
        for url, key in self._witnesses.items():
            try:
                cosigned = collect(
                    signed,
                    key,
                    partial(_ask, url),
                    self._log.consistency,
                    self._known.get(url, 0),
                )
            except AuditError as refused:
                _log.error("witness %s: %s", key.name, refused)
                continue
            self._known[url] = signed.size
            signed = cosigned
        return signed


def _ask(url: str, body: str) -> Answer:
    try:
        response = httpx.post(
            f"{url.rstrip('/')}/add-checkpoint", content=body.encode(), timeout=ASK_TIMEOUT_S, trust_env=False
        )
    except httpx.HTTPError as gone:
        return Answer(503, f"no answer: {gone}\n")
    return Answer(response.status_code, response.text, response.headers.get("content-type", ""))
