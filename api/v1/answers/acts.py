"""What became of a signed act."""

from __future__ import annotations

from typing import Literal

from api.http.spellings import Act, Address, Hash, Moment
from api.v1.answers.form import Absent, Answer, Document


class Warned(Answer):
    """What speaks against a taken act without refusing it."""

    code: str
    detail: str
    detail_zh: str | Absent = None
    pointer: str | Absent = None
    grant: Hash | Absent = None


class ProposalState(Answer):
    """An act as the outbox knows it."""

    digest: Act
    state: Literal[
        "awaiting-file", "received", "submitted", "mined", "recorded", "failed", "expired", "documents-kept"
    ]
    reason: str | Absent = None
    tx_hash: Hash | Absent = None
    block: int | Absent = None
    receipt: str | Absent = None
    skipped: list[Document] | Absent = None


class ActState(ProposalState):
    """An act on its way or recorded. ``ready_at``: from when a proposed admission can be activated, with its ``proposal``;
    ``skipped``: what a recorded batch passed over; ``documents``: those of an act on record that were kept again."""

    proposal: ProposalState | Absent = None
    ready_at: Moment | Absent = None
    documents: list[Hash] | Absent = None
    warnings: list[Warned] | Absent = None


class Acceptance(Answer):
    """A grant that its grantee's officer accepted."""

    grant: Hash
    officer: Address
    receipt: str
