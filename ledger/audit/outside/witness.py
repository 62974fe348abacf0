"""A witness: a machine of another department that cosigns the heads of the log (C2SP tlog-witness).

It stores the last head it cosigned for each log, and cosigns a new head only with a proof that it extends the stored
one. Comparing and storing are one atomic step, and the new head is on disk before the cosignature is returned. This
module has no HTTP code: `Witness.add_checkpoint` takes a request body and returns status and body.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.audit.formats.checkpoint import Head, SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import (
    AuditError,
    NoteInvalid,
    WitnessConflict,
    WitnessKeyAbsent,
    WitnessMalformed,
    WitnessProblem,
    WitnessUnreachable,
)
from ledger.audit.formats.merkle import EMPTY_ROOT, HASH_SIZE, ProofError, verify_consistency
from ledger.audit.formats.note import (
    COSIGNATURE,
    MAX_NOTE_BYTES,
    Note,
    Signer,
    VerifierKey,
    b64,
    signature_lines,
    unb64,
)
from ledger.audit.verify.keychain import KeyChain

MAX_REQUEST = MAX_NOTE_BYTES + 4096
"""The most bytes of a request: an old size, 63 lines of proof, and a checkpoint."""

MAX_PROOF_LINES = 63
FAST_S = 24 * 3600
"""How far the clock of a witness may be ahead of ours, in seconds."""

SIZE_TYPE = "text/x.tlog.size"
_SIZE_LINE = re.compile(r"(0|[1-9]\d{0,18})\n?", re.ASCII)
_OLD = re.compile(r"old (0|[1-9]\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, a body, and its content type."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign: the size that the log assumes the witness has, the consistency proof, the checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    signed: SignedCheckpoint

    def __str__(self) -> str:
        return "\n".join([f"old {self.old_size}", *map(b64, self.proof), "", str(self.signed)])

    @classmethod
    def parse(cls, body: str) -> AddCheckpoint:
        """Read a request body; raises `NoteInvalid`."""
        if len(body) > MAX_REQUEST:
            raise NoteInvalid("the request is too large")
        head, separator, note = body.partition("\n\n")
        lines = head.split("\n")
        old = _OLD.fullmatch(lines[0])
        if not separator or old is None or len(lines) - 1 > MAX_PROOF_LINES:
            raise NoteInvalid("the request should be an old size, proof lines, an empty line, a checkpoint")
        proof = tuple(unb64(line, "a proof line") for line in lines[1:])
        if any(len(value) != HASH_SIZE for value in proof):
            raise NoteInvalid("a proof line is not a hash")
        return cls(int(old[1]), proof, read_checkpoint(note))


class WitnessState:
    """The last cosigned head of each log, in one file per log that is replaced atomically under a lock.

    The lock is held while a head is compared and stored, so two processes of one witness cannot store an older head
    over a newer one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def advance(self, origin: str, decide: Callable[[Head], SignedCheckpoint | None]) -> None:
        """Call ``decide`` with the stored head, and write the checkpoint that it returns to disk before returning."""
        path = self._file(origin)
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read(path)
            new = decide(Head(0, EMPTY_ROOT) if known is None else known.checkpoint.head)
            if new is None:
                return
            draft = path.with_suffix(".draft")
            with draft.open("wb") as file:
                file.write(bytes(new.note))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def latest(self, origin: str) -> SignedCheckpoint | None:
        """The stored checkpoint of a log; None before the first."""
        return self._read(self._file(origin))

    def _file(self, origin: str) -> Path:
        return self._folder / (origin.replace("/", "_") + ".checkpoint")

    @staticmethod
    def _read(path: Path) -> SignedCheckpoint | None:
        try:
            return read_checkpoint(path.read_bytes())
        except FileNotFoundError:
            return None
        except NoteInvalid as error:
            raise AuditError(
                f"the witness's memory {path} is unreadable: {error}",
                hint="restore it from the last cosignature you gave; never start again from nothing",
            ) from error


class Witness:
    """Cosigns the configured logs. ``logs`` maps an origin to the chain of the log's keys from the pinned key on.

    After a rotation the operator of the witness must add the handover; until then heads by the new key are refused.
    """

    def __init__(
        self,
        signer: Signer,
        logs: Mapping[str, KeyChain],
        state: WitnessState,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if signer.key.kind != COSIGNATURE:
            raise AuditError("a witness signs with a cosignature key (type 4)")
        self._signer = signer
        self._logs = dict(logs)
        self._state = state
        self._clock = clock

    @property
    def key(self) -> VerifierKey:
        return self._signer.key

    def add_checkpoint(self, body: str) -> Answer:
        """Answer an ``add-checkpoint`` request: 200 with the cosignature line, or an error status.

        404: the log is unknown. 403: the log did not sign it. 400: malformed, or the old size is above the new one. 409:
        the witness has another size, which is the body. 422: the proof is invalid, or the root differs at the same size
        (a fork).
        """
        try:
            request = AddCheckpoint.parse(body)
        except NoteInvalid as error:
            return Answer(400, error.message + "\n")
        origin = request.signed.checkpoint.origin
        keys = self._logs.get(origin)
        if keys is None:
            return Answer(404, "this witness does not watch that log\n")
        try:
            if not keys.signed(request.signed.note, request.signed.size):
                return Answer(403, "the log did not sign this checkpoint\n")
        except NoteInvalid as error:
            return Answer(403, error.message + "\n")
        if request.old_size > request.signed.size:
            return Answer(400, "the old size is above the checkpoint's\n")
        return self._advance(origin, request)

    def checkpoint(self, origin_hash: str) -> Answer:
        """Answer ``<origin hash>/checkpoint``: the newest cosigned head of a log, with the signatures of the log and of
        this witness; 404 before the first."""
        origin = {sha256(origin.encode()).hexdigest(): origin for origin in self._logs}.get(origin_hash)
        latest = None if origin is None else self._state.latest(origin)
        if origin is None or latest is None or not latest.cosigned_by([self.key]):
            return Answer(404, "this witness has cosigned no checkpoint of that log\n")
        return Answer(200, str(latest.note.only([*(item.key for item in self._logs[origin].keys), self.key])))

    def _advance(self, origin: str, request: AddCheckpoint) -> Answer:
        answers: list[Answer] = []

        def decide(known: Head) -> SignedCheckpoint | None:
            if known.size != request.old_size:
                answers.append(Answer(409, f"{known.size}\n", SIZE_TYPE))
                return None
            try:
                verify_consistency(
                    known.size, request.signed.size, known.root, request.signed.root, request.proof
                )
            except ProofError as error:
                answers.append(Answer(422, error.message + "\n"))
                return None
            line = self._signer.sign(request.signed.note.text, at=int(self._clock()))
            answers.append(Answer(200, line))
            # Signature lines can be added by anyone. Only checked ones are stored, so that there is room for this
            # witness's line and the stored note can be parsed again.
            checked = request.signed.note.only(self._logs[origin].in_force(request.signed.size))
            return SignedCheckpoint(request.signed.checkpoint, checked.with_signature(line))

        self._state.advance(origin, decide)
        return answers[0]


def collect(
    signed: SignedCheckpoint,
    witness: VerifierKey,
    ask: Callable[[str], Answer],
    consistency: Callable[[int, int], list[bytes]],
    old_size: int = 0,
) -> SignedCheckpoint:
    """Ask one witness to cosign (the side of the log). When the witness states another size, ask again from that size.

    ``ask`` posts a request body; ``consistency(old, new)`` builds the proof. Lines of the witness's key are verified and
    added to the checkpoint; lines of other keys are ignored. Raises `WitnessProblem` without a valid cosignature.
    """
    for _ in range(3):
        proof = tuple(consistency(old_size, signed.size))
        answer = ask(str(AddCheckpoint(old_size, proof, signed)))
        if answer.status == 200:
            return _with_cosignature(signed, witness, answer.body)
        stated = _SIZE_LINE.fullmatch(answer.body)
        if answer.status != 409 or not _is(answer.content_type, SIZE_TYPE) or stated is None:
            break
        old_size = int(stated[1])
        if old_size > signed.size:
            break
    kinds: dict[int, type[WitnessProblem]] = {
        409: WitnessConflict,
        422: WitnessConflict,
        503: WitnessUnreachable,
    }
    raise kinds.get(answer.status, WitnessProblem)(
        f"{witness.name} does not cosign: {answer.status} {answer.body.strip()[:200]}",
        hint="409 with another size or 422 means that it saw another history of this log",
    )


def _with_cosignature(signed: SignedCheckpoint, witness: VerifierKey, body: str) -> SignedCheckpoint:
    try:
        lines = signature_lines(body)
        own = tuple(s for s in lines if (s.name, s.key_id) == (witness.name, witness.key_id))
        times = Note(signed.note.text, own).verified_by([witness])
    except NoteInvalid as error:
        raise WitnessMalformed(f"the answer of {witness.name} does not hold: {error.message}") from error
    if not times:
        raise WitnessKeyAbsent(
            f"{witness.name} answered, but not with a signature of the key that is expected of it",
            hint="ask the witness's keeper for its Ed25519 cosignature key",
        )
    if not 0 < times[witness] <= time.time() + FAST_S:
        raise WitnessMalformed(
            f"the cosignature of {witness.name} states no time, or one that has not come yet",
            hint="compare the clocks of log and witness",
        )
    return SignedCheckpoint(signed.checkpoint, signed.note.with_signature(own[-1].line))


def _is(content_type: str, wanted: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == wanted
