"""The answer to a permitted call, read into a buffer before anything of it is charged or leaves.

What fits into the buffer is complete before anything is committed, so that charge, decision and outcome are one commit.
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
from access_policy.privacy.execution.scan_errors import GaveWay, ScanError, ScannerBusy
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
    """A piece of an answer; ``rows`` are those that it and the pieces before it hold at most."""

    content: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that broke off before anything of it left; ``code`` says what stopped it."""

    code: str


class Buffered:
    """The answer to a permitted call, read up to the size of the buffer; nothing of it has left.

    ``complete`` says that what is held is all of it. ``subject`` is whose data they are, ``pace`` that of its reader.
    ``must_give`` is the SHA-256 that its bytes must have, when they left before. ``must_last`` is asked between batches
    once the call is charged. Close it when it is not sent.
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
        """Read until more than ``most`` bytes are held, or all of it."""
        for content in self._encoder:
            self._held.append(Chunk(content, self.rows))
            if self.size > most:
                self._scan.stream(self.pace)
                return
        self.complete = True
        self.close()

    def whole(self) -> bytes:
        """The answer, when it is complete."""
        return b"".join(chunk.content for chunk in self._held)

    def fits(self, before: Before) -> bool:
        """Whether this can be what left before, as far as it was read; the rest is checked when it was read."""
        if before.response is None:
            return True
        return before.response == self.sha256 if self.complete else self.size <= (before.release.size or 0)

    def rest(self) -> Iterator[Chunk]:
        """All chunks, those held first; only for a call that was charged.

        RefusedError ``idempotency.changed``, before the answer has ended, when this is not what left before.
        """
        self._charged = True
        held, self._held = self._held, []
        yield from held
        for content in self._encoder:
            yield Chunk(content, self.rows)
        if self._must_give is not None and self._must_give != self.sha256:
            raise RefusedError(CHANGED, in_both("the data are not those that left before"))

    def close(self) -> None:
        """Give the scanning process back."""
        self._scan.close()

    def _while_live(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass batches on while the right to call lasts and data may leave at all; what ends either stops the release
        within one batch.

        Before the charge nothing needs to be asked: its commit looks itself.
        """
        for batch in batches:
            if self._charged:
                self._must_last()
            yield batch


@dataclass(frozen=True, slots=True)
class Buffering:
    """What answers are read with. ``secret`` (32 bytes) is where the keys of pseudonyms are derived from, per grant;
    ``buffer_bytes`` is how much of an answer is held before it is charged."""

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
        """The answer; RefusedError ``scan.busy`` when no scanning process is free for it."""
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
    """The code of what stopped an answer, for its entry: nothing more is said of a scan than that it failed. Empty when
    the reader went away."""
    if isinstance(broken, SourceChanged | GaveWay | RefusedError):
        return broken.code
    return "scan.failed" if isinstance(broken, ScanError | SourceError) else ""


def tell_operator(asset: int, version: int | None, broken: ScanError | SourceError) -> None:
    """The operator's log has the kind of a failure; the caller and the entry do not."""
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
