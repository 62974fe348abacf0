"""The grantee's acceptance: an officer's signature over the very Terms that were granted.

It is verified here and logged, and required before the first read of a directed grant: an agreement that only
one side signed proves nothing about the other. A standing offer needs none.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from api.gateway import Gateway
from api.problems import Problem
from ledger.acceptances import ACCEPTED, acceptance_id, acceptances, note_acceptance
from ledger.audit.append import NewEntry
from ledger.audit.events import Event
from ledger.audit.writer import JobResult
from ledger.chain.contracts import act_digest
from ledger.chain.messages import struct_hash
from ledger.chain.signers import recover
from ledger.ids import asset_text, parse_grant
from ledger.outbox.acts import is_signature
from ledger.outbox.holds import SEAT, held_targets
from ledger.projection.queries import grant as find_grant


def accept_grant(gateway: Gateway, grant_id: str, signature: str) -> dict[str, Any]:
    """Note an acceptance; sent twice it is one. Problem when the signer is no officer of the grantee."""
    grant = parse_grant(grant_id)
    if not is_signature(signature):
        raise Problem("act.signature", "the signature is 0x and 130 hex digits")
    raw = bytes.fromhex(signature[2:])
    now = gateway.now()
    with gateway.reading.connect() as connection:
        row = find_grant(connection, grant)
        if row is None:
            raise Problem("not-found.grant", "no such grant is recorded")
        if not row.terms or "0x" + struct_hash("Terms", row.terms).hex() != grant:
            raise Problem("grant.id-mismatch", "the stored terms are not the ones that were signed")
        signer = recover(act_digest(gateway.deployment, "Terms", row.terms), raw)
        held = signer in held_targets(connection).get(SEAT, ())
    if held:
        raise Problem(
            "act.lost-act", "the act that took this officer's office away is lost: it must be signed again"
        )
    seat = gateway.states.seat(signer)
    if seat.department != row.grantee or not seat.in_office(now):
        raise Problem("caller.not-grantee", "the signature is not by an officer in office of the grantee")
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
            # The log has one acceptance of a grant. A receipt of it would be about another officer's act.
            raise Problem("act.accepted", f"the officer {accepted} has accepted this grant already")
        if accepted is not None:
            return JobResult(None, [NewEntry(event)])
        note_acceptance(connection, grant, signer, raw, now)
        return JobResult(None, [NewEntry(event)])

    done = gateway.commit(job)
    return {"grant": grant, "officer": signer, "receipt": str(done.receipts[0])}
