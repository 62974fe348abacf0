"""The grantee's acceptance: an officer's signature over the Terms that were granted.

It is verified here and logged. The first read of a directed grant requires it, because an agreement that only one
side signed does not prove the other side's consent. A standing offer needs no acceptance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from api.runtime.chain_states import ChainStates
from api.runtime.commits import Commits
from api.runtime.errors import RefusedError
from languages.texts import in_both
from ledger.acts.form import is_signature
from ledger.audit.formats.events import Event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.messages import record_id
from ledger.chain.signers import recover
from ledger.clock import Timekeeper
from ledger.grants.acceptances import ACCEPTED, acceptance_id, acceptances, note_acceptance
from ledger.ids import asset_text, parse_grant
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import SEAT
from ledger.projection.queries import grant as find_grant


@dataclass(frozen=True, slots=True)
class Acceptances:
    """Checks and records acceptances. ``reading`` is the database without a write lock."""

    reading: Engine
    deployment: Deployment
    states: ChainStates
    commits: Commits
    clock: Timekeeper

    def accept(self, grant_id: str, signature: str) -> dict[str, Any]:
        """Record an acceptance; a repeated one is recorded once. RefusedError if the signer is no officer of the
        grantee."""
        grant = parse_grant(grant_id)
        if not is_signature(signature):
            raise RefusedError("act.signature", in_both("the signature is 0x and 130 hex digits"))
        raw = bytes.fromhex(signature[2:])
        now = self.clock.utc()
        with self.reading.connect() as connection:
            row = find_grant(connection, grant)
            if row is None:
                raise RefusedError("not-found.grant", in_both("no such grant is recorded"))
            if row.kind == "emergency" or row.grantee == 0:
                raise RefusedError(
                    "act.nothing-to-accept", in_both("an emergency grant or a standing offer is not accepted")
                )
            if not row.terms or record_id("Terms", row.terms) != grant:
                raise RefusedError(
                    "grant.id-mismatch", in_both("the stored terms are not the ones that were signed")
                )
            signer = recover(act_digest(self.deployment, "Terms", row.terms), raw)
            held = signer in held_targets(connection).get(SEAT, ())
        if held:
            raise RefusedError(
                "act.lost-act",
                in_both("the act that took this officer's office away is lost: it must be signed again"),
            )
        seat = self.states.seat(signer)
        if seat.department != row.grantee or not seat.in_office(now):
            raise RefusedError(
                "caller.not-grantee", in_both("the signature is not by an officer in office of the grantee")
            )
        event = Event(
            id=acceptance_id(grant),
            type=ACCEPTED,
            time=now,
            department=row.grantee,
            officer=signer,
            asset=asset_text(row.asset),
            grant=grant,
            terms_hash=row.terms["termsHash"],
        )

        def job(connection: Connection) -> JobResult[None]:
            accepted, _ = acceptances(connection, [grant]).get(grant, (None, b""))
            if accepted is not None and accepted != signer:
                # The log has one acceptance of a grant. A second receipt would be about another officer's act.
                raise RefusedError(
                    "act.accepted",
                    in_both("the officer {accepted} has accepted this grant already", accepted=accepted),
                )
            if accepted is not None:
                return JobResult(None, [NewEntry(event)])
            note_acceptance(connection, grant, signer, raw, now)
            return JobResult(None, [NewEntry(event)])

        done = self.commits.commit(job)
        return {"grant": grant, "officer": signer, "receipt": str(done.receipts[0])}
