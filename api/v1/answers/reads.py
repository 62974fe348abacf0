"""What a call for data answers beside its rows, and the record that stays of it."""

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
"""The columns that were asked for and granted, each with its value; exact decimals and numbers beyond 2^53 are texts."""


class Reason(Answer):
    """Why a call is refused: the code, and what it lies in."""

    code: str
    grant: Hash | Absent = None
    rule: str | Absent = None
    constraint: str | Absent = None
    ancestor: Hash | Absent = None


class Line(Answer):
    """One thing that counts in an explanation."""

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
    """The same in both languages."""

    en: Explanation
    zh: Explanation


class Duty(Answer):
    """What whoever reads has to do, and by when (ISO 8601, a duration or an instant)."""

    id: str
    action: str
    due: str | None
    state: Literal["fulfilled", "unfulfilled", "pending"]


class DryRun(Answer):
    """What would be decided and why; the members from ``grant`` on where it would be permitted."""

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
    """The entry of the outcome, and what opens its commitment to the bytes that left: null once that was erased."""

    receipt: str
    disclosure: str | None


class Release(Answer):
    """The record of a release; ``outcome`` for the key that called alone, null while the answer is on its way."""

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
