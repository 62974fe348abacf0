"""What makes an entry one about the very call that caused it, and how the caller is shown so.

The entry commits, salted, to the digest of the call; the answer discloses it to the caller alone. So a leaf says
nothing about a call to who does not know it, and a receipt is about this call or about none.
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
    """A receipt with the disclosure that shows its entry to be about the call."""

    receipt: Receipt
    call: Opening

    def members(self) -> dict[str, Any]:
        """For an answer's or a problem's document."""
        return {"receipt": str(self.receipt), CALL: self.call.disclosure}


def commit_to(call: SignedCall) -> Opening:
    """A fresh commitment to a call."""
    return commit(CALL, call.digest)


def entry_about(event: Event, call: Opening, *openings: Opening, fresh: bool = True) -> NewEntry:
    """An event as the entry that commits to a call, and to whatever else it has openings of."""
    every = (call, *openings)
    commitments = dict(event.commitments) | commitments_of(every)
    return NewEntry(replace(event, commitments=commitments), every, fresh=fresh)
