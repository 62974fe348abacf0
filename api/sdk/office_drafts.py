"""Drafts of acts about departments, their officers and keys, and of the council; as in `api.sdk.drafts`.

A message that the council may sign names its epoch, even if only officers sign it, who may put any number there.
There is no default, because a wrong epoch would be detected only when the signed act is refused.
``Civic.council_epoch()`` returns it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.sdk.acts import ActDraft
from api.sdk.codes import (
    ATTEST_ROLES,
    OFFICER_ROLES,
    SEAT_ROLES,
    SERVICE_ROLES,
    bits_of,
)
from api.sdk.drafting import HOUR, Document, deadline_in, document_hash, draft_act
from contracts.codes import FOREVER
from ledger.audit.formats.checkpoint import Origin
from ledger.chain.limits import NOTHING
from ledger.ids import parse_address, parse_digest, parse_grant

ADMISSION_TIME = 30 * 24 * HOUR
"""The default time within which an admission can be activated, in seconds: the council's delay passes first, and
seats sign after it."""
FIRST_COUNCIL = 1
"""The epoch of a city's first council."""


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A person or machine of a new department; ``roles`` are words (``admin``, ``steward`` ...)."""

    address: str
    roles: Sequence[str]
    not_before: int = 0
    not_after: int = FOREVER


@dataclass(frozen=True, slots=True)
class NewServiceKey:
    """A service key of a new department: 64 hex digits of Ed25519, its roles in words."""

    public: str
    roles: Sequence[str] = ("reader",)
    hpke: str = NOTHING
    not_before: int = 0
    not_after: int = FOREVER


def department_profile(name_zh: str, name_en: str, kind: str = "department", **more: Any) -> dict[str, Any]:
    """The catalogue entry of a department; its hash is the ``profile`` of the Admission."""
    return {"name": {"zh": name_zh, "en": name_en}, "kind": kind, **more}


def draft_admission(
    department: int,
    recovery: str,
    seats: Sequence[NewSeat],
    service_keys: Sequence[NewServiceKey] = (),
    *,
    profile: Document,
    epoch: int,
    deadline: int | None = None,
) -> ActDraft:
    """A department is admitted: signed by the council of this epoch, then by every seat's own key (proof of possession).

    The deadline is that of the activation, which comes after the council's delay: 30 days from now by default.
    """
    message = {
        "department": department,
        "recovery": recovery,
        "profile": document_hash(profile),
        "seats": [
            {
                "holder": seat.address,
                "roles": bits_of(SEAT_ROLES, seat.roles),
                "notBefore": seat.not_before,
                "notAfter": seat.not_after,
            }
            for seat in seats
        ],
        "serviceKeys": [
            {
                "key": _hex32(key.public),
                "hpke": _hex32(key.hpke),
                "roles": bits_of(SERVICE_ROLES, key.roles),
                "notBefore": key.not_before,
                "notAfter": key.not_after,
            }
            for key in service_keys
        ],
    }
    until = deadline_in(ADMISSION_TIME) if deadline is None else deadline
    return draft_act("Admission", message, (profile,), epoch=epoch, deadline=until)


def draft_officer(
    department: int,
    address: str,
    roles: Sequence[str],
    *,
    not_before: int = 0,
    not_after: int = FOREVER,
    epoch: int,
    deadline: int | None = None,
) -> ActDraft:
    """An officer is added, or the term is prolonged: signed by an officer who may give the roles, then by the
    officer's own key.

    A STEWARD needs an ADMIN and then another ADMIN, STEWARD or CDO of the department, or the council. A seat from
    the council alone begins after its admission delay, and at once if an ADMIN of the department also signs. An
    officer who has the seat already keeps its roles and gets the later end.
    """
    message = {
        "department": department,
        "officer": address,
        "roles": bits_of(OFFICER_ROLES, roles),
        "notBefore": not_before,
        "notAfter": not_after,
    }
    return draft_act("AddOfficer", message, epoch=epoch, deadline=deadline)


def draft_officer_removal(address: str, *, epoch: int, deadline: int | None = None) -> ActDraft:
    """An officer is removed, together with its successors by rotation: signed by the officer, its department's
    ADMIN, or the council; before the seat begins also by its department's CDO or OVERSIGHT."""
    return draft_act("RemoveOfficer", {"officer": address}, epoch=epoch, deadline=deadline)


def draft_service_key(
    department: int, key: NewServiceKey, *, epoch: int, deadline: int | None = None
) -> ActDraft:
    """A service key is added: signed by ADMIN (reader), OVERSIGHT (auditor) or the council. A key from the council
    alone begins after the admission delay unless an ADMIN of the department also signs."""
    message = {
        "department": department,
        "key": _hex32(key.public),
        "hpke": _hex32(key.hpke),
        "roles": bits_of(SERVICE_ROLES, key.roles),
        "notBefore": key.not_before,
        "notAfter": key.not_after,
    }
    return draft_act("AddServiceKey", message, epoch=epoch, deadline=deadline)


def draft_service_key_removal(
    department: int, public: str, *, epoch: int, deadline: int | None = None
) -> ActDraft:
    """A service key is removed permanently."""
    message = {
        "department": department,
        "key": _hex32(public),
    }
    return draft_act("RemoveServiceKey", message, epoch=epoch, deadline=deadline)


def draft_attest_key(
    department: int,
    address: str,
    roles: Sequence[str] = ("attest",),
    *,
    not_before: int = 0,
    not_after: int = FOREVER,
    epoch: int,
    deadline: int | None = None,
) -> ActDraft:
    """A machine's attest key is added: signed by ADMIN (attest) or the council, then by the key itself."""
    message = {
        "department": department,
        "key": address,
        "roles": bits_of(ATTEST_ROLES, roles),
        "notBefore": not_before,
        "notAfter": not_after,
    }
    return draft_act("AddAttestKey", message, epoch=epoch, deadline=deadline)


def draft_attest_key_removal(address: str, *, epoch: int, deadline: int | None = None) -> ActDraft:
    """An attest key is removed, together with its successors by rotation."""
    return draft_act("RemoveAttestKey", {"key": address}, epoch=epoch, deadline=deadline)


def draft_log_opening(
    origin: str, operator: int, quorum: int = 0, *, epoch: int, deadline: int | None = None
) -> ActDraft:
    """The council opens the log of this origin line on chain: heads are anchored from then on.

    Attest keys of the department ``operator`` sign the heads; ``quorum`` is the required number of witness
    signatures.
    """
    message = {
        "origin": _hashed(origin),
        "operator": operator,
        "quorum": quorum,
    }
    return draft_act("OpenLog", message, epoch=epoch, deadline=deadline)


def draft_new_epoch(
    origin: str,
    size: int,
    root: str,
    operator: int,
    quorum: int = 0,
    *,
    reason: str,
    epoch: int,
    deadline: int | None = None,
) -> ActDraft:
    """The council continues a log after a loss, from the head (``size`` entries, ``root`` in hex) that it vouches
    for.

    ``origin`` is the log's present line; the next one is computed from it. ``civic audit epoch`` hands in the
    signed act. ValueError if ``origin`` is not the line of a log.
    """
    message = {
        "origin": _hashed(origin),
        "lastSize": size,
        "lastRoot": _hex32(root),
        "newOrigin": _hashed(str(Origin.parse(origin).next())),
        "operator": operator,
        "quorum": quorum,
        "reason": reason,
    }
    return draft_act("NewEpoch", message, epoch=epoch, deadline=deadline)


def draft_privilege(
    department: int, grants: Sequence[str], *, epoch: int, deadline: int | None = None
) -> ActDraft:
    """The council restores a department's break-glass privilege after these grants were not ratified in time."""
    message = {
        "department": department,
        "grants": [parse_grant(grant) for grant in grants],
    }
    return draft_act("RestorePrivilege", message, epoch=epoch, deadline=deadline)


def draft_recovery_cancellation(
    address: str, recovery: str, *, epoch: int, deadline: int | None = None
) -> ActDraft:
    """The council cancels the recovery of the seat of ``address``; ``recovery`` is its id on chain."""
    message = {"recovery": recovery}
    return draft_act("CancelRecovery", message, arguments={"from": address}, epoch=epoch, deadline=deadline)


def draft_hand_over(
    successor: str,
    freeze_at: int,
    hand_over_at: int,
    *,
    epoch: int,
    deadline: int | None = None,
) -> ActDraft:
    """The council announces that assets and grants begin in the contract ``successor`` from ``hand_over_at`` on,
    and no longer here from ``freeze_at`` on; unix seconds, at least an hour apart."""
    message = {
        "successor": parse_address(successor),
        "freezeAt": freeze_at,
        "handOverAt": hand_over_at,
    }
    return draft_act("HandOver", message, epoch=epoch, deadline=deadline)


def draft_hand_over_call_off(hand_over: str, *, epoch: int, deadline: int | None = None) -> ActDraft:
    """The hand-over with this id on chain is cancelled: by the council, or two OVERSIGHT officers of two
    departments."""
    message = {"handOver": parse_digest(hand_over)}
    return draft_act("CallOffHandOver", message, epoch=epoch, deadline=deadline)


def _hashed(origin: str) -> str:
    return "0x" + hashlib.sha256(origin.encode()).hexdigest()


def _hex32(text: str) -> str:
    return text if text.startswith("0x") else "0x" + text
