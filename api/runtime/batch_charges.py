"""What was charged in a transaction of the writer that is not committed yet.

The calls of one commit charge before any of them is in the log. The table of charges has them, and a trigger that somebody
planted in the database can undo that at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ledger.releases import Charges


class BatchCharges:
    """The charges of the writer's present transaction. For its one thread; others find nothing."""

    def __init__(self) -> None:
        self._transaction: Any = None
        self._charged: dict[str, Charges] = {}

    def of(self, connection: Connection, grant: str) -> Charges | None:
        """What a grant was charged up to in this transaction; None when it was not."""
        here = connection.get_transaction()
        return self._charged.get(grant) if here is not None and here is self._transaction else None

    def note(self, connection: Connection, grant: str, total: int, now: datetime) -> None:
        """A grant was charged up to this total."""
        here = connection.get_transaction()
        if here is not self._transaction:
            self._transaction, self._charged = here, {}
        known = self._charged.get(grant)
        self._charged[grant] = Charges(total, known.first if known else now)
