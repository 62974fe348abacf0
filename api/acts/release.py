"""Letting data out: an answer is drawn up to what is held, charged, and only then leaves.

What fits into the buffer is complete before anything is committed, so that charge, decision and outcome are one
commit. What is larger is charged first and then streams: revocation is looked at between batches, and the outcome
has a commit of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from access_policy.decision import Permit
from access_policy.privacy.encoding import MEDIA_TYPES, AnswerFormat, Encoder
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.scanner import Scan, ScanError
from access_policy.privacy.source import SourceChanged, SourceError
from api.acts.decisions import Decided
from api.acts.evidence import Evidence
from api.acts.repeats import CHANGED, Before, outcome_id, outcomes_of
from api.gateway import Gateway
from api.problems import Problem
from api.sdk.wire import RESPONSE
from ledger import releases
from ledger.audit.append import NewEntry
from ledger.audit.events import Event
from ledger.audit.openings import commit
from ledger.audit.writer import JobResult
from ledger.ids import asset_text, parse_asset
from ledger.releases import Release

_log = logging.getLogger(__name__)


class Draft:
    """The answer to a permitted call, drawn up to ``buffer_bytes``; nothing of it has left.

    ``complete`` says that ``held`` is all of it, ``broken`` what stopped it (constant text, no data). ``subject`` is
    whose data they are. ``must_give`` is the SHA-256 that its bytes must have, when they left before. Close it when it
    is not sent.
    """

    def __init__(self, gateway: Gateway, decided: Decided, answer: AnswerFormat, subject: str) -> None:
        assert isinstance(decided.outcome, Permit)
        assert decided.plan is not None
        self._gateway, self._grant = gateway, decided.outcome.grant
        self._chain = decided.at_hand.chains[self._grant]
        self.media_type, self.subject = MEDIA_TYPES[answer], subject
        self.must_give: str | None = None
        self.held: list[bytes] = []
        self.complete = False
        self.broken: ScanError | SourceError | None = None
        self._charged = False
        self._scan: Scan | None = None
        self._encoder: Encoder | None = None
        plan = decided.plan
        key = derive_grant_key(gateway.pseudonym_secret, self._grant) if plan.needs_key else None
        try:
            self._scan = gateway.scanner.scan(plan, decided.shelf.source, key)
            self._encoder = Encoder(self._while_live(self._scan), self._scan.schema, answer)
            self._fill(self._encoder, gateway.settings.buffer_bytes)
        except (ScanError, SourceError) as broken:
            self.broken = broken
            if isinstance(broken, SourceChanged):
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

    @property
    def state(self) -> releases.State:
        """What becomes of the release when it is charged now."""
        if self.broken is not None:
            return "aborted"
        return "done" if self.complete else "streaming"

    def fits(self, before: Before) -> bool:
        """Whether this can be what left before, as far as it is drawn; the rest is held to it when it has been drawn."""
        if before.response is None or self.broken is not None:
            return True
        self.must_give = before.response
        return before.response == self.sha256 if self.complete else self.size <= (before.release.size or 0)

    def rest(self) -> Iterator[bytes]:
        """All chunks, those held first; only for a call that was charged.

        Problem ``idempotency.changed``, before the answer has ended, when this is not what left before.
        """
        assert self._encoder is not None
        self._charged = True
        yield from self.held
        self.held = []
        yield from self._encoder
        if self.must_give is not None and self.must_give != self.sha256:
            raise Problem(CHANGED, "the data are not those that left before")

    def close(self) -> None:
        """Give the scanning process back."""
        if self._scan is not None:
            self._scan.close()

    def _fill(self, encoder: Encoder, most: int) -> None:
        for chunk in encoder:
            self.held.append(chunk)
            if encoder.bytes > most:
                return
        self.complete = True
        self.close()

    def _while_live(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass batches on while the grant stands; a revocation stops the release within one batch.

        Before the charge nothing needs to be asked: its commit looks itself.
        """
        for batch in batches:
            if self._charged and not self._gateway.still_live(self._grant, self._chain):
                raise Problem("grant.revoked", "the grant was revoked while its data were leaving")
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


def stream(gateway: Gateway, charged: Charged) -> Iterator[bytes]:
    """The bytes of an answer too large to hold; moves its release to done or aborted and logs the outcome."""
    draft, release = charged.draft, charged.release
    try:
        yield from draft.rest()
    except BaseException as broken:
        if isinstance(broken, SourceChanged):
            _tell_operator(parse_asset(release.asset), release.version, broken)
        if not charged.repeated:
            reasons = (broken.code,) if isinstance(broken, SourceChanged) else ()
            _finish(gateway, release, "aborted", draft, charged.outcomes, reasons)
        if isinstance(broken, ScanError | SourceError):
            raise scan_failed(release, broken, charged.evidence) from broken
        raise
    finally:
        draft.close()
    if not charged.repeated:
        _finish(gateway, release, "done", draft, charged.outcomes)


def scan_failed(release: Release, broken: ScanError | SourceError, evidence: Evidence) -> Problem:
    """What the caller is told of a scan that broke off; the operator's log has its kind."""
    _log.warning("release %s aborted: %s", release.id, broken.code)
    members = {"release": release.id, **evidence.members()}
    return Problem("scan.failed", "the data could not be read", members)


def _tell_operator(asset: int, version: int | None, changed: SourceChanged) -> None:
    _log.error(
        "asset %s, version %s: %s; put back the signed file, and look at the others with: civic audit fsck",
        asset_text(asset),
        version,
        changed,
    )


def ended(release: Release, draft: Draft, now: datetime, before: int) -> tuple[Release, NewEntry]:
    """A release whose draft is complete or broken, with the entry of its outcome; it ended ``before`` times already."""
    return _outcome(release, draft.state, now, draft, before)


def abort_orphans(gateway: Gateway) -> int:
    """At start-up: releases that a stopped gateway left unfinished become aborted, each with its entry. Digests that an
    earlier version left in the clear are deleted."""
    gateway.commit(lambda connection: JobResult(releases.drop_plain_digests(connection)))
    with gateway.reading.connect() as connection:
        left = releases.orphans(connection)
    for release in left:
        _finish(gateway, release, "aborted", None, outcomes_of(gateway, release)[0])
    return len(left)


def _finish(
    gateway: Gateway,
    release: Release,
    state: releases.State,
    draft: Draft | None,
    before: int,
    reasons: tuple[str, ...] = (),
) -> None:
    over, entry = _outcome(release, state, gateway.now(), draft, before, reasons)

    def job(connection: Connection) -> JobResult[None]:
        releases.end(connection, over)
        return JobResult(None, [entry])

    gateway.commit(job)


def _version_of(release: Release) -> dict[str, str | int]:
    """Which version was read; nothing for a release of before that was kept."""
    if release.version is None or release.metadata_hash is None:
        return {}
    return {"version": release.version, "metadata": release.metadata_hash}


def _outcome(
    release: Release,
    state: releases.State,
    now: datetime,
    draft: Draft | None,
    before: int,
    reasons: tuple[str, ...] = (),
) -> tuple[Release, NewEntry]:
    done = draft is not None and state == "done"
    digest = commit(RESPONSE, draft.sha256, draft.subject) if done and draft else None
    rows, size = (draft.rows, draft.size) if draft is not None else (0, 0)
    event = Event(
        id=outcome_id(release, before),
        type=f"gateway:release:{state}",
        time=now,
        department=release.department,
        service=release.key_id,
        asset=release.asset,
        grant=release.grant_id,
        purpose=release.purpose,
        reasons=reasons,
        counts={"rows": rows, "bytes": size},
        commitments={digest.name: digest.digest} if digest else {},
        facts={"release": release.id} | _version_of(release),
    )
    over = replace(
        release,
        state=state,
        finished_at=now,
        rows=rows,
        size=size,
        digest=digest.digest if digest else None,
    )
    return over, NewEntry(event, (digest,) if digest else (), fresh=True)
