"""A witness in a process of its own: its key, the logs it watches, and HTTP (C2SP tlog-witness).

It remembers the last head it cosigned of each log and cosigns only what extends it. Run by another department
than the operator's, it is what makes a rollback visible to everybody who asks for its cosignature.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.protocol.errors import ProfileError
from api.protocol.keystore import create_key, open_ed25519
from api.protocol.trust import Trust
from ledger.audit.formats.checkpoint import MAX_SIZE, Origin, SignedCheckpoint, opened_by
from ledger.audit.formats.errors import (
    AuditError,
    LogUnavailable,
    NoteInvalid,
    RollbackDetected,
    WitnessMalformed,
    WitnessUnreachable,
)
from ledger.audit.formats.note import COSIGNATURE, ED25519, MAX_NOTE_BYTES, Signer, VerifierKey
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.outside.witness import MAX_REQUEST, Answer, Witness, WitnessState, collect
from ledger.audit.verify.keychain import KeyChain, read_chain
from ledger.outgoing import AnswerUnusable, CallFailed, Outgoing

WAIT_S = 5.0
"""How long a head waits for its witnesses."""

START_S = 2.0
"""How long a service that starts waits for each answer of a witness."""

RESTS = 4
"""A witness that let the whole wait pass is left alone for so many waits: it holds up one head, not each."""

_RECENT = 8
"""Sets of witnesses whose last cosigned head is kept."""

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
    keys = {origin: _chain(origin, items) for origin, items in logs.items()}
    return Witness(signer, keys, WitnessState(state / "seen"))


def _chain(origin: str, items: Any) -> KeyChain:
    """The verifier key that was pinned; after a rotation behind it the log's keys with their handovers, as
    ``/v1/status`` and a bundle's manifest have them. Only the pinned key and those it leads to count."""
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
    """POST /add-checkpoint and GET /<origin hash>/checkpoint, as tlog-witness has it."""
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
    """The content type stands as it is: given as a media type, a text's would get a charset that tlog-witness forbids."""
    return Response(answer.body, answer.status, {"Content-Type": answer.content_type, **(headers or {})})


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

    ``witnesses`` maps a URL to the verifier key expected there. All are asked at once, and ``wait_s`` is how long the
    head waits for them. A witness that gives no good cosignature is left out, logged when that begins, and named in
    the service's status until it is mended.
    """

    def __init__(self, log: LogReader, witnesses: dict[str, VerifierKey], *, wait_s: float = WAIT_S) -> None:
        self._log = log
        self._wait_s = wait_s
        self._witnesses = [_Cosigner(url, key) for url, key in witnesses.items()]
        self._recent: dict[frozenset[VerifierKey], SignedCheckpoint] = {}

    def must_not_know_more(self, log: AuditLog) -> None:
        """`RollbackDetected` when a witness has cosigned a head that this log does not contain, or one of the epoch after
        it. A witness that does not answer, or does not serve its heads, is passed over."""
        keys = [key for key in log.verifier_keys() if key.name == log.origin]
        after = str(Origin.parse(log.origin).next())
        next_keys = [VerifierKey(after, ED25519, log.signer.key.public)]
        for witness in self._witnesses:
            if witness.newest(after, next_keys) is not None:
                raise RollbackDetected(
                    f"the witness {witness.key.name} has cosigned a head of {after}, the epoch after this log's",
                    hint="an older home was restored: restore the newest one; see docs/audit.md, new epoch",
                )
            known = witness.newest(log.origin, keys)
            if known is not None:
                log.require(known.checkpoint.head, f"witness {witness.key.name}")

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The verifier keys of the configured witnesses."""
        return tuple(witness.key for witness in self._witnesses)

    def __call__(self, signed: SignedCheckpoint) -> SignedCheckpoint:
        until = time.monotonic() + self._wait_s
        asked = [
            (witness, witness.begin(signed, self._log.consistency, self._wait_s))
            for witness in self._witnesses
        ]
        for witness, answer in asked:
            try:
                cosigned = answer.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                cosigned = WitnessUnreachable(f"{witness.key.name} did not answer within {self._wait_s:g} s")
            line = witness.settle(cosigned)
            if line is not None:
                signed = SignedCheckpoint(signed.checkpoint, signed.note.with_signature(line))
        self._keep(signed)
        return signed

    def _keep(self, signed: SignedCheckpoint) -> None:
        """Of each set of witnesses the head that they cosigned last: not every round brings a quorum."""
        by = frozenset(signed.cosigned_by(list(self.keys)))
        if not by:
            return
        others = [(keys, head) for keys, head in self._recent.items() if not keys <= by]
        self._recent = dict([*others, (by, signed)][-_RECENT:])

    @property
    def recent(self) -> tuple[SignedCheckpoint, ...]:
        """Heads that were cosigned lately, the newest last."""
        return tuple(self._recent.values())

    def status(self) -> list[dict[str, Any]]:
        """Each witness: its name and key, when it was asked last, the newest head it cosigned, and what fails."""
        return [witness.status() for witness in self._witnesses]


class _Cosigner:
    """One witness as the log knows it."""

    def __init__(self, url: str, key: VerifierKey) -> None:
        self.url = url
        self.key = key
        self._known = 0
        self._asked: datetime | None = None
        self._cosigned: tuple[int, int] | None = None
        self._problem = ""
        self._busy = threading.Lock()
        self._rests_until = 0.0

    def begin(
        self, signed: SignedCheckpoint, consistency: Callable[[int, int], list[bytes]], wait_s: float
    ) -> queue.Queue[SignedCheckpoint | AuditError]:
        """Ask on a thread of its own; what comes of it is put into the queue. A witness that has not answered the
        question before is not asked the next one."""
        answer: queue.Queue[SignedCheckpoint | AuditError] = queue.Queue()
        if time.monotonic() < self._rests_until:
            answer.put(WitnessUnreachable(f"{self.key.name} took too long and is not asked for a while"))
            return answer
        self._asked = datetime.now(UTC)

        def ask() -> None:
            if not self._busy.acquire(timeout=wait_s):
                return
            began = time.monotonic()
            try:
                answer.put(
                    collect(signed, self.key, partial(_ask, self.url, wait_s), consistency, self._known)
                )
                self._known = signed.size
            except (AuditError, SQLAlchemyError) as refused:
                if time.monotonic() - began > 0.9 * wait_s:
                    self._rests_until = time.monotonic() + RESTS * wait_s
                answer.put(
                    refused
                    if isinstance(refused, AuditError)
                    else LogUnavailable("no consistency proof could be read")
                )
            finally:
                self._busy.release()

        threading.Thread(target=ask, name=f"witness-{self.key.name[:40]}", daemon=True).start()
        return answer

    def newest(self, origin: str, keys: Sequence[VerifierKey]) -> SignedCheckpoint | None:
        """The newest head of a log that the witness has cosigned, as far as the log's own keys vouch for it; None where
        there is none, or no answer."""
        try:
            with Outgoing() as line:
                place = f"{self.url.rstrip('/')}/{sha256(origin.encode()).hexdigest()}/checkpoint"
                answer = line.ask(line.prepare("GET", place), within_s=START_S, most=MAX_NOTE_BYTES)
            if answer.status != 200:
                return None
            return opened_by(answer.body, keys)
        except (CallFailed, NoteInvalid) as silent:
            _log.warning("witness %s was not asked for its newest head: %s", self.key.name, silent.message)
            return None

    def settle(self, answer: SignedCheckpoint | AuditError) -> str | None:
        """Take down what came of asking; the signature line, if there is one."""
        if isinstance(answer, AuditError):
            if answer.code != self._problem:
                _log.error("witness %s: %s [%s]", self.key.name, answer, answer.code)
            self._problem = answer.code
            return None
        if self._problem:
            _log.info("witness %s: cosigns again", self.key.name)
        self._problem = ""
        self._cosigned = answer.size, answer.cosigned_by([self.key])[self.key]
        return answer.note.signatures[-1].line

    def status(self) -> dict[str, Any]:
        cosigned = None
        if self._cosigned is not None:
            size, moment = self._cosigned
            cosigned = {"size": size, "time": datetime.fromtimestamp(moment, UTC).isoformat()}
        return {
            "name": self.key.name,
            "key": str(self.key),
            "asked": None if self._asked is None else self._asked.isoformat(),
            "cosigned": cosigned,
            "problem": self._problem or None,
        }


def _ask(url: str, wait_s: float, body: str) -> Answer:
    """Post one question."""
    try:
        with Outgoing() as line:
            call = line.prepare("POST", f"{url.rstrip('/')}/add-checkpoint", body=body.encode())
            answer = line.ask(call, within_s=wait_s, most=MAX_NOTE_BYTES)
        text = answer.body.decode()
    except AnswerUnusable as bad:
        raise WitnessMalformed(f"the answer of {url} cannot be used: {bad.message}") from bad
    except CallFailed as gone:
        return Answer(503, f"no answer: {gone.message}\n")
    except UnicodeDecodeError as error:
        raise WitnessMalformed(f"the answer of {url} is not text") from error
    return Answer(answer.status, text, answer.headers.get("content-type", ""))
