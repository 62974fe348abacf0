"""The charges of the writer's present, uncommitted transaction.

The calls of one commit are charged before any of them is in the log. The table of charges has them, but a trigger
that an attacker created in the database could undo that at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ledger.releases import Charges


class BatchCharges:
    """The charges of the writer's present transaction, for its one thread; other threads see none."""

    def __init__(self) -> None:
        self._transaction: Any = None
        self._charged: dict[str, Charges] = {}

    def of(self, connection: Connection, grant: str) -> Charges | None:
        """The total that a grant was charged in this transaction; None if it was not."""
        here = connection.get_transaction()
        return self._charged.get(grant) if here is not None and here is self._transaction else None

    def note(self, connection: Connection, grant: str, total: int, now: datetime) -> None:
        """Record that a grant was charged up to this total."""
        here = connection.get_transaction()
        if here is not self._transaction:
            self._transaction, self._charged = here, {}
        known = self._charged.get(grant)
        self._charged[grant] = Charges(total, known.first if known else now)
