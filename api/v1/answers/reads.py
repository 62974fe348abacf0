"""The answers to a call for data except its rows, and the record of its release."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import WithJsonSchema
from typing_extensions import TypeAliasType

from api.http.spellings import Asset, Hash, Moment
from api.v1.answers.form import Absent, Answer, Document
from ledger.releases import State

Row = TypeAliasType(
    "Row",
    Annotated[
        dict[str, str | int | float | bool | None],
        WithJsonSchema(
            {
                "type": "object",
                "description": "the columns that were asked for and granted, each with its value",
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
            }
        ),
    ],
)
"""The requested and granted columns, each with its value; exact decimals and numbers beyond 2^53 are
texts."""


class Reason(Answer):
    """A reason of a refusal: the code, and the part of the terms that causes it."""

    code: str
    grant: Hash | Absent = None
    rule: str | Absent = None
    constraint: str | Absent = None
    ancestor: Hash | Absent = None


class Line(Answer):
    """One line of an explanation."""

    code: str
    text: str
    advice: str | Absent = None
    grant: str | Absent = None
    rule: str | Absent = None
    constraint: str | Absent = None
    ancestor: str | Absent = None


class Explanation(Answer):
    """A decision in words."""

    outcome: Literal["permit", "deny"]
    language: Literal["en", "zh"]
    headline: str
    lines: list[Line]


class Explained(Answer):
    """An explanation in both languages."""

    en: Explanation
    zh: Explanation


class Duty(Answer):
    """A duty of the reader, and its due time (ISO 8601, a duration or an instant)."""

    id: str
    action: str
    due: str | None
    state: Literal["fulfilled", "unfulfilled", "pending"]


class DryRun(Answer):
    """The decision that would be made, and the reasons; the members from ``grant`` on only if it would be a
    permit."""

    dry_run: Literal[True]
    decision: Literal["permit", "deny"]
    explanation: Explained
    candidates: list[Hash]
    reasons: list[Reason]
    grant: Hash | Absent = None
    version: int | Absent = None
    columns: list[str] | Absent = None
    transforms: list[str] | Absent = None
    plan: Document | Absent = None
    duties: list[Duty] | Absent = None


class Outcome(Answer):
    """The receipt of the outcome, and the disclosure of its commitment to the bytes that were sent; null
    after an erasure."""

    receipt: str
    disclosure: str | None


class Release(Answer):
    """The record of a release; ``outcome`` only for the key that called, null while the answer is being
    sent."""

    id: str
    state: State
    department: int
    asset: Asset
    version: int | None
    metadata_hash: Hash | None
    grant: Hash
    purpose: str
    action: str
    charged_at: Moment
    finished_at: Moment | None
    rows: int | None
    bytes: int | None
    response: str | None
    entry: str
    outcome: Outcome | Absent | None = None
