"""Connections to a PostgreSQL that may fall silent: no statement waits without end.

A server whose machine vanished, whose disk hangs, or behind a firewall that forgot the connection sends nothing more and closes
nothing. libpq then waits for hours. Here the system ends a connection whose other end is gone (`SOCKET`), and a connection whose
server is there and does not answer is given up after `ANSWER_S`: it fails like one that was cut, and the pool makes another one.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

ANSWER_S = 120.0
"""The longest that one statement may take. A role's ``statement_timeout`` may be shorter."""

SOCKET = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES; what a URL says itself comes first."""


class AnsweringConnection(psycopg.Connection[Any]):
    """A connection that is closed, with an `OperationalError`, when a statement has no answer after `ANSWER_S` seconds."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg does; a caller's own ``timeout`` stays its own."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, ANSWER_S)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {ANSWER_S:g} seconds") from None
