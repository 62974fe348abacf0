"""Calls that come again under their idempotency key.

A key is bound to one release: for the request, the version of the data, the grant and the plan that it was first used
with. The first decision commits to them, in an opening that goes with the data subject's erasure, and so does the
outcome to the bytes that left; the table of releases holds nothing that could be guessed at. A repeat is decided anew,
logged anew and not charged; it gives the same bytes or is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from api.protocol.http_signatures import RESPONSE
from ledger import releases
from ledger.audit.formats.events import Event
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import Opening, OpeningVault, commit
from ledger.releases import Release

REQUEST = "request"
"""Under this name the entry of a decision commits to what its idempotency key is bound to."""

EXPIRED = "idempotency.expired"
CONFLICT = "idempotency.conflict"
CHANGED = "idempotency.changed"


@dataclass(frozen=True, slots=True)
class Again:
    """The idempotency key of a call as it is kept (`Repeats.kept_key`) and the digest of its request, by which it is known
    when it comes again."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What an idempotency key is bound to: SHA-256 of the request, version of the asset and hash of its catalogue entry
    (which names the file by its SHA-256), grant and plan."""

    request: str
    version: int
    metadata: str
    grant: str
    plan: str

    def opening(self, subject: str) -> Opening:
        """The commitment of the entry of the first decision."""
        return commit(REQUEST, asdict(self), subject)


@dataclass(frozen=True, slots=True)
class Before:
    """The release that a key is bound to. ``decided`` is when, by the entry of its decision. ``bound`` is None when the
    opening was erased, expired or never made, or the record is not what that entry says; ``response`` is the SHA-256 (hex)
    of the bytes that left, once they have; ``outcomes`` how often it ended."""

    release: Release
    decided: datetime
    bound: Bound | None
    response: str | None
    outcomes: int

    def refuses(self, request: str, now: datetime, keep: timedelta) -> str | None:
        """Why the key gives nothing for this request (a code), or None. A key is refused once its time is
        over, and once it is not known any more what it was bound to."""
        forgotten = self.bound is None or (self.release.state == "done" and self.response is None)
        if forgotten or now - self.decided > keep:
            return EXPIRED
        return None if self.bound is not None and self.bound.request == request else CONFLICT


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the log says of calls that were made before. ``secret`` (32 bytes) is what keys are hashed with, ``keep`` how long
    one gives its answer again."""

    log: AuditLog
    vault: OpeningVault
    secret: bytes = field(repr=False)
    keep: timedelta

    def before(self, connection: Connection, key_id: str, key: str) -> Before | None:
        """What an idempotency key is bound to; None when it was never used."""
        release = releases.find_by_idempotency(connection, key_id, key)
        if release is None:
            return None
        entry = self.entry_of(connection, release)
        opened = None if entry is None else self._opened(connection, entry.id, REQUEST)
        outcomes, last = self.outcomes_of(connection, release)
        response = None if last is None else self._opened(connection, last, RESPONSE)
        bound = Bound(**opened) if isinstance(opened, Mapping) else None
        return Before(release, entry.time if entry else release.charged_at, bound, response, outcomes)

    def entry_of(self, connection: Connection, release: Release) -> Event | None:
        """The entry of a release's decision; None when it is archived, or says something else than the record."""
        try:
            entry = self.log.proven_in(connection, UUID(release.entry_id))
        except ValueError:
            return None
        if entry is None or entry.facts.get("release", release.id) != release.id:
            return None
        told = (entry.decision, entry.service, entry.department, entry.asset, entry.grant, entry.purpose)
        kept = (release.key_id, release.department, release.asset, release.grant_id, release.purpose)
        return entry if told == ("permit", *kept) else None

    def kept_key(self, key_id: str, key: str) -> str:
        """What is kept of an idempotency key: a keyed hash. A caller may have written anything into it, a person's number
        too, and a row of releases is not erased."""
        told = f"civic idempotency key\0{key_id}\0{key}".encode()
        return hmac.digest(self.secret, told, "sha256").hex()

    def outcomes_of(self, connection: Connection, release: Release) -> tuple[int, UUID | None]:
        """How often a release has ended, and the entry of its last outcome."""
        count = 0
        while self.log.find_in(connection, outcome_id(release, count)) is not None:
            count += 1
        return count, outcome_id(release, count - 1) if count else None

    def opening_of(self, connection: Connection, entry: UUID, name: str) -> Opening | None:
        """The opening that is kept under a name for an entry; None when it was erased, expired or never made."""
        index = self.log.find_in(connection, entry)
        return None if index is None else self.vault.openings(connection, index).get(name)

    def _opened(self, connection: Connection, entry: UUID, name: str) -> Any:
        found = self.opening_of(connection, entry, name)
        return None if found is None else found.value


def outcome_id(release: Release, before: int) -> UUID:
    """The id of the entry of a release's outcome, when it has ended ``before`` times already.

    It follows the id of the decision's entry, of which 74 bits are random: so one is found from the other, and neither
    can be guessed.
    """
    return UUID(int=UUID(release.entry_id).int + 1 + before)


def request_digest(document: Mapping[str, Any]) -> str:
    """What tells one request from another: SHA-256 (hex) of its members. It enters a commitment and nothing else."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
