"""Acts drafted: the messages that officers and the council sign, built from plain values.

Every function answers an `ActDraft` without signatures. ``sign_act(draft, trust, secrets)`` signs it; ``submit``
hands it in. Times are unix seconds; ``deadline`` is when an unsent message dies (one hour from now by default).
Agreements and catalogue entries arrive as documents in their normal form: this module hashes them (SHA-256 over
RFC 8785) and does not judge them; the service and the contracts do.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from api.sdk.acts import ActDraft, arranged, domain_of, read_act, sign_act, write_act
from api.sdk.codes import (
    ATTEST_ROLES,
    FOREVER,
    GRADES,
    NO_HASH,
    OFFICER_ROLES,
    REVOCATION_REASONS,
    RIGHTS,
    SERVICE_ROLES,
    SHARING,
    UNLIMITED,
    bits_of,
    number_of,
)
from ledger.ids import parse_asset, parse_grant
from ledger.source_opening import new_salt as new_source_salt
from ledger.source_opening import seal

if TYPE_CHECKING:  # its HTTP client is slow to import, and signing needs none
    from api.sdk.client import Civic

HOUR = 3600
ADMISSION_TIME = 30 * 24 * HOUR
"""How long an admission may be activated by default: the council's delay passes before, and seats sign after it."""
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewSeat:
    """A person or machine that a new department begins with; ``roles`` are words (``admin``, ``steward`` ...)."""

    address: str
    roles: Sequence[str]
    not_before: int = 0
    not_after: int = FOREVER


@dataclass(frozen=True, slots=True)
class NewServiceKey:
    """A service key that a new department begins with: 64 hex digits of Ed25519, its roles in words."""

    public: str
    roles: Sequence[str] = ("reader",)
    hpke: str = NO_HASH
    not_before: int = 0
    not_after: int = FOREVER


def deadline_in(seconds: int = HOUR) -> int:
    """Unix seconds, that long from now."""
    return int(time.time()) + seconds


def new_salt() -> int:
    """A random number that tells two otherwise equal messages apart (53 bits: every JSON holds it)."""
    return secrets.randbits(53)


def document_hash(document: Document) -> str:
    """SHA-256 over the RFC 8785 form, 0x-hex: how messages name documents."""
    return "0x" + hashlib.sha256(rfc8785.dumps(dict(document))).hexdigest()


# -- departments --------------------------------------------------------------------------------------


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
    deadline: int | None = None,
) -> ActDraft:
    """A department is admitted: signed by the council, then by every seat's own key (proof of possession).

    The deadline is that of the activation, which comes after the council's delay: 30 days from now by default.
    """
    every_role = {**OFFICER_ROLES, **ATTEST_ROLES}
    message = {
        "department": department,
        "recovery": recovery,
        "profile": document_hash(profile),
        "seats": [
            {
                "holder": seat.address,
                "roles": bits_of(every_role, seat.roles),
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
        "deadline": deadline_in(ADMISSION_TIME) if deadline is None else deadline,
    }
    return ActDraft("Admission", message, (profile,))


def draft_officer(
    department: int,
    address: str,
    roles: Sequence[str],
    *,
    not_before: int = 0,
    not_after: int = FOREVER,
    deadline: int | None = None,
) -> ActDraft:
    """An officer comes in: signed by who may give the roles, then by the officer's own key.

    A STEWARD is seated by an ADMIN and then another ADMIN, STEWARD or CDO of the department, or by the council.
    """
    message = {
        "department": department,
        "officer": address,
        "roles": bits_of(OFFICER_ROLES, roles),
        "notBefore": not_before,
        "notAfter": not_after,
        "deadline": _deadline(deadline),
    }
    return ActDraft("AddOfficer", message)


def draft_officer_removal(address: str, *, deadline: int | None = None) -> ActDraft:
    """An officer leaves: signed by the officer, its department's ADMIN, or the council."""
    return ActDraft("RemoveOfficer", {"officer": address, "deadline": _deadline(deadline)})


def draft_service_key(department: int, key: NewServiceKey, *, deadline: int | None = None) -> ActDraft:
    """A machine's calling key comes in: signed by ADMIN (reader), OVERSIGHT (auditor) or the council."""
    message = {
        "department": department,
        "key": _hex32(key.public),
        "hpke": _hex32(key.hpke),
        "roles": bits_of(SERVICE_ROLES, key.roles),
        "notBefore": key.not_before,
        "notAfter": key.not_after,
        "deadline": _deadline(deadline),
    }
    return ActDraft("AddServiceKey", message)


def draft_service_key_removal(department: int, public: str, *, deadline: int | None = None) -> ActDraft:
    """A calling key leaves for ever."""
    message = {"department": department, "key": _hex32(public), "deadline": _deadline(deadline)}
    return ActDraft("RemoveServiceKey", message)


def draft_attest_key(
    department: int,
    address: str,
    roles: Sequence[str] = ("attest",),
    *,
    not_before: int = 0,
    not_after: int = FOREVER,
    deadline: int | None = None,
) -> ActDraft:
    """A machine's attest key comes in: signed by ADMIN (attest) or the council, then by the key itself."""
    message = {
        "department": department,
        "key": address,
        "roles": bits_of(ATTEST_ROLES, roles),
        "notBefore": not_before,
        "notAfter": not_after,
        "deadline": _deadline(deadline),
    }
    return ActDraft("AddAttestKey", message)


def draft_attest_key_removal(address: str, *, deadline: int | None = None) -> ActDraft:
    """An attest key leaves."""
    return ActDraft("RemoveAttestKey", {"key": address, "deadline": _deadline(deadline)})


# -- datasets -----------------------------------------------------------------------------------------


def draft_log_opening(
    origin: str, operator: int, quorum: int = 0, *, deadline: int | None = None
) -> ActDraft:
    """The council opens the log of this origin line on chain: heads are anchored from then on.

    Attest keys of the department ``operator`` sign the heads; ``quorum`` is how many witnesses sign beside it.
    """
    named = "0x" + hashlib.sha256(origin.encode()).hexdigest()
    message = {"origin": named, "operator": operator, "quorum": quorum, "deadline": _deadline(deadline)}
    return ActDraft("OpenLog", message)


def source_of(path: Path) -> dict[str, Any]:
    """What a catalogue entry says of its file, written out: ``{"format", "sha256", "bytes", "salt"}``.

    The salt is drawn anew each time; a draft seals the source, so that digest and size are for the parties alone.
    """
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    kind = "parquet" if path.suffix.lower() in (".parquet", ".pq") else "csv"
    return {
        "format": kind,
        "sha256": sha.hexdigest(),
        "bytes": path.stat().st_size,
        "salt": new_source_salt(),
    }


def metadata_document(
    *,
    title: Mapping[str, str],
    description: Mapping[str, str],
    schema: Mapping[str, Any],
    source: Mapping[str, Any],
    sharing: str,
    grade: str,
    department: int,
    **more: Any,
) -> dict[str, Any]:
    """A catalogue entry of the form of ``ledger.catalogue.metadata``; ``more`` may be updateCycle, licence ..."""
    return {
        "title": dict(title),
        "description": dict(description),
        "schema": dict(schema),
        "source": dict(source),
        "sharing": sharing,
        "grade": grade,
        "contact": {"department": department},
        **{name: value for name, value in more.items() if value is not None},
    }


def draft_registration(asset: str, metadata: Document, *, deadline: int | None = None) -> ActDraft:
    """A dataset enters the catalogue: signed by a STEWARD of its department. ``asset`` is text such as ``7.12``."""
    entry, opening = seal(metadata)
    message = {
        "asset": parse_asset(asset),
        "class": number_of(GRADES, str(metadata["grade"])),
        "sharing": number_of(SHARING, str(metadata["sharing"])),
        "metadata": document_hash(entry),
        "deadline": _deadline(deadline),
    }
    return ActDraft("RegisterAsset", message, _with_opening(entry, opening))


def draft_version(asset: str, version: int, metadata: Document, *, deadline: int | None = None) -> ActDraft:
    """A dataset has a new file or a new description: signed by a STEWARD of its holder; ``version`` is the next one."""
    entry, opening = seal(metadata)
    message = {
        "asset": parse_asset(asset),
        "version": version,
        "metadata": document_hash(entry),
        "deadline": _deadline(deadline),
    }
    return ActDraft("NewVersion", message, _with_opening(entry, opening))


def _with_opening(entry: Document, opening: Document | None) -> tuple[Document, ...]:
    return (entry,) if opening is None else (entry, opening)


def draft_retirement(asset: str, *, deadline: int | None = None) -> ActDraft:
    """A dataset leaves for ever: signed by the quorum of its grade."""
    return ActDraft("RetireAsset", {"asset": parse_asset(asset), "deadline": _deadline(deadline)})


def draft_suspension(
    subject: str | int, reason: str, *, lift: bool = False, deadline: int | None = None
) -> ActDraft:
    """An asset (text such as ``7.12``) or a department (its number) stops at once, or goes on with ``lift``."""
    words = {"reason": reason}
    told = {"reason": document_hash(words), "deadline": _deadline(deadline), "salt": new_salt()}
    verb = "Lift" if lift else "Suspend"
    if isinstance(subject, int):
        return ActDraft(f"{verb}Department", {"department": subject, **told}, (words,))
    return ActDraft(f"{verb}Asset", {"asset": parse_asset(subject), **told}, (words,))


# -- grants -------------------------------------------------------------------------------------------


def draft_grant(
    asset: str,
    grantee: int,
    agreement: Document,
    *,
    not_before: int = 0,
    expiry: int,
    max_uses: int = UNLIMITED,
    right: str = "use",
    depth: int = 0,
    parent: str = NO_HASH,
    request: str | None = None,
    deadline: int | None = None,
) -> ActDraft:
    """A grant: signed by the quorum of the asset's grade (steward, chief data officer, data bureau).

    ``agreement`` is in the normal form of ``access_policy.terms.render``; validity and uses must be those that
    it states (``access_policy.slots.slot_bounds``). ``grantee`` 0 is a standing offer to every department.
    """
    message = {
        "asset": parse_asset(asset),
        "grantee": grantee,
        "right": number_of(RIGHTS, right),
        "notBefore": not_before,
        "expiry": expiry,
        "maxUses": max_uses,
        "depth": depth,
        "deadline": _deadline(deadline),
        "termsHash": document_hash(agreement),
        "parent": parent,
        "salt": new_salt(),
    }
    return ActDraft("Terms", message, (agreement,), request=request)


def draft_revocation(grant: str, reason: str = "not-said", *, deadline: int | None = None) -> ActDraft:
    """A grant ends for ever: signed by a STEWARD or CDO of the department that granted it."""
    message = {
        "grant": parse_grant(grant),
        "reason": number_of(REVOCATION_REASONS, reason),
        "deadline": _deadline(deadline),
    }
    return ActDraft("Revoke", message)


def acceptance_of(terms: Mapping[str, Any]) -> ActDraft:
    """The Terms as the grantee's officer signs them in acceptance: the very message that was granted."""
    return ActDraft("Terms", dict(terms))


def submit(civic: Civic, draft: ActDraft, *, wait_s: float = 20.0) -> dict[str, Any]:
    """Hand in a signed draft and wait for its record; ServiceProblem when it is refused."""
    document = draft.handed_in(civic.trust)
    return civic.act(
        draft.type,
        document["message"],
        document["signatures"],
        documents=draft.documents,
        arguments=draft.arguments or None,
        request=draft.request,
        wait_s=wait_s,
    )


def _deadline(given: int | None) -> int:
    return deadline_in() if given is None else given


def _hex32(text: str) -> str:
    return text if text.startswith("0x") else "0x" + text


__all__ = [
    "FOREVER",
    "NO_HASH",
    "UNLIMITED",
    "ActDraft",
    "NewSeat",
    "NewServiceKey",
    "acceptance_of",
    "arranged",
    "deadline_in",
    "department_profile",
    "document_hash",
    "domain_of",
    "draft_admission",
    "draft_attest_key",
    "draft_attest_key_removal",
    "draft_grant",
    "draft_officer",
    "draft_officer_removal",
    "draft_registration",
    "draft_retirement",
    "draft_revocation",
    "draft_service_key",
    "draft_service_key_removal",
    "draft_suspension",
    "draft_version",
    "metadata_document",
    "new_salt",
    "read_act",
    "sign_act",
    "source_of",
    "submit",
    "write_act",
]
