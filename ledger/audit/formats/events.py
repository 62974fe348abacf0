"""The event: the content of one entry of the log, and its canonical bytes.

Canonical bytes are RFC 8785 (JCS). ``orjson`` with sorted keys writes the same bytes as long as keys are ASCII,
integers are below 2^53 and there are no floats; an event outside these limits is refused. An event holds no personal
or sensitive value, only a salted digest of it (see `ledger.audit.log.openings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time_ns
from typing import Any, Literal
from uuid import UUID

import orjson

from ledger.audit.formats.entropy import random_block
from ledger.audit.formats.errors import EventInvalid

SCHEMA_VERSION = 1

MAX_LEAF = 65_535
"""The most bytes of one event: an entry bundle of tlog-tiles states the length of an entry in 16 bits."""

MAX_INTEGER = (1 << 53) - 1

Decision = Literal["permit", "deny"]

_TYPE = re.compile(r"[a-z0-9_-]{1,40}:[a-z0-9_-]{1,40}:[a-z0-9_-]{1,40}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,80}", re.ASCII)
_HEX32 = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_ASSET = re.compile(r"[1-9]\d{0,7}\.[1-9]\d{0,12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One logged event. Absent fields do not appear in the canonical bytes.

    ``id`` makes appending idempotent. ``type`` is ``source:subject:action``, such as ``gateway:read:decided``.
    ``department`` is the department that acts (a uint24, 0 for the installation itself); ``service`` (key id) or
    ``officer`` (address) names the actor within it. ``asset`` is written ``7.12``; grants, ``terms_hash`` and
    ``plan_hash`` are 0x and 64 hex digits. ``plan_hash`` must be of the plan *without its literals*.
    ``commitments`` maps a name to the digest of an opening. ``facts`` holds public values only: ids, block and
    transaction numbers, never a value from a dataset.
    """

    id: UUID
    type: str
    time: datetime
    department: int = 0
    service: str | None = None
    officer: str | None = None
    asset: str | None = None
    grant: str | None = None
    candidates: tuple[str, ...] = ()
    decision: Decision | None = None
    reasons: tuple[str, ...] = ()
    engine: str | None = None
    terms_hash: str | None = None
    plan_hash: str | None = None
    purpose: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    commitments: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def actor(self) -> str | None:
        """The key that acted: the service or the officer."""
        return self.service or self.officer

    @property
    def microseconds(self) -> int:
        """The event's time in microseconds since 1970-01-01 UTC."""
        since = self.time - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def canonical(self) -> bytes:
        """The leaf: the event as RFC 8785 bytes, at most `MAX_LEAF`. Raises `EventInvalid`."""
        self._check()
        body: dict[str, Any] = {
            "v": SCHEMA_VERSION,
            "id": str(self.id),
            "type": self.type,
            "time": _stamp(self.time),
            "department": self.department,
        }
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if self.candidates:
            body["candidates"] = self.candidates
        if self.reasons:
            body["reasons"] = self.reasons
        if self.counts:
            body["counts"] = self.counts
        if self.commitments:
            body["commitments"] = self.commitments
        if self.facts:
            body["facts"] = self.facts
        try:
            leaf = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            raise EventInvalid(f"the event cannot be written as JSON: {error}") from error
        if len(leaf) > MAX_LEAF:
            raise EventInvalid(f"the event has {len(leaf)} bytes, at most {MAX_LEAF} are allowed")
        return leaf

    def _check(self) -> None:
        if not _TYPE.fullmatch(self.type):
            raise EventInvalid(f"not a type: {self.type!r}", hint="write source:subject:action in lower case")
        if self.time.tzinfo is not UTC and self.time.utcoffset() != _ZERO:
            raise EventInvalid("the time of an event is UTC")
        if not 0 <= self.department < 1 << 24:
            raise EventInvalid("a department has 24 bits")
        if self.decision not in (None, "permit", "deny"):
            raise EventInvalid(f"a decision is permit or deny, not {self.decision!r}")
        if self.asset is not None and not _ASSET.fullmatch(self.asset):
            raise EventInvalid(
                f"not an asset: {self.asset!r}", hint="write department.sequence, such as 7.12"
            )
        for name in ("grant", "terms_hash", "plan_hash"):
            value = getattr(self, name)
            if value is not None and not _HEX32.fullmatch(value):
                raise EventInvalid(f"{name} is 0x and 64 lower-case hex digits")
        for candidate in self.candidates:
            if not _HEX32.fullmatch(candidate):
                raise EventInvalid("a candidate grant is 0x and 64 lower-case hex digits")
        for name, count in self.counts.items():
            _check_key(name)
            if type(count) is not int or not 0 <= count <= MAX_INTEGER:
                raise EventInvalid(f"the count {name} is not an integer from 0 to 2^53 - 1")
        for name, digest in self.commitments.items():
            _check_key(name)
            if not _DIGEST.fullmatch(digest):
                raise EventInvalid(f"the commitment {name} is not a salted SHA-256 digest (base64url)")
        for name, fact in self.facts.items():
            _check_key(name)
            if type(fact) is int:
                if abs(fact) > MAX_INTEGER:
                    raise EventInvalid(f"the fact {name} exceeds 2^53 - 1", hint="write it as text")
            elif type(fact) is not str and type(fact) is not bool:
                raise EventInvalid(f"the fact {name} is neither text, integer nor truth value")


_TEXTS = (
    "service", "officer", "asset", "grant", "decision", "engine", "terms_hash", "plan_hash", "purpose",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = UTC.utcoffset(None)


def _check_key(name: str) -> None:
    if not _KEY.fullmatch(name):
        raise EventInvalid(f"not a name: {name!r}", hint="ASCII letters, digits and _.:- only")


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def new_event_id() -> UUID:
    """A UUIDv7 (RFC 9562): milliseconds, then 74 random bits.

    Ids of the same time are neighbours in the database index, so a batch writes few index pages. Random ids would
    write one page each once the log is large.
    """
    raw = (time_ns() // 1_000_000).to_bytes(6, "big") + random_block()[:10]
    number = int.from_bytes(raw, "big")
    number = (number & ~(0xF000 << 64)) | (0x7000 << 64)
    return UUID(int=(number & ~(0xC000 << 48)) | (0x8000 << 48))


def read_event(leaf: bytes) -> Event:
    """The event of a leaf. Raises `EventInvalid` unless the leaf is the event's canonical form."""
    try:
        body = orjson.loads(leaf)
        if type(body) is not dict or body.pop("v") != SCHEMA_VERSION:
            raise EventInvalid("the leaf is not an event of schema version 1")
        event = Event(
            id=UUID(body.pop("id")),
            time=datetime.fromisoformat(body.pop("time")),
            candidates=tuple(body.pop("candidates", ())),
            reasons=tuple(body.pop("reasons", ())),
            **body,
        )
        again = event.canonical()
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise EventInvalid(f"the leaf is not an event: {error}") from error
    if again != leaf:
        raise EventInvalid("the leaf is not in canonical form")
    return event
