"""Counting uses again after a restore with losses, and reading officers' acts from the same bundle.

The charges and the log of a restored database are of the same time, so its log has no further uses. Later uses are known
from two other sources:

- the chain, where totals of direct grants are recorded periodically (``ledger.grants.use_recorder``);
- a bundle that an auditor exported after the backup, with an entry for each use.

Uses in neither source are lost.
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
    """The bundle with the lost entries is not of this log, or does not verify."""

    code = "audit.lost_entries"


@dataclass(frozen=True, slots=True)
class BundleContent:
    """The content of the first ``size`` entries of a log in a bundle.

    ``charges`` are the uses of each grant, ``acts`` the entries about officers' acts. ``signed`` maps ids of these acts to
    their signed messages, in the order of their entries, if the bundle has them.
    """

    size: int
    charges: Mapping[str, Charges]
    acts: tuple[LostEntry, ...]
    signed: Mapping[str, SignedAct]
    proof: tuple[bytes, ...] = ()
    """The consistency proof from the kept head to the head on chain; empty when the bundle ends before that head."""


def read_lost_bundle(path: Path, trust: Trust, kept: Head, lost: Head) -> BundleContent:
    """Verify that a bundle is of the lost log, and read it.

    It must be signed with the log's key, and contain the kept head and, if it is long enough, the head on chain (``lost``).
    Acts are read from the entries after the kept head. Raises `LostEntriesInvalid`.
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
    return BundleContent(bundle.size, charges, tuple(acts), signed, tuple(proof))


def _of_its_epoch(trust: Trust, bundle: Bundle) -> Trust:
    """The trust file for a bundle of a later epoch of the log, which continues the same tree with the same key."""
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
    """The acts of a verified bundle from an index on; types that this version does not know are left out."""
    found: dict[str, SignedAct] = {}
    for one in ActsFile(bundle.act_lines() if bundle.acts else ()).acts():
        if one.entry >= start:
            with suppress(ActError, MessageError):
                found[one.act] = SignedAct.from_json(one.to_json())
    return found


def uses_on_chain(
    connection: Connection, client: ChainClient, deployment: Deployment, now: datetime
) -> dict[str, Charges]:
    """The totals on chain of the direct grants in the database."""
    known = [
        str(grant)
        for grant in connection.execute(select(_grants.c.id).where(_grants.c.parent.is_(None))).scalars()
    ]
    states = grant_states(client, deployment, known, {})
    return {grant: Charges(state.uses, now) for grant, state in states.items() if state.uses}


def raise_charges(connection: Connection, totals: Mapping[str, Charges]) -> int:
    """Raise each grant's charges to at least these, in the caller's transaction; returns how many grew."""
    return sum(releases.raise_to(connection, grant, least) for grant, least in totals.items())
