"""The audit entry of an event of the contracts.

The entry's id is computed from chain, transaction and log index, so an event that is read again makes no second entry.
Anchors have no entry, because that entry would need an anchor again. All values of contract events are public. Values
that an event lacks (the officer's department, the dataset of a grant) are taken from earlier entries of the log, which
are signed, not from rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection

from ledger.audit.formats.events import MAX_INTEGER
from ledger.audit.formats.events import Event as AuditEvent
from ledger.chain.events import ENTRIES, Event, entry_id
from ledger.ids import asset_text, condition_text
from ledger.lost.held_in_log import REVERTED
from ledger.lost.holds import log_facts
from ledger.lost.lost_act import args_of
from ledger.lost.relations_in_log import RelationsInLog
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
    "RecoveryCancelled": "chain:recovery:cancelled",
    "AdmissionProposed": "chain:admission:proposed",
    "AdmissionCancelled": "chain:admission:cancelled",
    "CouncilReplaced": "chain:council:replaced",
    "Paused": "chain:council:paused",
    "Unpaused": "chain:council:unpaused",
    "HandOverAnnounced": "chain:council:hand-over-announced",
    "HandOverCalledOff": "chain:council:hand-over-called-off",
    "PrivilegeRestored": "chain:department:privilege-restored",
    "AssetRegistered": "chain:asset:registered",
    "AssetDerived": "chain:asset:derived",
    "ParentRenewed": "chain:asset:parent-renewed",
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
    "RevokeSkipped": "chain:grant:revoke-skipped",
    "Replaced": "chain:grant:replaced",
    "Cancelled": "chain:grant:cancelled",
    "GlassBroken": "chain:grant:glass-broken",
    "Ratified": "chain:grant:ratified",
    "Used": "chain:grant:used",
    "UseSkipped": "chain:grant:use-skipped",
    "UsesCorrected": "chain:grant:uses-corrected",
    "LogOpened": "chain:log:opened",
    "EpochOpened": "chain:log:epoch-opened",
    "Budgeted": "chain:pool:budgeted",
    "StatementCommitted": "chain:statement:committed",
    "StatementSuperseded": "chain:statement:superseded",
    "Objected": "chain:statement:objected",
    "LinesShown": "chain:statement:lines-shown",
    "DisputeRaised": "chain:dispute:raised",
    "DisputeClosed": "chain:dispute:closed",
    "Settled": "chain:statement:settled",
    "StatementFinal": "chain:statement:final",
    "ConditionOpened": "chain:condition:opened",
    "ConditionBound": "chain:condition:bound",
    "ConditionEnded": "chain:condition:ended",
    "RevokePassedOver": "chain:condition:revoke-passed-over",
}
"""The type of the entry for every event that has one; a test compares it with the ABI."""

_ACTORS = ("officer", "holderOfficer", "by")
_LONGEST = 2_000


class Parties:
    """The departments of seats and the datasets of grants, from the log and the events after it.

    When leaves of the log are archived, an old seat or grant may be missing in it; then the row is used. A process that
    does not read the log uses rows only.
    """

    def __init__(self, connection: Connection, rows: StateReader) -> None:
        log_known = log_facts(connection)
        self._known = RelationsInLog(None if log_known is None else log_known.relations)
        self._rows = rows if log_known is None or log_known.archived else None

    def take(self, event: Event) -> None:
        """Read the next event."""
        self._known.take(event.name, event.args)

    def seat(self, holder: str) -> int | None:
        """The department of an address that holds, or held, a seat; None without one."""
        found = self._known.seat(holder)
        row = self._rows.get("seat", (holder,)) if found is None and self._rows is not None else None
        return found if row is None else int(row["department"])

    def grant(self, grant: str) -> tuple[int, str] | None:
        """The department that gave a grant, and its dataset; None for an unknown grant."""
        found = self._known.grant(grant)
        if found is not None and (found.grantor or self._rows is None):
            return found.grantor, found.asset
        row = self._rows.get("sharing_grant", (grant,)) if self._rows is not None else None
        return None if row is None else (int(row["grantor"]), str(row["asset"]))


def entry_of(event: Event, chain_id: int, parties: Parties, act: str | None = None) -> AuditEvent | None:
    """The entry of an event; None for an event that has none. ``parties`` must have read the event.

    ``act`` is the EIP-712 digest of the act that caused the event, when this installation sent it. It shows that a receipt
    is about this act and not about an earlier one with the same content.
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
        department=_department(event, actor, grant, parties),
        officer=actor if actor is not None and int(actor, 16) else None,
        asset=_asset(args, grant, parties),
        grant=grant,
        terms_hash=args.get("termsHash"),
        facts=_facts(event, chain_id) | ({"act": act} if act else {}),
    )


def again_id(entry: UUID, block_hash: str, reorgs: int) -> UUID:
    """The id of the entry of an event that a reorganisation removed and the block of this hash brought back.

    ``reorgs`` is the number of roll-backs before it.
    """
    return uuid5(ENTRIES, f"{entry}:{block_hash}:{reorgs}")


def reverted_id(entry: UUID, block_hash: str) -> UUID:
    """The id of the compensating entry for ``entry``, whose event was recorded in the block of this hash."""
    return uuid5(ENTRIES, f"reverted:{entry}:{block_hash}")


def reverted(entry: UUID, event: Event, chain_id: int) -> AuditEvent:
    """The compensating entry for a recorded event whose block is no longer in the chain."""
    return AuditEvent(
        id=reverted_id(entry, event.block_hash),
        type=REVERTED,
        time=datetime.fromtimestamp(event.block_time, UTC),
        grant=event.args.get("grant"),
        facts={"reverts": str(entry), "event": event.name, **_where(event, chain_id)},
    )


def recorded_event(entry: AuditEvent) -> Event:
    """The event that an entry recorded. Integers of 2^53 and more are texts, and long values are truncated."""
    facts = entry.facts
    return Event(
        str(facts["event"]),
        str(facts["contract"]),
        args_of(facts),
        int(facts["block"]),
        str(facts["block_hash"]),
        int(entry.time.timestamp()),
        str(facts["tx"]),
        int(facts["log_index"]),
    )


def subject_of(event: Event) -> str | None:
    """The subject of an event, for searching the history: ``grant:0x..``, ``asset:7.12``, ``condition:3.1`` or
    ``department:7``; None without one."""
    args = event.args
    if "grant" in args:
        return f"grant:{args['grant']}"
    if "asset" in args:
        return f"asset:{asset_text(args['asset'])}"
    if "condition" in args:
        return f"condition:{condition_text(args['condition'])}"
    return f"department:{args['department']}" if "department" in args else None


def _department(event: Event, actor: str | None, grant: str | None, parties: Parties) -> int:
    """The acting department: the actor's department, or else the one that the event names; 0 for the council."""
    seat = parties.seat(actor) if actor else None
    if seat is not None:
        return seat
    for name in ("department", "operator", "from"):
        if isinstance(event.args.get(name), int):
            return int(event.args[name])
    given = parties.grant(grant) if grant else None
    return given[0] if given else 0


def _asset(args: Mapping[str, Any], grant: str | None, parties: Parties) -> str | None:
    if "asset" in args:
        return asset_text(args["asset"])
    given = parties.grant(grant) if grant else None
    return given[1] if given else None


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
