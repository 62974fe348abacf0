"""Drafts of acts: the messages that officers and the council sign, built from plain values.

Every function returns an `ActDraft` without signatures. ``sign_act(draft, trust, secrets)`` signs it; ``submit``
hands it in. Times are unix seconds; ``deadline`` is the last time at which a message can be sent (one hour from now
by default). Agreements and catalogue entries are documents in their normal form: this module hashes them (SHA-256
over RFC 8785) and does not check them; the service and the contracts do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.files.bytes import kind_of
from api.files.errors import FileError
from api.protocol.errors import ClientError
from api.sdk.acts import ActDraft, domain_of, read_act, sign_act, write_act
from api.sdk.codes import (
    GRADES,
    REVOCATION_REASONS,
    RIGHTS,
    SHARING,
    STOPPERS,
    number_of,
)
from api.sdk.drafting import Document, deadline_in, document_hash, draft_act, new_salt
from api.sdk.errors import AnswerRefused
from api.sdk.office_drafts import (
    NewSeat,
    NewServiceKey,
    department_profile,
    draft_admission,
    draft_attest_key,
    draft_attest_key_removal,
    draft_hand_over,
    draft_hand_over_call_off,
    draft_log_opening,
    draft_new_epoch,
    draft_officer,
    draft_officer_removal,
    draft_privilege,
    draft_recovery_cancellation,
    draft_service_key,
    draft_service_key_removal,
)
from contracts.codes import FOREVER, MAY_DERIVE, UNLIMITED
from ledger.audit.formats.source_opening import new_salt as new_source_salt
from ledger.audit.formats.source_opening import seal
from ledger.audit.formats.source_parts import PARTS_FORMAT, SignedFile, opening_of, signed_files
from ledger.chain.limits import NOTHING
from ledger.ids import parse_asset, parse_grant

if TYPE_CHECKING:  # The HTTP client is slow to import, and signing does not need it.
    from api.sdk.client import Civic


# -- datasets -----------------------------------------------------------------------------------------


def source_of(path: Path) -> dict[str, Any]:
    """The plain source of a catalogue entry for its file: ``{"format", "sha256", "bytes", "salt"}``.

    The salt is new each time. A draft replaces the source by a salted hash, so that only the parties learn digest
    and size. FileError for a file that the service does not read (a workbook, an archive): `api.files.prepare`
    converts it.
    """
    kind = kind_of(path)
    if kind == "xlsx":
        raise FileError("file.not-csv", path, "a workbook is not handed in as it is")
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
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
    """A catalogue entry of the form of ``ledger.catalogue.metadata``; ``more`` may contain updateCycle, licence ..."""
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


def draft_registration(
    asset: str,
    metadata: Document,
    *,
    parents: Mapping[str, str] | None = None,
    deadline: int | None = None,
) -> ActDraft:
    """A dataset enters the catalogue: signed by a STEWARD of its department. ``asset`` is text such as ``7.12``.

    ``parents`` are the datasets that it is derived from, each with the grant that allows it, or `NOTHING` where the
    department is itself the parent's processor.
    """
    entry, opening = seal(metadata)
    message = {
        "asset": parse_asset(asset),
        "class": number_of(GRADES, str(metadata["grade"])),
        "sharing": number_of(SHARING, str(metadata["sharing"])),
        "metadata": document_hash(entry),
    }
    papers = _with_opening(entry, opening)
    if not parents:
        return draft_act("RegisterAsset", message, papers, deadline=deadline)
    lineage = sorted((parse_asset(parent), parse_grant(under)) for parent, under in parents.items())
    message |= {"parents": [parent for parent, _ in lineage], "under": [under for _, under in lineage]}
    return draft_act("DeriveAsset", message, papers, deadline=deadline)


def draft_version(asset: str, version: int, metadata: Document, *, deadline: int | None = None) -> ActDraft:
    """A dataset gets a new file or a new description: signed by a STEWARD of its holder; ``version`` is the next
    number."""
    entry, opening = seal(metadata)
    message = {
        "asset": parse_asset(asset),
        "version": version,
        "metadata": document_hash(entry),
    }
    return draft_act("NewVersion", message, _with_opening(entry, opening), deadline=deadline)


def appended(source: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The plain source of a table's next version: the recorded file or parts (``Civic.dataset_source``), then these
    Parquet files, with a new salt. ``parts.format`` (ClientError, FileError) for a file that cannot be a part."""
    if source["format"] != PARTS_FORMAT:
        raise ClientError("the dataset is no Parquet file: it cannot be appended to", code="parts.format")
    new: list[SignedFile] = []
    for path in paths:
        one = source_of(path)
        if one["format"] != PARTS_FORMAT:
            raise FileError("parts.format", path, "this is no Parquet file")
        new.append(SignedFile(one["sha256"], one["bytes"]))
    return {
        "format": PARTS_FORMAT,
        "parts": [one.to_json() for one in (*signed_files(source), *new)],
        "salt": new_source_salt(),
    }


def draft_append(
    known: Mapping[str, Any], source: Mapping[str, Any], paths: Sequence[Path], *, deadline: int | None = None
) -> ActDraft:
    """The next version of a table that grows: its recorded parts, then these Parquet files; everything else is
    unchanged.

    ``known`` and ``source`` are the answers of ``Civic.dataset`` and ``Civic.dataset_source``. Only the new files
    are handed in (``Civic.upload``, one call each). Raises as `appended`, and AnswerRefused if ``source`` does not
    match the commitment of the recorded entry and its hash: the signature also covers the recorded parts.
    """
    _must_be_on_record(known, source)
    entry = {**known["metadata"], "source": appended(source, paths)}
    return draft_version(str(known["id"]), int(known["version"]) + 1, entry, deadline=deadline)


def _must_be_on_record(known: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    if source["version"] != known["version"]:
        raise ClientError(
            "another version was recorded meanwhile", hint="ask for both again", code="version.overtaken"
        )
    opening = opening_of(source)
    entry = dict(known["metadata"])
    if "opening" not in entry["source"]:  # The entry was signed with a plain digest and is shown without it.
        entry["source"] = {"format": source["format"], **opening}
    elif f"0x{entry['source']['opening']}" != document_hash(opening):
        raise AnswerRefused("the parts on record are not those that the catalogue entry commits to")
    if not document_hash(entry) == known["metadata_hash"] == source["metadata_hash"]:
        raise AnswerRefused("the catalogue entry is not the one whose hash is on record")


def draft_parent_renewal(asset: str, parent: str, under: str, *, deadline: int | None = None) -> ActDraft:
    """A derived dataset continues under a newer grant of its parent: signed by a STEWARD of its holder."""
    message = {
        "asset": parse_asset(asset),
        "parent": parse_asset(parent),
        "under": parse_grant(under),
    }
    return draft_act("RenewParent", message, deadline=deadline)


def _with_opening(entry: Document, opening: Document | None) -> tuple[Document, ...]:
    return (entry,) if opening is None else (entry, opening)


def draft_retirement(asset: str, *, deadline: int | None = None) -> ActDraft:
    """A dataset is retired permanently: signed by the quorum of its grade; for general data by a STEWARD and a
    second officer of its holder (ADMIN, STEWARD or CDO)."""
    return draft_act("RetireAsset", {"asset": parse_asset(asset)}, deadline=deadline)


def draft_suspension(
    subject: str | int,
    reason: str,
    *,
    lift: bool = False,
    by: str = "holder",
    epoch: int | None = None,
    deadline: int | None = None,
) -> ActDraft:
    """An asset (text such as ``7.12``) or a department (its number) is suspended at once, or with ``lift`` the
    suspension is lifted.

    An asset is suspended ``by`` its ``holder`` or by the data ``bureau``, and each lifts only its own suspension. A
    department is suspended by its own officer (ADMIN, CDO, OVERSIGHT), by two officers of the data bureau of two
    other departments, or by the council; the council of ``epoch`` lifts it. ValueError for a department without its
    epoch.
    """
    words = {"reason": reason}
    verb, reason_member = "Lift" if lift else "Suspend", {"reason": document_hash(words)}
    if isinstance(subject, int):
        message = {"department": subject, **reason_member}
        return draft_act(f"{verb}Department", message, (words,), epoch=epoch, deadline=deadline)
    message = {"asset": parse_asset(subject), "by": number_of(STOPPERS, by), **reason_member}
    return draft_act(f"{verb}Asset", message, (words,), deadline=deadline)


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
    may_derive: bool = False,
    parent: str = NOTHING,
    request: str | None = None,
    deadline: int | None = None,
) -> ActDraft:
    """A grant: signed by the quorum of the asset's grade (steward, chief data officer, data bureau).

    ``agreement`` is in the normal form of ``access_policy.terms.agreement.render``. Validity and uses must be those
    of the agreement (``access_policy.terms.slots.slot_bounds``), and so must ``may_derive``
    (``access_policy.terms.slots.names_deriving``). ``depth`` is how many further levels of delegation are
    permitted. ``grantee`` 0 is a standing offer to every department.
    """
    message = {
        "asset": parse_asset(asset),
        "grantee": grantee,
        "right": number_of(RIGHTS, right),
        "notBefore": not_before,
        "expiry": expiry,
        "maxUses": max_uses,
        "depth": depth | (MAY_DERIVE if may_derive else 0),
        "termsHash": document_hash(agreement),
        "parent": parent,
    }
    return draft_act("Terms", message, (agreement,), deadline=deadline, request=request)


def draft_revocation(grant: str, reason: str = "not-said", *, deadline: int | None = None) -> ActDraft:
    """A grant ends permanently: signed by a STEWARD or CDO of the department that granted it."""
    message = {
        "grant": parse_grant(grant),
        "reason": number_of(REVOCATION_REASONS, reason),
    }
    return draft_act("Revoke", message, deadline=deadline)


def draft_replacement(grant: str, by: str, *, deadline: int | None = None) -> ActDraft:
    """A grant ends permanently and ``by`` replaces it: grants delegated from it remain live. Signed as a revocation."""
    message = {"grant": parse_grant(grant), "by": parse_grant(by)}
    return draft_act("ReplaceGrant", message, deadline=deadline)


def draft_correction(grant: str, total: int, *, deadline: int | None = None) -> ActDraft:
    """The recorded total of a grant is lowered: signed by a STEWARD or CDO of the department that holds the right, then by
    one of the grantee."""
    message = {
        "grant": parse_grant(grant),
        "total": total,
    }
    return draft_act("CorrectUses", message, deadline=deadline)


def acceptance_of(terms: Mapping[str, Any]) -> ActDraft:
    """The Terms that the grantee's officer signs as acceptance: the same message that was granted."""
    return ActDraft("Terms", dict(terms))


def submit(civic: Civic, draft: ActDraft, *, wait_s: float = 20.0) -> dict[str, Any]:
    """Hand in a signed draft and wait for its record; ServiceProblem if it is refused. The order of the signatures
    does not matter."""
    from api.sdk.published import signatures_of

    return civic.act(
        draft.type,
        draft.to_json()["message"],
        signatures_of(civic, draft),
        documents=draft.documents,
        arguments=draft.arguments or None,
        request=draft.request,
        wait_s=wait_s,
    )


__all__ = [
    "FOREVER",
    "NOTHING",
    "UNLIMITED",
    "ActDraft",
    "NewSeat",
    "NewServiceKey",
    "acceptance_of",
    "appended",
    "deadline_in",
    "department_profile",
    "document_hash",
    "domain_of",
    "draft_act",
    "draft_admission",
    "draft_append",
    "draft_attest_key",
    "draft_attest_key_removal",
    "draft_correction",
    "draft_grant",
    "draft_hand_over",
    "draft_hand_over_call_off",
    "draft_log_opening",
    "draft_new_epoch",
    "draft_officer",
    "draft_officer_removal",
    "draft_parent_renewal",
    "draft_privilege",
    "draft_recovery_cancellation",
    "draft_registration",
    "draft_replacement",
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
