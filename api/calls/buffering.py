"""The answer to a permitted call, read into a buffer before the call is charged and before any byte is sent.

An answer that fits into the buffer is complete before the commit, so that charge, decision and outcome are
one commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from access_policy.privacy.execution.encoding import MEDIA_TYPES, AnswerFormat, Encoder
from access_policy.privacy.execution.pace import Pace
from access_policy.privacy.execution.scan import Scan
from access_policy.privacy.execution.scan_errors import Preempted, ScanError, ScannerBusy
from access_policy.privacy.execution.scanner import Scanner
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.source import SourceChanged, SourceError
from api.calls.decisions import Permitted
from api.calls.repeats import CHANGED, Before
from api.calls.rights import Rights
from api.runtime.errors import SOON_S, RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.ids import asset_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer; ``rows`` is the maximum number of rows in it and all parts before it."""

    content: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that failed before any byte was sent; ``code`` is the reason."""

    code: str


class Buffered:
    """The answer to a permitted call, read up to the size of the buffer; no byte has been sent.

    ``complete``: the buffer holds the whole answer. ``subject`` names the data subject, ``pace`` is the pace
    of the reader. ``must_give`` is the SHA-256 that its bytes must have if they were sent before.
    ``must_last`` is called between batches after the call is charged. Close the answer if it is not sent.
    """

    def __init__(
        self,
        scan: Scan,
        answer: AnswerFormat,
        subject: str,
        must_give: str | None,
        must_last: Callable[[], None],
    ) -> None:
        self.media_type, self.subject = MEDIA_TYPES[answer], subject
        self.pace = Pace()
        self.complete = False
        self._must_give, self._must_last = must_give, must_last
        self._charged = False
        self._held: list[Chunk] = []
        self._scan = scan
        self._encoder = Encoder(self._while_live(scan), scan.schema, answer)

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self._encoder.rows

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return self._encoder.bytes

    @property
    def sha256(self) -> str:
        """The digest, in hex, of the bytes read so far."""
        return self._encoder.sha256

    def fill(self, most: int) -> None:
        """Read until the buffer holds more than ``most`` bytes or the whole answer."""
        for content in self._encoder:
            self._held.append(Chunk(content, self.rows))
            if self.size > most:
                self._scan.stream(self.pace)
                return
        self.complete = True
        self.close()

    def whole(self) -> bytes:
        """The bytes of a complete answer."""
        return b"".join(chunk.content for chunk in self._held)

    def fits(self, before: Before) -> bool:
        """Whether the part read so far can equal the answer sent before; the rest is checked after it was
        read."""
        if before.response is None:
            return True
        return before.response == self.sha256 if self.complete else self.size <= (before.release.size or 0)

    def rest(self) -> Iterator[Chunk]:
        """All chunks, the buffered ones first; only for a call that was charged.

        RefusedError ``idempotency.changed``, before the end of the answer, if the bytes differ from those
        sent before.
        """
        self._charged = True
        held, self._held = self._held, []
        yield from held
        for content in self._encoder:
            yield Chunk(content, self.rows)
        if self._must_give is not None and self._must_give != self.sha256:
            raise RefusedError(CHANGED, in_both("the data are not those that left before"))

    def close(self) -> None:
        """Release the scanning process."""
        self._scan.close()

    def _while_live(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass on batches while the caller's right lasts and the service may release data. If either ends,
        the release stops within one batch.

        No check is needed before the charge, because its commit makes the same checks.
        """
        for batch in batches:
            if self._charged:
                self._must_last()
            yield batch


@dataclass(frozen=True, slots=True)
class Buffering:
    """Reads answers. The keys of pseudonyms are derived from ``secret`` (32 bytes), one per grant;
    ``buffer_bytes`` is how much of an answer is buffered before the call is charged."""

    scanner: Scanner
    secret: bytes = field(repr=False)
    buffer_bytes: int
    rights: Rights

    def buffer(
        self,
        call: SignedCall,
        permitted: Permitted,
        answer: AnswerFormat,
        subject: str,
        must_give: str | None,
    ) -> Buffered | Broken:
        """Read the answer; RefusedError ``scan.busy`` if no scanning process is free."""
        considered, grant, plan = permitted.considered, permitted.grant, permitted.plan
        key = derive_grant_key(self.secret, grant) if plan.needs_key else None
        must_last = partial(self.rights.must_last, call, grant, considered.grants.chains[grant])
        with ExitStack() as unread:
            try:
                scan = self.scanner.scan(plan, considered.source.source, key, holder=str(call.department))
                unread.callback(scan.close)
                answered = Buffered(scan, answer, subject, must_give, must_last)
                answered.fill(self.buffer_bytes)
            except ScannerBusy as busy:
                detail = in_both("every scanning process is busy; nothing was charged")
                raise RefusedError(busy.code, detail, retry_after_s=SOON_S) from busy
            except (ScanError, SourceError) as broken:
                tell_operator(considered.asset, considered.source.version, broken)
                return Broken(reason_of(broken))
            unread.pop_all()
            return answered


def reason_of(broken: BaseException) -> str:
    """The code of what stopped an answer, for its entry. For a scan it states only that the scan failed.
    Empty if the reader disconnected."""
    if isinstance(broken, SourceChanged | Preempted | RefusedError):
        return broken.code
    return "scan.failed" if isinstance(broken, ScanError | SourceError) else ""


def tell_operator(asset: int, version: int | None, broken: ScanError | SourceError) -> None:
    """Write the kind of a failure to the operator's log; the caller and the entry do not show it."""
    if isinstance(broken, SourceChanged):
        _log.error(
            "asset %s, version %s: %s; put back the signed file, and look at the others with: civic audit fsck",
            asset_text(asset),
            version,
            broken,
        )
        return
    cause = broken.cause if isinstance(broken, ScanError) else ""
    _log.warning("a scan of asset %s failed: %s %s", asset_text(asset), broken.code, cause)
