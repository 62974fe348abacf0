"""Parts of every draft of an act: a deadline, a salt, the council's epoch, the hash of a document."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from api.sdk.acts import ActDraft
from ledger.chain.messages import fields, normalise

Document = Mapping[str, Any]
HOUR = 3600


def deadline_in(seconds: int = HOUR) -> int:
    """Unix seconds, that long from now."""
    return int(time.time()) + seconds


def new_salt() -> int:
    """A random number that distinguishes two otherwise equal messages (53 bits, so that every JSON parser can hold
    it)."""
    return secrets.randbits(53)


def document_hash(document: Document) -> str:
    """SHA-256 over the RFC 8785 form, 0x-hex: how messages name documents."""
    return "0x" + hashlib.sha256(rfc8785.dumps(dict(document))).hexdigest()


def draft_act(
    kind: str,
    members: Mapping[str, Any],
    documents: Sequence[Document] = (),
    *,
    arguments: Mapping[str, Any] | None = None,
    epoch: int | None = None,
    deadline: int | None = None,
    request: str | None = None,
) -> ActDraft:
    """An act of any type from its ``members``; `MessageError` if they are not those of the type.

    Missing members that need no choice are filled in if the type has them: ``deadline`` (an hour from now by
    default), ``salt``, and ``epoch``, that of the council in office; a message that replaces the council names the
    next epoch. ValueError for a message that the council may sign, without its epoch.
    """
    known, filled = {member.name for member in fields(kind)}, dict(members)
    if "deadline" in known:
        filled.setdefault("deadline", deadline_in() if deadline is None else deadline)
    if "salt" in known:
        filled.setdefault("salt", new_salt())
    if "epoch" in known and "epoch" not in filled:
        if epoch is None:
            raise ValueError("a message that the council may sign names its epoch")
        filled["epoch"] = epoch + 1 if kind == "ReplaceCouncil" else epoch
    return ActDraft(kind, normalise(kind, filled), tuple(documents), arguments or {}, request=request)
