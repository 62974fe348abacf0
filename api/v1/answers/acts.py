"""Answers about a signed act."""

from __future__ import annotations

from typing import Literal

from api.http.spellings import Act, Address, Hash, Moment
from api.v1.answers.form import Absent, Answer, Document


class Warned(Answer):
    """A warning about an accepted act."""

    code: str
    detail: str
    detail_zh: str | Absent = None
    pointer: str | Absent = None
    grant: Hash | Absent = None


class ProposalState(Answer):
    """The state of an act in the outbox."""

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
    """A pending or recorded act. ``ready_at``: when a proposed admission can be activated, with its
    ``proposal``; ``skipped``: the items that a recorded batch left out; ``documents``: the documents of a
    recorded act that were stored again."""

    proposal: ProposalState | Absent = None
    ready_at: Moment | Absent = None
    documents: list[Hash] | Absent = None
    warnings: list[Warned] | Absent = None


class Acceptance(Answer):
    """A grant that an officer of its grantee accepted."""

    grant: Hash
    officer: Address
    receipt: str
