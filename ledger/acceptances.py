"""Who accepted which grant: rows only; the signature was verified before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, insert, select

from ledger.store.prepared import Prepared, among, values_of
from ledger.store.tables.calls import AcceptanceRow


def note_acceptance(
    connection: Connection, grant_id: str, officer: str, signature: bytes, now: datetime
) -> None:
    """Record an acceptance, in the writer's transaction."""
    connection.execute(
        insert(AcceptanceRow).values(
            grant_id=grant_id,
            officer=officer,
            signature=signature,
            accepted_at=int(now.timestamp() * 1_000_000),
        )
    )


def accepted_by(connection: Connection, grant_ids: Sequence[str]) -> dict[str, str]:
    """The officer who accepted, per grant; grants nobody accepted are absent."""
    if not grant_ids:
        return {}
    return dict(_ACCEPTED.rows(connection, grants=values_of(connection, grant_ids)))


_acceptances: Table = AcceptanceRow.__table__  # type: ignore[attr-defined]
_ACCEPTED = Prepared(
    lambda dialect: select(_acceptances.c.grant_id, _acceptances.c.officer).where(
        among(dialect, _acceptances.c.grant_id, "grants")
    )
)
