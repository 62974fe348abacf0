"""Letting data out under a charge: the plan runs, revocation is looked at between batches, the outcome is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from access_policy.decision import Permit
from access_policy.privacy.encoding import MEDIA_TYPES, AnswerFormat, Encoder
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.scanner import ScanError
from access_policy.privacy.source import SourceError
from api.acts.decisions import Decided
from api.gateway import Gateway
from api.problems import Problem
from ledger import releases
from ledger.audit.append import NewEntry
from ledger.audit.events import Event, new_event_id
from ledger.audit.openings import commit
from ledger.audit.receipts import Receipt
from ledger.audit.writer import JobResult
from ledger.releases import Release

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Charged:
    """A call that was charged: its release and the receipt of its decision.

    ``repeated``: the release was done before, and its data go out once more without touching its record.
    """

    release: Release
    receipt: Receipt
    decided: Decided
    repeated: bool

    def media_type(self, answer: AnswerFormat) -> str:
        """The Content-Type of the answer."""
        return MEDIA_TYPES[answer]


def run_release(gateway: Gateway, charged: Charged, answer: AnswerFormat) -> Iterator[bytes]:
    """The bytes of a release; moves it to done or aborted and logs the outcome.

    A repeated call (same idempotency key) runs the same plan again under the same release, without a charge.
    """
    decided, release = charged.decided, charged.release
    plan = decided.plan
    if plan is None or not isinstance(decided.outcome, Permit) or decided.outcome.grant != release.grant_id:
        raise Problem("release.unavailable", "the grant of this release does not permit the call any more")
    key = derive_grant_key(gateway.pseudonym_secret, release.grant_id) if plan.needs_key else None
    encoder: Encoder | None = None
    announced = charged.repeated or release.state == "streaming"
    try:
        with gateway.scanner.scan(plan, decided.shelf.source, key) as scan:
            encoder = Encoder(_while_live(gateway, decided, scan), scan.schema, answer)
            for chunk in encoder:
                if not announced and encoder.bytes > gateway.settings.buffer_bytes:
                    gateway.commit(partial(_move, release.id, "streaming"))
                    announced = True
                yield chunk
    except BaseException as broken:
        if not charged.repeated:
            _finish(gateway, release, "aborted", encoder)
        if isinstance(broken, ScanError | SourceError):
            _log.warning("release %s aborted: %s", release.id, broken.code)
            raise Problem("scan.failed", "the data could not be read", {"release": release.id}) from broken
        raise
    if not charged.repeated:
        _finish(gateway, release, "done", encoder)


def abort_orphans(gateway: Gateway) -> int:
    """At start-up: releases that a stopped gateway left unfinished become aborted, each with its entry."""
    with gateway.reading.connect() as connection:
        left = releases.orphans(connection)
    for release in left:
        _finish(gateway, release, "aborted", None)
    return len(left)


def _move(release_id: str, state: releases.State, connection: Connection) -> JobResult[None]:
    releases.move(connection, release_id, state)
    return JobResult(None)


def _finish(gateway: Gateway, release: Release, state: releases.State, encoder: Encoder | None) -> None:
    now = gateway.now()
    digest = commit("response", encoder.sha256) if encoder is not None and state == "done" else None
    rows, size = (encoder.rows, encoder.bytes) if encoder is not None else (0, 0)
    event = Event(
        id=new_event_id(),
        type=f"gateway:release:{state}",
        time=now,
        department=release.department,
        service=release.key_id,
        asset=release.asset,
        grant=release.grant_id,
        purpose=release.purpose,
        counts={"rows": rows, "bytes": size},
        commitments={digest.name: digest.digest} if digest else {},
        facts={"release": release.id},
    )

    def job(connection: Connection) -> JobResult[None]:
        releases.move(
            connection,
            release.id,
            state,
            now=now,
            rows=rows,
            size=size,
            digest=encoder.sha256 if digest and encoder else None,
        )
        return JobResult(None, [NewEntry(event, (digest,) if digest else ())])

    gateway.commit(job)


def _while_live(gateway: Gateway, decided: Decided, batches: Iterator[Any]) -> Iterator[Any]:
    """Pass batches on while the grant stands; a revocation stops the release within one batch."""
    assert isinstance(decided.outcome, Permit)
    grant = decided.outcome.grant
    for number, batch in enumerate(batches):
        if number and not gateway.still_live(grant):
            raise Problem("grant.revoked", "the grant was revoked while its data were leaving")
        yield batch
