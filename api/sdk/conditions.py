"""Drafts for conditions: opening one, binding grants to it, ending it. `api.sdk.drafts` signs and hands in.

The chain has only the SHA-256 of an *opening*, which contains a random salt, so that it cannot be found by trying
names or case numbers. The keeper keeps the opening, which says what the condition is (whose consent, which case).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from api.sdk.acts import ActDraft, ActFileError
from api.sdk.codes import CONDITION_ENDS, CONDITION_KINDS, number_of
from api.sdk.drafting import document_hash, draft_act
from ledger.ids import parse_condition, parse_grant


def new_opening(reference: str) -> dict[str, str]:
    """The document that the keeper keeps: the reference in words and 32 random bytes; its `document_hash` is the
    commitment."""
    return {"reference": reference, "salt": secrets.token_hex(32)}


def draft_condition(
    condition: str, kind: str, opening: Mapping[str, Any], *, deadline: int | None = None
) -> ActDraft:
    """A condition ``keeper.sequence`` is opened: signed by a STEWARD or an ATTEST key of the keeper.

    ``kind`` is consent, case, order or agreement. The opening is hashed here and not handed in.
    """
    message = {
        "condition": parse_condition(condition),
        "kind": number_of(CONDITION_KINDS, kind),
        "commitment": document_hash(opening),
    }
    return draft_act("OpenCondition", message, deadline=deadline)


def draft_binding(grant: str, condition: str, *, deadline: int | None = None) -> ActDraft:
    """A grant is bound to a condition permanently: signed by a STEWARD or CDO of the department that holds the
    right."""
    message = {
        "grant": parse_grant(grant),
        "condition": parse_condition(condition),
    }
    return draft_act("BindCondition", message, deadline=deadline)


def draft_end(
    condition: str, reason: str, *, revoke: ActDraft | None = None, deadline: int | None = None
) -> ActDraft:
    """A condition ends permanently, and with it every grant that is bound to it: signed by a STEWARD or an ATTEST
    key of the keeper.

    ``reason`` is withdrawn, closed, lapsed or mistaken. ``revoke`` is a signed Revoke that is sent to the ledger in
    the same transaction; `ActFileError` if it is something else.
    """
    message = {
        "condition": parse_condition(condition),
        "reason": number_of(CONDITION_ENDS, reason),
    }
    arguments = {} if revoke is None else {"revoke": _signed_revoke(revoke)}
    return draft_act("CloseCondition", message, arguments=arguments, deadline=deadline)


def _signed_revoke(draft: ActDraft) -> dict[str, Any]:
    """The struct that the contract passes to the ledger."""
    if draft.type != "Revoke" or len(draft.signatures) != 1 or draft.arguments:
        raise ActFileError(
            "this is not a Revoke with one signature",
            hint="civic revoke GRANT --save FILE, signed by its officer",
        )
    signature = draft.signatures[0].removeprefix("0x")
    return {
        **draft.message,
        "r": "0x" + signature[:64],
        "s": "0x" + signature[64:128],
        "v": int(signature[128:], 16),
    }
