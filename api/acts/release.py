"""Letting data out: an answer is drawn up to what is held, charged, and only then leaves.

What fits into the buffer is complete before anything is committed, so that charge, decision and outcome are one
commit. What is larger is charged first and then streams: revocation is looked at between batches, and the outcome
has a commit of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from access_policy.decision import Permit
from access_policy.privacy.encoding import MEDIA_TYPES, AnswerFormat, Encoder
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.scan_errors import ScanError, ScannerBusy
from access_policy.privacy.scanner import Scan
from access_policy.privacy.source import SourceChanged, SourceError
from api.acts.decisions import Decided
from api.acts.evidence import Evidence
from api.acts.repeats import CHANGED, Before, outcome_id, outcomes_of
from api.gateway import Gateway
from api.problems import Problem
from api.sdk.wire import RESPONSE
from api.signatures import SignedCall
from api.turns import RETRY_AFTER
from ledger import releases
from ledger.audit.append import NewEntry
from ledger.audit.events import Event
from ledger.audit.openings import Opening, commit
from ledger.audit.writer import JobResult
from ledger.ids import asset_text, parse_asset
from ledger.releases import Release

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer; ``rows`` are those that it and the pieces before it hold at most."""

    content: bytes
    rows: int


@dataclass(slots=True)
class Left:
    """What was given to the connection: no more can have left."""

    rows: int = 0
    size: int = 0

    def add(self, chunk: Chunk) -> None:
        self.rows = chunk.rows
        self.size += len(chunk.content)


class Draft:
    """The answer to a permitted call, drawn up to ``buffer_bytes``; nothing of it has left.

    ``complete`` says that what is held is all of it, ``broken`` is the code of what stopped it. ``subject`` is whose
    data they are. ``must_give`` is the SHA-256 that its bytes must have, when they left before. Close it when it is not
    sent. Problem ``scan.busy`` when no scanning process is free for it.
    """

    def __init__(
        self, gateway: Gateway, call: SignedCall, decided: Decided, answer: AnswerFormat, subject: str
    ) -> None:
        assert isinstance(decided.outcome, Permit)
        assert decided.plan is not None
        self._gateway, self._call, self._grant = gateway, call, decided.outcome.grant
        self._chain = decided.at_hand.chains[self._grant]
        self.media_type, self.subject = MEDIA_TYPES[answer], subject
        self.must_give: str | None = None
        self._held: list[Chunk] = []
        self.complete = False
        self.broken: str | None = None
        self._charged = False
        self._scan: Scan | None = None
        self._encoder: Encoder | None = None
        plan = decided.plan
        key = derive_grant_key(gateway.pseudonym_secret, self._grant) if plan.needs_key else None
        try:
            holder = str(call.department)
            self._scan = gateway.scanner.scan(plan, decided.shelf.source, key, holder=holder)
            self._encoder = Encoder(self._while_live(self._scan), self._scan.schema, answer)
            self._fill(self._encoder, gateway.settings.buffer_bytes)
            if not self.complete:
                self._scan.stream()
        except ScannerBusy as busy:
            self.close()
            raise Problem(
                busy.code, "every scanning process is busy; nothing was charged", headers=RETRY_AFTER
            ) from busy
        except (ScanError, SourceError) as broken:
            self.broken = reason_of(broken)
            _tell_operator(decided.asset, decided.shelf.version, broken)
            self.close()
        except BaseException:
            self.close()
            raise

    @property
    def rows(self) -> int:
        """Rows drawn so far."""
        return self._encoder.rows if self._encoder else 0

    @property
    def size(self) -> int:
        """Bytes drawn so far."""
        return self._encoder.bytes if self._encoder else 0

    @property
    def sha256(self) -> str:
        """The digest, in hex, of the bytes drawn so far."""
        return self._encoder.sha256 if self._encoder else ""

    def whole(self) -> bytes:
        """The answer, when it is complete."""
        return b"".join(chunk.content for chunk in self._held)

    def fits(self, before: Before) -> bool:
        """Whether this can be what left before, as far as it is drawn; the rest is held to it when it has been drawn."""
        if before.response is None or self.broken is not None:
            return True
        self.must_give = before.response
        return before.response == self.sha256 if self.complete else self.size <= (before.release.size or 0)

    def rest(self) -> Iterator[Chunk]:
        """All chunks, those held first; only for a call that was charged.

        Problem ``idempotency.changed``, before the answer has ended, when this is not what left before.
        """
        assert self._encoder is not None
        self._charged = True
        held, self._held = self._held, []
        yield from held
        for content in self._encoder:
            yield Chunk(content, self.rows)
        if self.must_give is not None and self.must_give != self.sha256:
            raise Problem(CHANGED, "the data are not those that left before")

    def close(self) -> None:
        """Give the scanning process back."""
        if self._scan is not None:
            self._scan.close()

    def _fill(self, encoder: Encoder, most: int) -> None:
        for content in encoder:
            self._held.append(Chunk(content, encoder.rows))
            if encoder.bytes > most:
                return
        self.complete = True
        self.close()

    def _while_live(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass batches on while the right to call lasts; what ends it stops the release within one batch.

        Before the charge nothing needs to be asked: its commit looks itself.
        """
        for batch in batches:
            why = self._gateway.why_ended(self._call, self._grant, self._chain) if self._charged else None
            if why is not None:
                raise Problem(why, "what permitted the call ended while its data were leaving")
            yield batch


@dataclass(frozen=True, slots=True)
class Charged:
    """A call that was charged: its release, the evidence of its decision, and its answer.

    ``outcomes``: how often the release ended before. ``repeated``: it was done before, and its data go out once more
    without touching its record.
    """

    release: Release
    evidence: Evidence
    draft: Draft
    outcomes: int
    repeated: bool


def stream(gateway: Gateway, charged: Charged) -> Generator[bytes]:
    """The bytes of an answer too large to hold; moves its release to done or aborted and logs the outcome."""
    draft, release, left = charged.draft, charged.release, Left()
    try:
        for chunk in draft.rest():
            left.add(chunk)
            yield chunk.content
    except BaseException as broken:
        if isinstance(broken, ScanError | SourceError):
            _tell_operator(parse_asset(release.asset), release.version, broken)
        if not charged.repeated:
            reason = reason_of(broken)
            over = _ended(release, "aborted", gateway.now(), left, None, charged.outcomes, reason)
            _finish(gateway, over)
        raise
    finally:
        draft.close()
    if not charged.repeated:
        _finish(gateway, ended(release, draft, gateway.now(), charged.outcomes))


def reason_of(broken: BaseException) -> str:
    """The code of what stopped an answer, for its entry: nothing more is said of a scan than that it failed. Empty when
    the reader went away."""
    if isinstance(broken, SourceChanged | Problem):
        return broken.code
    return "scan.failed" if isinstance(broken, ScanError | SourceError) else ""


def _tell_operator(asset: int, version: int | None, broken: ScanError | SourceError) -> None:
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


def ended(release: Release, draft: Draft, now: datetime, before: int) -> tuple[Release, NewEntry]:
    """A release whose draft is complete, with the entry of its outcome; it ended ``before`` times already."""
    digest = commit(RESPONSE, draft.sha256, draft.subject)
    return _ended(release, "done", now, Left(draft.rows, draft.size), digest, before)


def abort_orphans(gateway: Gateway) -> int:
    """At start-up: releases that a stopped gateway left unfinished become aborted, each with its entry. Digests that an
    earlier version left in the clear are deleted."""
    gateway.commit(lambda connection: JobResult(releases.drop_plain_digests(connection)))
    with gateway.reading.connect() as connection:
        left = releases.orphans(connection)
    for release in left:
        before = outcomes_of(gateway, release)[0]
        _finish(gateway, _ended(release, "aborted", gateway.now(), None, None, before))
    return len(left)


def _finish(gateway: Gateway, ended: tuple[Release, NewEntry]) -> None:
    over, entry = ended

    def job(connection: Connection) -> JobResult[None]:
        releases.end(connection, over)
        return JobResult(None, [entry])

    gateway.commit(job)


def _version_of(release: Release) -> dict[str, str | int]:
    """Which version was read; nothing for a release of before that was kept."""
    if release.version is None or release.metadata_hash is None:
        return {}
    return {"version": release.version, "metadata": release.metadata_hash}


def _ended(
    release: Release,
    state: releases.State,
    now: datetime,
    left: Left | None,
    digest: Opening | None,
    before: int,
    reason: str = "",
) -> tuple[Release, NewEntry]:
    """``left`` is None when nobody knows what left; then neither record nor entry says a number."""
    event = Event(
        id=outcome_id(release, before),
        type=f"gateway:release:{state}",
        time=now,
        department=release.department,
        service=release.key_id,
        asset=release.asset,
        grant=release.grant_id,
        purpose=release.purpose,
        reasons=(reason,) if reason else (),
        counts={"rows": left.rows, "bytes": left.size} if left else {},
        commitments={digest.name: digest.digest} if digest else {},
        facts={"release": release.id} | _version_of(release),
    )
    over = replace(
        release,
        state=state,
        finished_at=now,
        rows=left.rows if left else None,
        size=left.size if left else None,
        digest=digest.digest if digest else None,
    )
    return over, NewEntry(event, (digest,) if digest else (), fresh=True)
