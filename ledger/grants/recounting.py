"""Uses after a lossy restore: what can be counted again, and from what; and what officers did, by the same bundle.

A restored database agrees with itself: its charges and its log are of one moment, so its own log tells nothing new.
What was used after that moment is known from two places outside of it:

- the chain, where totals of direct grants are recorded now and then (``ledger.grants.use_recorder``);
- a bundle that an auditor took after the backup, whose entries tell each use.

What neither tells is lost with the entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from ledger import releases
from ledger.acts.act import ActError, SignedAct
from ledger.audit.formats.checkpoint import Head, Origin
from ledger.audit.formats.errors import AuditError, NoteInvalid
from ledger.audit.formats.merkle import HASH_SIZE, consistency_proof, grow
from ledger.audit.formats.note import VerifierKey
from ledger.audit.verify import Trust, verify_bundle
from ledger.audit.verify.acts import ActsFile
from ledger.audit.verify.bundle import Bundle, read_bundle
from ledger.audit.verify.source import open_files
from ledger.audit.verify.verdict import Tampered
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.grants import grant_states
from ledger.chain.messages import MessageError
from ledger.grants.uses_in_log import DECIDED
from ledger.lost.lost_acts import LostEntry, is_act
from ledger.releases import Charges
from ledger.store.tables import table_of
from ledger.store.tables.projection import GrantRow

_grants = table_of(GrantRow)


class LostEntriesInvalid(AuditError):
    """The bundle given for the lost entries is not of this log, or does not hold."""

    code = "audit.lost_entries"


@dataclass(frozen=True, slots=True)
class Told:
    """What the first ``size`` entries of the log tell: uses per grant, and the entries about what officers did; ``signed``
    are the signed messages of these acts by their id, as far as the bundle has them, in the order of their entries."""

    size: int
    charges: Mapping[str, Charges]
    acts: tuple[LostEntry, ...]
    signed: Mapping[str, SignedAct]
    proof: tuple[bytes, ...] = ()
    """That the head which was kept is the beginning of the one that the chain holds; empty where the bundle ends before."""


def told_by_bundle(path: Path, trust: Trust, kept: Head, lost: Head) -> Told:
    """What a bundle tells, once it is sure that it is the log that was lost: signed by its key, containing the head that
    was kept and, where it reaches that far, the head that the chain holds. Of what officers did, what stands behind the
    head that was kept.

    Raises `LostEntriesInvalid`.
    """
    try:
        bundle = read_bundle(open_files(path))
        pins = [head for head in (kept, lost) if head.size <= bundle.size]
        verdict = verify_bundle(path, _of_its_epoch(trust, bundle), pins=pins)
        if not verdict.ok:
            raise LostEntriesInvalid(
                f"the bundle does not hold: {verdict.findings[0]}", hint="civic audit verify says more"
            )
        if kept not in pins:
            raise LostEntriesInvalid(
                f"the bundle ends at {bundle.size}, before what the database holds",
                hint="only a bundle that was made after the backup tells more",
            )
        charges: dict[str, Charges] = {}
        acts: list[LostEntry] = []
        hashes: list[bytes] = []
        for chunk in bundle.chunks():
            hashes += [chunk.stored[at : at + HASH_SIZE] for at in range(0, len(chunk.stored), HASH_SIZE)]
            for index, line in enumerate(chunk.lines, chunk.start + chunk.archived):
                event = json.loads(line)
                if index >= kept.size and is_act(event):
                    acts.append(LostEntry(index, event))
                if event["type"] == DECIDED and event.get("decision") == "permit" and event.get("grant"):
                    moment = datetime.fromisoformat(event["time"])
                    before = charges.get(event["grant"], Charges(0, moment))
                    charges[event["grant"]] = Charges(before.used + 1, before.first)
        signed = _signed(bundle, kept.size)
    except Tampered as broken:
        raise LostEntriesInvalid(f"the bundle does not hold: {broken}") from broken
    proof: list[bytes] = []
    if kept.size < lost.size <= bundle.size:
        proof = consistency_proof(kept.size, lost.size, grow(0, (), hashes[: lost.size]).node)
    return Told(bundle.size, charges, tuple(acts), signed, tuple(proof))


def _of_its_epoch(trust: Trust, bundle: Bundle) -> Trust:
    """The trust for a later epoch of the log, which may be lost as well: the same tree went on, and the same key."""
    try:
        ours, theirs = Origin.parse(trust.origin), Origin.parse(bundle.origin)
    except NoteInvalid:
        return trust
    if theirs.epoch <= ours.epoch or replace(theirs, epoch=ours.epoch) != ours:
        return trust
    origin = str(theirs)
    return replace(
        trust, origin=origin, log_key=VerifierKey(origin, trust.log_key.kind, trust.log_key.public)
    )


def _signed(bundle: Bundle, start: int) -> dict[str, SignedAct]:
    """The acts of a verified bundle from an index on; without those that this version does not know."""
    found: dict[str, SignedAct] = {}
    for one in ActsFile(bundle.act_lines() if bundle.acts else ()).acts():
        if one.entry >= start:
            with suppress(ActError, MessageError):
                found[one.act] = SignedAct.from_json(one.to_json())
    return found


def uses_on_chain(
    connection: Connection, client: ChainClient, deployment: Deployment, now: datetime
) -> dict[str, Charges]:
    """The totals that the chain has on record for the direct grants the database knows."""
    known = [
        str(grant)
        for grant in connection.execute(select(_grants.c.id).where(_grants.c.parent.is_(None))).scalars()
    ]
    states = grant_states(client, deployment, known, {})
    return {grant: Charges(state.uses, now) for grant, state in states.items() if state.uses}


def raise_charges(connection: Connection, totals: Mapping[str, Charges]) -> int:
    """Raise each grant's charges to at least these, in the caller's transaction; how many grew. Never lowers one."""
    return sum(releases.raise_to(connection, grant, least) for grant, least in totals.items())
