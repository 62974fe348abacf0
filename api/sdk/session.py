"""A connection to one service, with the checks that make its answers evidence.

``transport`` verifies every answer's signature and digest. This module verifies every receipt's entry, inclusion
proof and checkpoint. ``memory`` compares every checkpoint with the newest one this client has seen. ``evidence``
checks that a receipt is about the call that was sent. An answer that fails any of these checks is not returned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from api.protocol.http_signatures import CALL
from api.protocol.trust import Trust
from api.sdk.errors import AnswerRefused, RollbackDetected, ServiceProblem
from api.sdk.evidence import About, must_be_about
from api.sdk.heads import read_heads
from api.sdk.memory import CheckpointMemory
from api.sdk.reading import Asked, denial_says
from api.sdk.transport import Answer, ServiceKey, Transport, items_of, part
from api.sdk.witnesses import Watch, Witnesses
from ledger.audit.formats.checkpoint import SignedCheckpoint
from ledger.audit.formats.errors import NoteInvalid
from ledger.audit.formats.merkle import ProofError
from ledger.audit.formats.note import unb64
from ledger.audit.verify.receipts import Receipt
from ledger.counts import counted
from ledger.ids import ACTIVATION

JSON = "application/json"

RECORDED = "recorded"
"""The state of an act that is on chain and in the log."""


class Session:
    """A connection whose answers are checked before they are returned. Thread-safe."""

    def __init__(
        self,
        url: str,
        trust: Trust,
        state: Path,
        key: ServiceKey | None = None,
        *,
        timeout_s: float = 60.0,
        watch: Watch | None = None,
    ) -> None:
        """``watch`` gives the maximum age of cosignatures and the addresses of the trust file's witnesses."""
        self.trust = trust
        self.memory = CheckpointMemory(state, trust.log_key)
        self.memory.must_not_be_forked()
        self.witnesses = Witnesses(trust, watch or Watch(), self.memory, state)
        self.transport = Transport(url, trust.gateway_key, key, timeout_s=timeout_s, seen=self._seen_note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()
        self.witnesses.close()

    def compare_heads(self, document: object) -> list[SignedCheckpoint]:
        """Compare heads that others saw (`CheckpointMemory.heads`) with the log seen here, and remember the newest;
        the service must prove that they are of one log. ForkFound if they are not, HeadsInvalid for an unusable
        document."""
        heads, keys = read_heads(document, self.trust)
        return [self.memory.accept(head, self.consistency, keys=keys) for head in heads]

    def _accept(self, checkpoint: str, seen: int, keys: Sequence[Any]) -> None:
        """Accept a head of the log: it extends the last one seen, and the witnesses follow this log."""
        self.memory.accept(checkpoint, self.consistency, at_least=seen, keys=keys)
        self.witnesses.check(self._cosigned, self.consistency)

    def _cosigned(self) -> list[str]:
        found = part(self._get("/v1/log/cosigned"), "checkpoints", list)
        if not all(isinstance(item, str) for item in found):
            raise AnswerRefused("the answer holds no checkpoints")
        return found

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The RFC 6962 consistency proof between two sizes of the log."""
        try:
            document = self._get("/v1/log/consistency", {"old": old, "new": new})
        except ServiceProblem as refused:
            if refused.code != "request.size":
                raise
            raise RollbackDetected(
                f"the service cannot prove that its log of {counted(new, 'entry', 'entries')} extends the one of {old}: {refused.message}"
            ) from refused
        try:
            return [unb64(item, "a proof hash") for item in part(document, "proof", list)]
        except (NoteInvalid, AttributeError) as malformed:
            raise AnswerRefused("the answer holds no consistency proof") from malformed

    def _seen_size(self) -> int:
        return self.memory.seen.size if self.memory.seen else 0

    def _seen_note(self) -> str | None:
        """The newest head seen, sent to the service: it shows a restored service that it is behind."""
        return None if self.memory.seen is None else str(self.memory.seen)

    def _get(self, path: str, params: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        return self.checked(self.transport.call("GET", path, params=params)).json()

    def _post(self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None) -> Answer:
        seen = self._seen_size()
        answer = self.transport.call(
            "POST", path, body=encode(body), headers={"Content-Type": JSON}, params=params
        )
        return self.checked(answer, seen)

    def _pages(self, path: str, filters: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        params = dict(filters or {})
        while True:
            page = self._get(path, params)
            yield from items_of(page, "items")
            cursor = following(page, params.get("cursor"))
            if cursor is None:
                return
            params["cursor"] = cursor

    def checked(self, answer: Answer, seen: int = 0, asked: Asked | None = None) -> Answer:
        """The answer, or ServiceProblem if it is a refusal.

        A denial carries the receipt of its own entry, which is about this call (and about ``asked``, if it is
        given); AnswerRefused otherwise.
        """
        if answer.status < 400:
            return answer
        document = answer.json()
        receipt = None
        if document.get("decision") is not None or "receipt" in document:
            receipt = self.verified(str(document.get("receipt", "")), seen)
            says = denial_says(document) | (asked.says() if asked else {})
            must_be_about(receipt, About(says, answer.sent), document.get(CALL))
        raise ServiceProblem(answer.status, document, receipt)

    def _with_receipt(self, answer: Answer, about: About) -> dict[str, Any]:
        """The answer's document, with the entry of its receipt, which must match ``about``."""
        return self._entered(answer.json(), about)

    def _entered(self, document: dict[str, Any], about: About) -> dict[str, Any]:
        receipt = self.verified(str(document.get("receipt", "")))
        must_be_about(receipt, about, document.get(CALL))
        document["entry"] = receipt.event
        return document

    def _recorded(
        self, document: dict[str, Any], acts: tuple[str, ...], says: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """The answer about one of these acts; once it is recorded, with its receipt, which names the act."""
        act = document.get("digest")
        if act not in acts:
            raise AnswerRefused("the answer is about another act")
        if isinstance(proposal := document.get("proposal"), dict):
            document["proposal"] = self._recorded(proposal, (str(act).removesuffix(ACTIVATION),))
        if document.get("state") != RECORDED and "receipt" not in document:
            return document
        return self._entered(document, About({"facts.act": act, **(says or {})}))

    def verified(self, text: str, seen: int = 0) -> Receipt:
        """A valid receipt: its entry is in the log that this client has seen. ``evidence`` checks what it is about."""
        try:
            receipt = Receipt.parse(text)
            receipt.check_inclusion()
            entry = receipt.event
        except (NoteInvalid, ProofError, ValueError) as refused:
            raise AnswerRefused(f"the receipt does not hold: {refused}") from refused
        if not isinstance(entry, dict):
            raise AnswerRefused("the receipt does not hold an entry")
        self._accept(receipt.checkpoint, seen, receipt.keys)
        return receipt


def following(page: Mapping[str, Any], before: str | int | None) -> str | None:
    """The cursor of the page after this one, None after the last page; AnswerRefused if a cursor is repeated."""
    if not page.get("next"):
        return None
    cursor = part(page, "next", str)
    if cursor == before:
        raise AnswerRefused("the answer says that this page comes after itself")
    return cursor


def encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
