"""The witnesses of a log, asked by the log: each head is cosigned before it is anchored on chain, and a starting
service asks which heads they have seen (C2SP tlog-witness)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from api.runtime.settings import Settings
from ledger.audit.formats.checkpoint import Origin, SignedCheckpoint, opened_by
from ledger.audit.formats.errors import (
    AuditError,
    LogUnavailable,
    NoteInvalid,
    RollbackDetected,
    WitnessMalformed,
    WitnessUnreachable,
)
from ledger.audit.formats.note import ED25519, MAX_NOTE_BYTES, VerifierKey
from ledger.audit.log.log import AuditLog
from ledger.audit.log.reading import LogReader
from ledger.audit.outside.witness import Answer, collect
from ledger.outgoing import AnswerUnusable, CallFailed, Outgoing

WAIT_S = 5.0
"""How long a head waits for its witnesses, in seconds."""

START_S = 2.0
"""How long a starting service waits for each answer of a witness, in seconds."""

RESTS = 4
"""A witness that exceeded the wait is not asked for so many waits: it delays one head, not each."""

_RECENT = 8
"""The number of sets of witnesses whose last cosigned head is kept."""

_log = logging.getLogger(__name__)


class Cosigners:
    """Asks each configured witness for its cosignature before a head goes on chain.

    ``witnesses`` maps a URL to the expected verifier key. All are asked at once, and ``wait_s`` is how long the
    head waits for them. A witness without a valid cosignature is omitted, logged when that begins, and named in the
    service's status until it recovers.
    """

    def __init__(self, log: LogReader, witnesses: dict[str, VerifierKey], *, wait_s: float = WAIT_S) -> None:
        self._log = log
        self._wait_s = wait_s
        self._witnesses = [_Cosigner(url, key) for url, key in witnesses.items()]
        self._recent: dict[frozenset[VerifierKey], SignedCheckpoint] = {}

    def must_not_know_more(self, log: AuditLog) -> None:
        """`RollbackDetected` if a witness has cosigned a head that this log does not contain, or one of the epoch
        after it. A witness that does not answer, or does not serve its heads, is skipped."""
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
        """Keep for each set of witnesses the head that they cosigned last, because not every round reaches a quorum."""
        by = frozenset(signed.cosigned_by(list(self.keys)))
        if not by:
            return
        others = [(keys, head) for keys, head in self._recent.items() if not keys <= by]
        self._recent = dict([*others, (by, signed)][-_RECENT:])

    @property
    def recent(self) -> tuple[SignedCheckpoint, ...]:
        """Heads that were cosigned recently, the newest last."""
        return tuple(self._recent.values())

    def status(self) -> list[dict[str, Any]]:
        """Each witness: its name and key, when it was asked last, the newest head it cosigned, and its present
        failure."""
        return [witness.status() for witness in self._witnesses]


def cosigners_of(log: LogReader, settings: Settings) -> Cosigners:
    """The configured witnesses of a log."""
    return Cosigners(log, {url: VerifierKey.parse(key) for url, key in settings.witnesses.items()})


class _Cosigner:
    """The log's state about one witness."""

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
        """Ask on a separate thread; the result is put into the queue. A witness that has not answered the previous
        request is not asked again."""
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
        """The newest head of a log that the witness has cosigned and that the log's own keys signed; None if there
        is none, or no answer."""
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
        """Record the result of a request; returns the signature line, if there is one."""
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
    """Send one POST request."""
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
