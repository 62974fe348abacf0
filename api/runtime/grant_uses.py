"""How often grants were used: by the table of charges, by the log, and by the uncommitted transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from api.runtime.batch_charges import BatchCharges
from ledger.grants.uses_in_log import UsesInLog
from ledger.releases import Charges, charge, used


@dataclass(frozen=True, slots=True)
class GrantUses:
    """The uses of grants. ``in_log`` counts the uses in the log's entries."""

    in_log: UsesInLog
    batch: BatchCharges = field(default_factory=BatchCharges)

    def of(self, connection: Connection, grants: Collection[str]) -> dict[str, Charges]:
        """Uses so far per grant: those charged, and at least those in the log and in this transaction; grants
        without uses are absent."""
        self.in_log.follow(connection)
        found, logged = used(connection, sorted(grants)), self.in_log.of(grants)
        totals: dict[str, Charges] = {}
        for grant in grants:
            known = (found.get(grant), logged.get(grant), self.batch.of(connection, grant))
            if some := [one for one in known if one is not None]:
                totals[grant] = Charges(max(one.used for one in some), min(one.first for one in some))
        return totals

    def below(self, grant: str) -> frozenset[str]:
        """The grants that were delegated from this one, by the log."""
        return self.in_log.below(grant)

    def charge(self, connection: Connection, grant: str, most: int, now: datetime, on_chain: int) -> bool:
        """Charge one use in the writer's transaction; False if ``most`` are used. ``on_chain`` is the number
        recorded on chain."""
        known = self.of(connection, [grant]).get(grant)
        before = max(on_chain, known.used if known else 0)
        total = charge(connection, grant, most, now, spent=before)
        if total is None:
            return False
        self.batch.note(connection, grant, max(total, before + 1), now)
        return True
