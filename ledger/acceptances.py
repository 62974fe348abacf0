"""Who accepted which grant: rows only; the signature was verified before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from ledger.store.tables.calls import AcceptanceRow


def note_acceptance(connection: Connection, grant_id: str, officer: str, signature: bytes, now: datetime) -> None:
    """Record an acceptance, in the writer's transaction."""
    connection.execute(
        insert(AcceptanceRow).values(
            grant_id=grant_id, officer=officer, signature=signature, accepted_at=int(now.timestamp() * 1_000_000)
        )
    )


def accepted_by(connection: Connection, grant_ids: Sequence[str]) -> dict[str, str]:
    """The officer who accepted, per grant; grants nobody accepted are absent."""
    if not grant_ids:
        return {}
    rows = connection.execute(
        select(AcceptanceRow.grant_id, AcceptanceRow.officer).where(  # type: ignore[call-overload]
            AcceptanceRow.grant_id.in_(list(grant_ids))  # type: ignore[attr-defined]
        )
    )
    return {grant: officer for grant, officer in rows}
