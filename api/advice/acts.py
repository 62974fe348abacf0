"""Codes of signed acts, their documents and their data files."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

ACTS: Mapping[str, _A] = {
    "act.too-many": _A(
        429,
        "The department hands in too many acts",
        "wait as long as Retry-After says; acts that take away have ten times the room",
    ),
    "act": _A(400, "The act cannot be accepted", "correct the message and sign again"),
    "act.document-missing": _A(
        400, "A document of the act is missing", "attach the document that the message names by its SHA-256"
    ),
    "act.unshown": _A(
        400,
        "The act cannot be shown whole in words",
        "do not sign it; split it into smaller acts, or use a newer version of the command",
    ),
    "act.document-unnamed": _A(
        400,
        "A document does not belong to the act",
        "leave the document out, or sign a message that names it",
    ),
    "act.document-repeated": _A(400, "A document is attached twice", "attach every document once"),
    "act.metadata-differs": _A(
        400,
        "The catalogue entry and the record differ",
        "state the grade and sharing on record; change them by Reclassify, which takes its own signatures",
    ),
    "asset.graded-higher": _A(
        409,
        "The same file is on record at a higher grade",
        "register it at that grade, then lower the grade by Reclassify with the quorum of that grade",
    ),
    "terms.parties": _A(
        400,
        "The agreement names other parties than the grant",
        "name the department that grants as assigner and the receiving department as assignee, and sign anew",
    ),
    "terms.slot-mismatch": _A(
        400,
        "The signed terms and the agreement differ",
        "state the same dataset, grantee, times and uses in both, and sign anew",
    ),
    "terms.column-unknown": _A(
        400,
        "The terms name a column that the dataset does not have",
        "name columns of the dataset's schema: civic dataset show",
    ),
    "terms.version-unknown": _A(
        400,
        "The terms pin a version that the dataset does not have",
        "pin a version that is on record: civic dataset show; one that comes later is pinned once it is on record",
    ),
    "terms.version-not-kept": _A(
        409,
        "The terms pin a version whose file is not kept any more",
        "pin a version whose file is kept, or grant the current version",
    ),
    "terms.rows-unfit": _A(
        400,
        "The row filter does not fit the dataset",
        "compare columns of the dataset with values of their type",
    ),
    "terms.transform-unfit": _A(
        400, "The transform does not fit the column", "choose a transform that the column's type admits"
    ),
    "act.deadline": _A(
        400,
        "The deadline of the act is too early",
        "draft it again with a deadline after the time in the detail, and have it signed anew",
    ),
    "act.refused": _A(
        409,
        "The contract refuses the act",
        "see the contract's error in the detail: contracts/src/interfaces and docs/contracts.md say what it means",
    ),
    "act.frozen": _A(
        409,
        "The ledger is being handed over: nothing new begins in it",
        "sign it anew for the successor once that acts; revoking, suspending and lifting go on here (civic status)",
    ),
    "act.paused": _A(
        409,
        "The ledger is paused until the time in the detail",
        "hand it in again after that time, or once the council ends the pause; revoking and suspending go on",
    ),
    "act.successor-unfit": _A(
        409,
        "The contract named as successor is not one of this ledger",
        "name a contract on this chain whose predecessor() answers this ledger's address (docs/contracts.md)",
    ),
    "act.contract-missing": _A(
        409,
        "This installation does not have the contract that takes this message",
        "the message can be handed in once the installation is deployed anew with that contract",
    ),
    "act.council-epoch": _A(
        409,
        "The message is for another council than the one in office",
        "draft it again: what the council signs dies with it",
    ),
    "act.signer-independent": _A(
        400,
        "The data bureau signs for other departments than its own here",
        "have an officer of the data bureau of another department sign",
    ),
    "grant.replacement": _A(
        409,
        "The other grant cannot take its place",
        "name an active grant of the same right of the same dataset to the same department",
    ),
    "grant.total": _A(409, "A correction lowers the recorded total", "see the recorded total in the detail"),
    "act.lost-act": _A(
        409,
        "An act before this one is lost and must be signed again first",
        "`civic status` lists what is held; the department that signed the lost act signs it again",
    ),
    "act.nothing-to-accept": _A(
        409, "This grant needs no acceptance", "read under it; the log has who opened it"
    ),
    "act.accepted": _A(
        409,
        "Another officer of the grantee has accepted this grant",
        "nothing else to do: the grant is accepted",
    ),
    "source": _A(
        409, "The data do not match what was signed", "upload the file whose hash the register entry names"
    ),
    "source.quota": _A(
        413,
        "The department's data would exceed its quota",
        "retire datasets that are not needed, or ask the operator for a higher quota",
    ),
    "source.unchecked": _A(
        422,
        "The file could not be checked",
        "send it once more; if that fails as well, register a file that is read with less time and memory",
    ),
    "source.changed": _A(
        500,
        "The stored data are not the ones that were signed",
        "tell the operator the asset; nothing was released or charged, and the refusal is in the log",
    ),
    "act.epoch": _A(
        400,
        "The act is not the one that continues this log",
        "have the council sign the epoch that civic audit epoch names",
    ),
    "act.expired": _A(
        400,
        "The deadline of the act has passed",
        "draft it again with a later deadline and have it signed anew",
    ),
    "act.file": _A(
        400,
        "The act file cannot be used",
        "name a file that civic draft, civic sign or a drafting command wrote",
    ),
    "act.message": _A(
        400, "The message of the act is not of its type", "correct the member that the pointer names"
    ),
    "act.pending": _A(
        400,
        "The act is accepted and not recorded yet",
        "hand the same file in again, it is taken once: civic submit FILE",
    ),
    "act.signature": _A(
        400, "A signature is not one that the contracts accept", "have the officer sign again with civic sign"
    ),
    "act.undeliverable": _A(
        400,
        "A taken act cannot be carried to the chain: its rows were changed",
        "the operator restores the newest backup; what the act denies stays denied",
    ),
    "act.unknown": _A(400, "There is no type of act with this name", "see the list: civic draft --help"),
    "asset.metadata-missing": _A(
        500,
        "The signed catalogue entry is not on this gateway",
        "tell the operator: the entry is restored from a backup, or handed in with a new version",
    ),
    "not-found.act": _A(
        404,
        "No act has this digest",
        "check the digest; the file of the act handed in again gives it: civic submit FILE",
    ),
    "not-found.condition": _A(
        404, "No condition is recorded under this number", "see the list: civic condition list"
    ),
    "not-found.department": _A(404, "No department has this number", "see the list: civic department list"),
    "not-found.grant": _A(404, "No grant is recorded under this id", "see the list: civic grants list"),
    "not-found.request": _A(404, "No request has this id", "see the list: civic requests list"),
    "request.state": _A(
        400,
        "The request is answered or withdrawn already",
        "read it again; make a new request if one is needed",
    ),
    "metadata.tampered": _A(
        400,
        "The catalogue entry is not the one that was signed",
        "do not use it; tell the operator and the holder of the dataset",
    ),
    "terms.tampered": _A(
        400, "The terms are not those that were signed", "do not use them; tell the operator and the grantor"
    ),
    "grant.tampered": _A(
        403,
        "What the service says of the grant is not what is on chain",
        "do not use it; keep the answer as evidence and tell the auditor",
    ),
    "grant.ancestor-terms-invalid": _A(
        403,
        "The terms of a grant above this one cannot be read",
        "tell the grantor: the grant above is granted anew",
    ),
}
