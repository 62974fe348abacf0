"""PostgreSQL connections with a time limit for each statement.

After a crash of the server's machine, a hanging disk, or a firewall that dropped the connection, the server sends nothing and
the connection remains open; libpq would wait for hours. With `SOCKET` the operating system ends a connection to a machine
that is gone. A connection to a server that does not answer is closed after `ANSWER_S`; it fails like an interrupted one, and
the pool opens another.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

ANSWER_S = 120.0
"""The time limit of one statement in seconds. A role's ``statement_timeout`` may be shorter."""

SOCKET = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES; values in the URL have priority."""


class AnsweringConnection(psycopg.Connection[Any]):
    """A connection that is closed, with an `OperationalError`, when a statement has no answer after `ANSWER_S` seconds."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """psycopg's ``wait`` with `ANSWER_S` as the default of ``timeout``."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, ANSWER_S)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {ANSWER_S:g} seconds") from None
