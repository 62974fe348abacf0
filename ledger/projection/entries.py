"""The audit entry that stands for an event of the contracts.

Its id follows from chain, transaction and log index, so that an event makes one entry however often it is read.
Anchors make none: an entry about an anchor would have to be anchored. Every value of a contract's event is public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from ledger.audit.events import MAX_INTEGER
from ledger.audit.events import Event as AuditEvent
from ledger.chain.events import ENTRIES, Event, entry_id
from ledger.ids import asset_text
from ledger.projection.rows import StateReader

WITHOUT_ENTRY = frozenset({"Anchored"})

TYPES: Mapping[str, str] = {
    "DepartmentAdmitted": "chain:department:admitted",
    "DepartmentSuspended": "chain:department:suspended",
    "DepartmentLifted": "chain:department:lifted",
    "RecoveryKeySet": "chain:department:recovery-key-set",
    "OfficerAdded": "chain:officer:added",
    "OfficerRemoved": "chain:officer:removed",
    "AttestKeyAdded": "chain:attest-key:added",
    "AttestKeyRemoved": "chain:attest-key:removed",
    "SeatRotated": "chain:seat:rotated",
    "ServiceKeyAdded": "chain:service-key:added",
    "ServiceKeyRemoved": "chain:service-key:removed",
    "RecoveryStarted": "chain:recovery:started",
    "RecoveryVetoed": "chain:recovery:vetoed",
    "VetoOverridden": "chain:recovery:veto-overridden",
    "AdmissionProposed": "chain:admission:proposed",
    "AdmissionCancelled": "chain:admission:cancelled",
    "CouncilReplaced": "chain:council:replaced",
    "Paused": "chain:council:paused",
    "Unpaused": "chain:council:unpaused",
    "Superseded": "chain:council:superseded",
    "PrivilegeRestored": "chain:department:privilege-restored",
    "AssetRegistered": "chain:asset:registered",
    "AssetDerived": "chain:asset:derived",
    "AssetVersioned": "chain:asset:versioned",
    "AssetReclassified": "chain:asset:reclassified",
    "AssetSuspended": "chain:asset:suspended",
    "AssetLifted": "chain:asset:lifted",
    "AssetRetired": "chain:asset:retired",
    "RightTransferred": "chain:asset:right-transferred",
    "CoSigned": "chain:act:co-signed",
    "Granted": "chain:grant:granted",
    "Deducted": "chain:grant:deducted",
    "Revoked": "chain:grant:revoked",
    "Cancelled": "chain:grant:cancelled",
    "GlassBroken": "chain:grant:glass-broken",
    "Ratified": "chain:grant:ratified",
    "Used": "chain:grant:used",
    "LogOpened": "chain:log:opened",
    "EpochOpened": "chain:log:epoch-opened",
    "Budgeted": "chain:pool:budgeted",
    "StatementCommitted": "chain:statement:committed",
    "StatementSuperseded": "chain:statement:superseded",
    "DisputeRaised": "chain:dispute:raised",
    "DisputeClosed": "chain:dispute:closed",
    "Settled": "chain:statement:settled",
    "StatementFinal": "chain:statement:final",
}
"""The entry's type for every event that makes one; a test holds it against the ABI."""

_ACTORS = ("officer", "by")
_LONGEST = 2_000


def entry_of(event: Event, chain_id: int, state: StateReader, act: str | None = None) -> AuditEvent | None:
    """The entry of an event, given the rows after it; None for an event that makes none.

    ``act`` is the EIP-712 digest of the act that caused it, when this installation carried it: by it a receipt is shown
    to be about this act and not about an earlier one that says the same.
    """
    if event.name in WITHOUT_ENTRY:
        return None
    args = event.args
    actor = next((args[name] for name in _ACTORS if name in args), None)
    grant = args.get("grant")
    return AuditEvent(
        id=entry_id(chain_id, event.tx_hash, event.log_index),
        type=TYPES[event.name],
        time=datetime.fromtimestamp(event.block_time, UTC),
        department=_department(event, actor, grant, state),
        officer=actor if actor is not None and int(actor, 16) else None,
        asset=_asset(args, grant, state),
        grant=grant,
        terms_hash=args.get("termsHash"),
        facts=_facts(event, chain_id) | ({"act": act} if act else {}),
    )


def again_id(entry: UUID, block_hash: str, reorgs: int) -> UUID:
    """The id of the entry of an event that a reorg took away and the block of this hash brought back, after so
    many reorgs."""
    return uuid5(ENTRIES, f"{entry}:{block_hash}:{reorgs}")


def reverted_id(entry: UUID, block_hash: str) -> UUID:
    """The id of the compensating entry of ``entry``, recorded in the block of this hash."""
    return uuid5(ENTRIES, f"reverted:{entry}:{block_hash}")


def reverted(entry: UUID, event: Event, chain_id: int) -> AuditEvent:
    """The compensating entry: the block of an event that had been recorded is no longer in the chain."""
    return AuditEvent(
        id=reverted_id(entry, event.block_hash),
        type="chain:reorg:reverted",
        time=datetime.fromtimestamp(event.block_time, UTC),
        grant=event.args.get("grant"),
        facts={"reverts": str(entry), "event": event.name, **_where(event, chain_id)},
    )


def subject_of(event: Event) -> str | None:
    """What an event is about, for searching the history: ``grant:0x..``, ``asset:7.12`` or ``department:7``."""
    args = event.args
    if "grant" in args:
        return f"grant:{args['grant']}"
    if "asset" in args:
        return f"asset:{asset_text(args['asset'])}"
    return f"department:{args['department']}" if "department" in args else None


def _department(event: Event, actor: str | None, grant: str | None, state: StateReader) -> int:
    """Whose act it was: the actor's department; else the one the event names; 0 for the council."""
    seat = state.get("seat", (actor,)) if actor else None
    if seat is not None:
        return int(seat["department"])
    for name in ("department", "operator", "from"):
        if isinstance(event.args.get(name), int):
            return int(event.args[name])
    row = state.get("sharing_grant", (grant,)) if grant else None
    return int(row["grantor"]) if row else 0


def _asset(args: Mapping[str, Any], grant: str | None, state: StateReader) -> str | None:
    if "asset" in args:
        return asset_text(args["asset"])
    row = state.get("sharing_grant", (grant,)) if grant else None
    return row["asset"] if row else None


def _where(event: Event, chain_id: int) -> dict[str, str | int | bool]:
    return {
        "chain": str(chain_id),
        "contract": event.contract,
        "block": event.block_number,
        "block_hash": event.block_hash,
        "tx": event.tx_hash,
        "log_index": event.log_index,
    }


def _facts(event: Event, chain_id: int) -> dict[str, str | int | bool]:
    facts = {"event": event.name, **_where(event, chain_id)}
    for name, value in event.args.items():
        facts[f"arg.{name}"] = _fact(value)
    return facts


def _fact(value: Any) -> str | int | bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
