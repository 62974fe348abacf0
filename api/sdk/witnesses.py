"""Checks whether the witnesses of the trust file follow the log that this client is shown.

A log's key can sign two logs, one for each reader. A witness follows only one of them, so a reader of the other
finds its cosignatures missing or old. The rule: at least ``quorum`` witnesses of the trust file have cosigned,
within the last ``max_age_s`` seconds, heads that are consistent with everything this client has seen. The time is
that of the witnesses' own clocks, not the operator's. Cosigned heads come from the service. If the profile has a
witness's address, the witness is asked too, and its head is compared even without a quorum.

Without a quorum and without an address nothing is checked, and `Witnesses.state` says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.protocol.trust import Trust
from api.sdk.errors import AnswerRefused, NotWitnessed, RollbackDetected
from api.sdk.memory import CheckpointMemory, FetchProof
from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.note import MAX_NOTE_BYTES, VerifierKey
from ledger.counts import counted
from ledger.outgoing import CallFailed, Outgoing

MAX_AGE_S = 600.0
ASK_S = 5.0
"""The time limit for one witness, in seconds."""
AGAIN_S = 60.0
"""How long a result is used, in seconds; a quarter of the allowed age if that is shorter."""
AHEAD_S = 300.0
"""How far a witness's clock may be ahead of this machine's, in seconds."""
_NAMED = 16


@dataclass(frozen=True, slots=True)
class Watch:
    """The maximum age of the quorum's cosignatures, and the addresses of witnesses, by the names of their keys."""

    max_age_s: float = MAX_AGE_S
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The newest head that one witness cosigned, as far as this client knows, and its time."""

    size: int
    time: int


class Witnesses:
    """Checks against the witnesses of one trust file; stores the results in ``directory``. Thread-safe."""

    def __init__(self, trust: Trust, watch: Watch, memory: CheckpointMemory, directory: Path) -> None:
        self._keys = [key for key in trust.witnesses if key.checkable]
        self._quorum = trust.quorum
        self._watch = watch
        self._memory = memory
        self._origin = trust.log_key.name
        name = hashlib.sha256(self._origin.encode()).hexdigest()
        self._path = f"{name}/checkpoint"
        self._file = directory / f"witnessed-{name[:16]}.json"
        self._line = Outgoing()
        self._lock = threading.RLock()
        self._checking = False
        self._checked, self._known = self._recall()
        self._problems: dict[str, str] = {}

    def close(self) -> None:
        self._line.close()

    @property
    def asked(self) -> bool:
        """Whether there is a quorum or an address to check."""
        return bool(self._quorum or self._urls())

    def state(self) -> dict[str, Any]:
        """For people: the quorum, whether it is reached, and for each witness its newest head, its time, and its
        problem."""
        young = self._young()
        return {
            "quorum": self._quorum,
            "max_age_s": self._watch.max_age_s,
            "checked": self.asked,
            "cosigned": [
                {"name": key.name, "size": self._known[str(key)].size, "time": self._known[str(key)].time}
                for key in young
            ],
            "problems": dict(self._problems),
        }

    def check(self, from_service: Callable[[], list[str]], proof_between: FetchProof) -> None:
        """Raise ForkFound if a witness saw another log, NotWitnessed if the quorum is missing or old."""
        with self._lock:
            if not self.asked or self._checking or self._fresh():
                return
            self._checking = True
            try:
                self._ask_witnesses(proof_between)
                if self._quorum:
                    for note in from_service()[-_NAMED:]:
                        self._take(note, self._keys, proof_between)
            finally:
                self._checking = False
                self._store()
            self._must_be_witnessed()
            self._checked = time.time()
            self._store()

    def _fresh(self) -> bool:
        age = time.time() - self._checked
        enough = len(self._young()) >= self._quorum
        return enough and 0 <= age < min(AGAIN_S, self._watch.max_age_s / 4)

    def _young(self) -> list[VerifierKey]:
        now = time.time()
        return [
            key
            for key in self._keys
            if (known := self._known.get(str(key)))
            and now - self._watch.max_age_s <= known.time <= now + AHEAD_S
        ]

    def _must_be_witnessed(self) -> None:
        young = len(self._young())
        if young < self._quorum:
            raise NotWitnessed(
                f"{young} of {counted(self._quorum, 'witness', 'witnesses')} cosigned this log in the last "
                f"{self._watch.max_age_s / 60:g} min"
            )

    def _urls(self) -> dict[VerifierKey, str]:
        return {key: self._watch.urls[key.name] for key in self._keys if key.name in self._watch.urls}

    def _ask_witnesses(self, proof_between: FetchProof) -> None:
        """Ask each witness with a known address: its head must be of this log. A witness that does not answer
        counts as one that did not cosign."""
        for key, url in self._urls().items():
            try:
                call = self._line.prepare("GET", f"{url.rstrip('/')}/{self._path}")
                answer = self._line.ask(call, within_s=ASK_S, most=MAX_NOTE_BYTES)
                if answer.status != 200:
                    raise NoteInvalid(f"the witness answers {answer.status}")
                note = answer.body.decode("utf-8", "replace")
                if key not in read_checkpoint(note).cosigned_by([key]):
                    raise NoteInvalid("the answer has no cosignature of this witness")
            except (CallFailed, NoteInvalid) as failed:
                self._problems[key.name] = failed.message
                continue
            try:
                self._take(note, [key], proof_between)
            except RollbackDetected:
                raise
            # The witness showed something else than a head of the log: ignored, so that a faulty witness cannot stop
            # the client.
            except AnswerRefused as unsigned:
                self._problems[key.name] = unsigned.message
                continue
            self._problems.pop(key.name, None)

    def _take(self, note: str, keys: list[VerifierKey], proof_between: FetchProof) -> None:
        """Check that a cosigned head is of the log that was seen, and count its witnesses."""
        signed = self._memory.accept(note, proof_between)
        for key in keys:
            try:
                moment = signed.cosigned_by([key]).get(key)
            except NoteInvalid:  # An invalid signature line is ignored.
                continue
            self._note(key, signed, moment)

    def _note(self, key: VerifierKey, signed: SignedCheckpoint, moment: int | None) -> None:
        known = self._known.get(str(key))
        if moment is not None and moment <= time.time() + AHEAD_S and (known is None or moment > known.time):
            self._known[str(key)] = Cosigned(signed.size, moment)

    def _recall(self) -> tuple[float, dict[str, Cosigned]]:
        """Read what an earlier process of this client stored; nothing if the file is missing or damaged: the
        witnesses are asked again."""
        try:
            document = json.loads(self._file.read_bytes())
            known = {
                str(key): Cosigned(int(item["size"]), int(item["time"]))
                for key, item in document["witnesses"].items()
            }
            return float(document["checked"]), known
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return 0.0, {}

    def _store(self) -> None:
        document = {
            "checked": self._checked,
            "witnesses": {key: {"size": one.size, "time": one.time} for key, one in self._known.items()},
        }
        temporary = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
        temporary.write_text(json.dumps(document))
        temporary.replace(self._file)
