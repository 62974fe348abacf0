"""Acceptances of grants: the stored rows and their verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, insert, select

from ledger.audit.log.reading import LogReader
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.messages import MessageError, record_id
from ledger.chain.signers import SignatureError, recover
from ledger.store.prepared import Prepared, among, values_of
from ledger.store.tables import table_of
from ledger.store.tables.calls import AcceptanceRow

ACCEPTED = "department:grant:accepted"
_ACCEPTANCES = UUID("6a1f5f0e-7f0b-5d3c-9b0e-0d8b3a5b9c11")
_KEPT = 10_000


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


def acceptances(connection: Connection, grant_ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """The stored officer and signature of each accepted grant; other grants are left out."""
    if not grant_ids:
        return {}
    rows = _ACCEPTED.rows(connection, grants=values_of(connection, grant_ids))
    return {grant: (officer, bytes(signature)) for grant, officer, signature in rows}


class AcceptanceProofs:
    """Verifies stored acceptances: the officer named in the log's entry must have signed the Terms.

    The entry was made after the chain was asked whether the officer of the grantee was in office; changing the database
    makes no entry. Verified acceptances are cached. Thread-safe.
    """

    def __init__(self, deployment: Deployment, log: LogReader) -> None:
        self._deployment = deployment
        self._log = log
        self._proven: set[tuple[str, str, bytes]] = set()

    def of(self, connection: Connection, terms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """The officer of each verified acceptance, given the signed Terms of each grant; other grants are left out."""
        return {
            grant: officer
            for grant, (officer, signature) in acceptances(connection, list(terms)).items()
            if self._holds(connection, grant, terms[grant], officer, signature)
        }

    def _holds(
        self, connection: Connection, grant: str, terms: Mapping[str, Any], officer: str, signature: bytes
    ) -> bool:
        known = grant, officer, signature
        if known in self._proven:
            return True
        try:
            signed = (
                record_id("Terms", terms) == grant
                and recover(act_digest(self._deployment, "Terms", terms), signature) == officer
            )
        except (SignatureError, MessageError):
            return False
        entry = self._log.proven_in(connection, acceptance_id(grant)) if signed else None
        if entry is None or (entry.type, entry.grant, entry.officer) != (ACCEPTED, grant, officer):
            return False
        if len(self._proven) > _KEPT:
            self._proven.clear()
        self._proven.add(known)
        return True


def acceptance_id(grant_id: str) -> UUID:
    """The id of the log entry of a grant's acceptance; there is one for each grant."""
    return uuid5(_ACCEPTANCES, grant_id)


_acceptances = table_of(AcceptanceRow)
_ACCEPTED = Prepared(
    lambda dialect: select(_acceptances.c.grant_id, _acceptances.c.officer, _acceptances.c.signature).where(
        among(dialect, _acceptances.c.grant_id, "grants")
    )
)
