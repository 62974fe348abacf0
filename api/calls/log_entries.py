"""Single entries for an auditor: receipts, openings of commitments, and the entries about one person. Each
request is a logged look."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from api.calls.looks import Looks
from api.calls.readers import Readers, readers_of
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.audit.formats.errors import NoSuchEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.audit.outside.anchor import anchored_receipt
from ledger.audit.verify.receipts import Receipt
from ledger.ids import parse_asset


@dataclass(frozen=True, slots=True)
class LogEntries:
    """Shows entries to auditors. ``reading`` is the database without a write lock."""

    log: AuditLog
    vault: OpeningVault
    reading: Engine
    looks: Looks

    def receipt(self, call: SignedCall, index: int, *, anchored: bool) -> Receipt:
        """The receipt of an entry under the newest head; with ``anchored``, under the first anchored head
        that covers it.

        RefusedError ``caller.not-auditor``, ``not-found.entry``, ``not-found.anchor``.
        """
        own = self.looks.must_audit(call)
        try:
            found = anchored_receipt(self.log, index) if anchored else self.log.receipt(index)
        except NoSuchEntry as missing:
            raise _no_entry(index) from missing
        if found is None:
            raise RefusedError(
                "not-found.anchor", in_both("no head on chain covers entry {index} yet", index=index)
            )
        if own is not None and found.event.get("department") != own:
            raise RefusedError("caller.not-auditor", in_both("this key audits its own department only"))
        self.looks.note(call, "receipt", entry=index)
        return found

    def disclosures(self, call: SignedCall, index: int) -> dict[str, str]:
        """The disclosures of an entry by name, each of which opens one of its commitments, without the erased
        ones.

        RefusedError ``caller.not-auditor``, ``not-found.entry``.
        """
        self._must_open(call)
        if index >= self.log.size:
            raise _no_entry(index)
        self.looks.note(call, "openings", entry=index)
        with self.reading.connect() as connection:
            found = self.vault.openings(connection, index)
        return {name: opening.disclosure for name, opening in found.items()}

    def readers(self, call: SignedCall, asset: str, subject: str, *, after: int, limit: int) -> Readers:
        """The readers of the record of the person whose key is ``subject`` (`api.calls.readers`).

        RefusedError ``caller.not-auditor``; IdError if ``asset`` is not an asset id.
        """
        self._must_open(call)
        number = parse_asset(asset)
        self.looks.note(call, "readers")
        with self.reading.connect() as connection:
            return readers_of(self.log, self.vault, connection, number, subject, after=after, limit=limit)

    def _must_open(self, call: SignedCall) -> None:
        self.looks.must_audit_city(call, in_both("openings need a city-wide AUDITOR key"))


def _no_entry(index: int) -> RefusedError:
    return RefusedError("not-found.entry", in_both("the log has no entry {index}", index=index))
