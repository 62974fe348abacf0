"""Codes of the audit log: writing, retention, witnesses and verification."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

LOG: Mapping[str, _A] = {
    "audit.disclosure": _A(
        500,
        "A disclosure is not what the entry commits to",
        "do not rely on it; ask for the opening of this entry again",
    ),
    "audit.event_conflict": _A(
        500,
        "Some of these entries are in the log already",
        "tell the operator: two services may write one log",
    ),
    "audit.event_invalid": _A(
        500, "An entry breaks the limits of the log", "tell the operator; nothing was written"
    ),
    "audit.freed_pages": _A(
        500,
        "Erased rows may still lie in the database's files",
        "nothing: it is tried again; stop long readers of the database",
    ),
    "audit.header_proof": _A(
        500, "No proof can be made of the node's answers", "name another node with CIVIC_RPC_URL"
    ),
    "audit.key_not_current": _A(
        500,
        "The log is signed with another key now",
        "fetch the newest trust file, and check the hand-over of the key in it",
    ),
    "audit.log_corrupt": _A(
        500,
        "The stored log does not add up to its head",
        "stop the service; restore the newest backup, or continue in a new epoch",
    ),
    "audit.lost_entries": _A(
        500,
        "The bundle of the lost entries does not belong to this log",
        "give a bundle that an auditor exported from this log before the loss",
    ),
    "audit.note_invalid": _A(
        500,
        "A signed head is malformed, or its signature does not hold",
        "do not rely on it; fetch it again, and check the trust file",
    ),
    "audit.proof": _A(
        500,
        "A proof does not lead to the head",
        "do not rely on it; keep it as evidence and tell the auditor",
    ),
    "audit.retention": _A(
        500, "The retention profile breaks a rule", "correct the profile as the detail says"
    ),
    "audit.tile": _A(
        500, "A part of the log could not be fetched", "try again; another copy of the log will do as well"
    ),
    "audit.timestamp": _A(
        500,
        "The answer is no timestamp of this head by a trusted service",
        "check the certificates of the timestamp service",
    ),
    "audit.timestamp_extra": _A(
        500,
        "Timestamps need an extra that is not installed",
        "install civicledger with its extra: timestamps",
    ),
    "audit.timestamp_unavailable": _A(
        500,
        "The timestamp service did not answer",
        "nothing: it is asked again; check its address if this lasts",
    ),
    "audit.too-long": _A(
        500,
        "The check reached its time limit",
        "this says nothing about the log: raise the limit, or check a bundle offline",
    ),
    "audit.trust": _A(
        500,
        "The trust file cannot be used",
        "ask the operator and one independent party for the trust file, and compare both",
    ),
    "audit.vault_key": _A(
        500,
        "The opening cannot be read with this vault",
        "tell the operator: the vault is another one, or a row was changed",
    ),
    "audit.not_replayable": _A(
        500, "The decision cannot be run again from the log", "nothing: its opening was erased or never kept"
    ),
    "audit.witness_conflict": _A(
        500,
        "The witness saw another history of this log",
        "stop and tell the auditor: there may be two logs under one name",
    ),
    "audit.witness_key": _A(
        500, "The witness did not sign with the expected key", "check the witness's key in CIVIC_WITNESSES"
    ),
    "audit.witness_malformed": _A(
        500, "The witness's answer breaks its protocol", "check the address in CIVIC_WITNESSES"
    ),
    "audit.witness_refused": _A(500, "The witness gave no cosignature", "see its reason in the detail"),
    "audit.witness_unreachable": _A(
        500,
        "The witness did not answer in time",
        "nothing: it is asked again; check CIVIC_WITNESSES if this lasts",
    ),
    "log.rollback": _A(
        503,
        "The log is not an extension of what this client has seen",
        "keep the state directory as evidence and tell the auditor",
    ),
    "log.unavailable": _A(
        503,
        "The audit log cannot take entries now",
        "try again later: nothing is released that is not in the log",
    ),
    "anchor.failing": _A(
        503,
        "The newest head could not be anchored",
        "nothing: it is tried again; the operator checks the chain",
    ),
}
