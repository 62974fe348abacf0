"""Evidence that an audit entry is about one call, for the caller.

The entry contains a salted commitment to the digest of the call, and the answer discloses it to the caller
only. So a leaf reveals nothing about a call to others, and a receipt proves the entry of exactly this call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from api.protocol.http_signatures import CALL
from api.runtime.signed_call import SignedCall
from ledger.audit.formats.events import Event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.openings import Opening, commit, commitments_of
from ledger.audit.verify.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Evidence:
    """A receipt with the disclosure that shows that its entry is about the call."""

    receipt: Receipt
    call: Opening

    def members(self) -> dict[str, Any]:
        """The members for an answer or a problem document."""
        return {"receipt": str(self.receipt), CALL: self.call.disclosure}


def commit_to(call: SignedCall) -> Opening:
    """A fresh commitment to a call."""
    return commit(CALL, call.digest)


def entry_about(event: Event, call: Opening, *openings: Opening, fresh: bool = True) -> NewEntry:
    """An event as an entry that commits to a call and to the values of the other openings."""
    every = (call, *openings)
    commitments = dict(event.commitments) | commitments_of(every)
    return NewEntry(replace(event, commitments=commitments), every, fresh=fresh)
