"""Data that are being read, and the check after the last byte.

The receipt of the decision is checked before the first byte is returned. After the last one, the entry of the
release's outcome must commit to the bytes that arrived: the log is checked, not only the service's answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from api.protocol.http_signatures import CALL_HEADER, RECEIPT_HEADER, RELEASE_HEADER, RESPONSE
from api.protocol.names import DECIDED, REPEATED
from api.sdk.errors import AnswerRefused
from api.sdk.evidence import About, member, must_be_about
from api.sdk.transport import Stream
from ledger.audit.formats.disclosures import DisclosureInvalid, opened
from ledger.audit.verify.receipts import Receipt
from ledger.errors import LedgerError
from ledger.ids import asset_text, parse_asset

if TYPE_CHECKING:
    from api.sdk.client import Civic

DONE = "gateway:release:done"


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a read."""

    asset: str
    purpose: str
    query: Mapping[str, Any] | None = None
    action: str = "read"
    grant: str | None = None
    attributes: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    version: int | None = None

    def document(self, *, dry_run: bool = False) -> dict[str, Any]:
        """The body of the call."""
        document: dict[str, Any] = {
            "asset": self.asset,
            "purpose": self.purpose,
            "action": self.action,
            "query": dict(self.query or {}),
        }
        if self.grant is not None:
            document["grant"] = self.grant
        if self.attributes:
            document["attributes"] = dict(self.attributes)
        if self.version is not None:
            document["version"] = self.version
        if dry_run:
            document["dry_run"] = True
        return document

    def says(self) -> dict[str, object]:
        """The members that the entry of the decision must have. Only a call with an idempotency key can be answered
        with a repeat."""
        try:
            asset = asset_text(parse_asset(self.asset))
        except LedgerError as malformed:
            raise AnswerRefused("there is no receipt for an asset that cannot be") from malformed
        types = (DECIDED,) if self.idempotency_key is None else (DECIDED, REPEATED)
        return {
            "type": types,
            "asset": asset,
            "purpose": self.purpose,
            "facts.action": self.action,
        }


@dataclass(frozen=True, slots=True)
class Released:
    """Released data, with the receipt of the decision and the record of the release, checked against the log.
    ``call`` is the disclosure that proves the receipt to be about this call: keep it with the receipt."""

    body: bytes = field(repr=False)
    media_type: str
    receipt: Receipt
    release: Mapping[str, Any]
    call: str = field(repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of a JSON release."""
        return cast(list[dict[str, Any]], json.loads(self.body))


class Reading:
    """Data that are still arriving. Their decision is checked; `finish` checks what arrived."""

    def __init__(self, civic: Civic, stream: Stream, asked: Asked, seen: int) -> None:
        self._civic, self._release = civic, stream.headers.get(RELEASE_HEADER.lower(), "")
        self._finished: dict[str, Any] | None = None
        self.stream = stream
        self.call = stream.headers.get(CALL_HEADER.lower(), "")
        self.receipt = civic.verified(_unheader(stream.headers.get(RECEIPT_HEADER.lower(), "")), seen)
        says = {**asked.says(), "decision": "permit", "facts.release": self._release}
        if asked.grant is not None:
            says["grant"] = asked.grant.lower()
        if asked.version is not None:
            says["facts.version"] = asked.version
        must_be_about(self.receipt, About(says, stream.sent), self.call)

    @property
    def ended(self) -> bool:
        """Whether the last byte has arrived."""
        return self.stream.ended

    def finish(self) -> dict[str, Any]:
        """The record of the release, after the last byte; AnswerRefused unless the log confirms the digest of these
        bytes."""
        if self._finished is None:
            record = self._civic.release(self._release)
            self._must_be_outcome(record)
            self._finished = record
        return self._finished

    def _must_be_outcome(self, record: Mapping[str, Any]) -> None:
        outcome = record.get("outcome")
        if not isinstance(outcome, Mapping) or record.get("state") != "done":
            raise AnswerRefused("the release is not recorded as done")
        receipt = self._civic.verified(str(outcome.get("receipt", "")))
        decided = self.receipt.event
        says = {name: decided.get(name) for name in ("department", "service", "asset", "grant", "purpose")}
        says |= {"type": DONE, "facts.release": self._release, "counts.bytes": self.stream.size}
        must_be_about(receipt, About(says))
        if decided["type"] == DECIDED and receipt.index <= self.receipt.index:
            raise AnswerRefused("the outcome of the release stands in the log before its decision")
        entry = receipt.event
        recorded = (record.get("id"), record.get("rows"), record.get("bytes"))
        if recorded != (self._release, member(entry, "counts.rows"), self.stream.size):
            raise AnswerRefused("the release record is not what the log says")
        try:
            digest = opened(entry, RESPONSE, outcome.get("disclosure"))
        except DisclosureInvalid as invalid:
            raise AnswerRefused(f"nothing shows which bytes left: {invalid.message}") from invalid
        if digest != self.stream.sha256:
            raise AnswerRefused("the data that arrived are not those that the log says left")


def denial_says(problem: Mapping[str, Any]) -> dict[str, object]:
    """The members that the entry of a refusal must have: exactly the reasons of the problem."""
    reasons = problem.get("reasons")
    given = reasons if isinstance(reasons, list) else []
    codes = [str(item.get("code")) for item in given if isinstance(item, Mapping)]
    if problem.get("decision") != "deny" or [problem.get("code")] != codes[:1]:
        raise AnswerRefused("the refusal contradicts itself")
    return {"type": DECIDED, "decision": "deny", "reasons": list(dict.fromkeys(codes))}


def _unheader(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError as malformed:
        raise AnswerRefused("the answer carries no receipt") from malformed
