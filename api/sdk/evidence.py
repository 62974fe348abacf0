"""Checks whether a receipt is about the call that was just sent.

A valid receipt proves only that its entry is in the log: a service could return the receipt of an earlier call
again. So one function checks every receipt of an answer before it is returned: against the call (the entry commits
to its digest, and the answer discloses that commitment), or, for acts, against the act, because acts carry their
officers' signatures and no caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from api.protocol.http_signatures import CALL
from api.sdk.errors import AnswerRefused
from api.sdk.transport import Sent
from ledger.audit.formats.disclosures import DisclosureInvalid, opened
from ledger.audit.verify.receipts import Receipt

NEAR = timedelta(minutes=5)
"""The largest difference between an entry's time and the caller's clock."""


@dataclass(frozen=True, slots=True)
class About:
    """What an entry must say to be about something.

    ``says`` maps members of the entry to their values: ``facts.release`` is a member of ``facts``; a tuple lists
    the permitted values. ``sent`` is the call that the entry must commit to, if it is about a call.
    """

    says: Mapping[str, object] = field(default_factory=dict)
    sent: Sent | None = None


def must_be_about(receipt: Receipt, about: About, disclosure: object = None) -> None:
    """Raise AnswerRefused unless the receipt's entry matches ``about``. ``disclosure`` opens its commitment to the
    call."""
    entry = receipt.event
    for name, wanted in about.says.items():
        if (found := member(entry, name)) != wanted and not (isinstance(wanted, tuple) and found in wanted):
            raise AnswerRefused(f"the receipt is about something else: its entry has another {name}")
    if about.sent is not None:
        _must_commit_to(entry, about.sent, disclosure)


def member(entry: Mapping[str, Any], name: str) -> Any:
    """A member of an entry, also of a nested object (``facts.release``); None if it is absent."""
    outer, _, inner = name.partition(".")
    value = entry.get(outer)
    if not inner:
        return value
    return value.get(inner) if isinstance(value, Mapping) else None


def _must_commit_to(entry: Mapping[str, Any], sent: Sent, disclosure: object) -> None:
    if sent.digest is None or entry.get("service") != sent.key_id:
        raise AnswerRefused("the receipt is about the call of another key")
    try:
        digest = opened(entry, CALL, disclosure)
    except DisclosureInvalid as invalid:
        raise AnswerRefused(f"the receipt is not shown to be about this call: {invalid.message}") from invalid
    if digest != sent.digest:
        raise AnswerRefused("the receipt is about another call")
    try:
        away = abs(datetime.fromisoformat(entry["time"]) - sent.at)
    except (KeyError, TypeError, ValueError) as malformed:
        raise AnswerRefused("the receipt's entry states no time") from malformed
    if away > NEAR:
        raise AnswerRefused(f"the receipt's entry states a time {away} away from that of the call")
