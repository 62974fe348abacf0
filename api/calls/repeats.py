"""Calls that are repeated with their idempotency key.

A key is bound to one release: to the request, the version of the data, the grant and the plan of its first
use. The entry of the first decision commits to them, in an opening that is deleted when the data subject is
erased. In the same way the entry of the outcome commits to the bytes that were sent. The table of releases
holds no digest that could be guessed. A repeat is decided again, logged again and not charged; it returns the
same bytes or is refused.
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
"""The name of the commitment, in the entry of a decision, to what its idempotency key is bound to."""

EXPIRED = "idempotency.expired"
CONFLICT = "idempotency.conflict"
CHANGED = "idempotency.changed"


@dataclass(frozen=True, slots=True)
class Again:
    """The idempotency key of a call in its stored form (`Repeats.kept_key`) and the digest of its request,
    which identify a repeat."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What an idempotency key is bound to: the SHA-256 of the request, the version of the asset and the hash
    of its catalogue entry (which has the SHA-256 of the file), the grant and the plan."""

    request: str
    version: int
    metadata: str
    grant: str
    plan: str

    def opening(self, subject: str) -> Opening:
        """The opening of the commitment in the entry of the first decision."""
        return commit(REQUEST, asdict(self), subject)


@dataclass(frozen=True, slots=True)
class Before:
    """The release that a key is bound to. ``decided`` is the time in the entry of its decision. ``bound`` is
    None if the opening was erased, has expired or was never made, or if the record differs from that entry;
    ``response`` is the SHA-256 (hex) of the bytes after they were sent; ``outcomes`` is how often the release
    has ended."""

    release: Release
    decided: datetime
    bound: Bound | None
    response: str | None
    outcomes: int

    def refuses(self, request: str, now: datetime, keep: timedelta) -> str | None:
        """The code of why the key cannot be used for this request, or None. A key is refused after its
        retention time and if it is no longer known what it was bound to."""
        forgotten = self.bound is None or (self.release.state == "done" and self.response is None)
        if forgotten or now - self.decided > keep:
            return EXPIRED
        return None if self.bound is not None and self.bound.request == request else CONFLICT


@dataclass(frozen=True, slots=True)
class Repeats:
    """Finds earlier calls in the log. Idempotency keys are hashed with ``secret`` (32 bytes); ``keep`` is how
    long a key can be repeated."""

    log: AuditLog
    vault: OpeningVault
    secret: bytes = field(repr=False)
    keep: timedelta

    def before(self, connection: Connection, key_id: str, key: str) -> Before | None:
        """What an idempotency key is bound to; None if it was never used."""
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
        """The entry of a release's decision; None if it is archived or differs from the record."""
        try:
            entry = self.log.proven_in(connection, UUID(release.entry_id))
        except ValueError:
            return None
        if entry is None or entry.facts.get("release", release.id) != release.id:
            return None
        logged = (entry.decision, entry.service, entry.department, entry.asset, entry.grant, entry.purpose)
        kept = (release.key_id, release.department, release.asset, release.grant_id, release.purpose)
        return entry if logged == ("permit", *kept) else None

    def kept_key(self, key_id: str, key: str) -> str:
        """The stored form of an idempotency key: a keyed hash. A key may contain personal data, and rows of
        releases are not erased."""
        text = f"civic idempotency key\0{key_id}\0{key}".encode()
        return hmac.digest(self.secret, text, "sha256").hex()

    def outcomes_of(self, connection: Connection, release: Release) -> tuple[int, UUID | None]:
        """How often a release has ended, and the id of the entry of its last outcome."""
        count = 0
        while self.log.find_in(connection, outcome_id(release, count)) is not None:
            count += 1
        return count, outcome_id(release, count - 1) if count else None

    def opening_of(self, connection: Connection, entry: UUID, name: str) -> Opening | None:
        """The opening of this name of an entry; None if it was erased, has expired or was never made."""
        index = self.log.find_in(connection, entry)
        return None if index is None else self.vault.openings(connection, index).get(name)

    def _opened(self, connection: Connection, entry: UUID, name: str) -> Any:
        found = self.opening_of(connection, entry, name)
        return None if found is None else found.value


def outcome_id(release: Release, before: int) -> UUID:
    """The id of the entry of a release's outcome, if the release has already ended ``before`` times.

    It is the id of the decision's entry plus a number. 74 bits of that id are random, so one id is found from
    the other, and neither can be guessed.
    """
    return UUID(int=UUID(release.entry_id).int + 1 + before)


def request_digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 (hex) of the members of a request, which identifies it. It is used only in a commitment."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
