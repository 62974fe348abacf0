"""Answers of the analyses of terms."""

from __future__ import annotations

from typing import Any, Literal

from api.http.spellings import Hash, Moment
from api.v1.answers.form import Absent, Answer


class Witness(Answer):
    """An example call that shows an answer, in the form that the engine takes."""

    request: dict[str, Any]
    context: dict[str, Any]


class Named(Answer):
    """Terms and their hash, as in a grant."""

    name: str
    termsHash: Hash


class Conflict(Answer):
    """A permission and a prohibition (name and rule) that both apply to the witness."""

    permission: list[str]
    prohibition: list[str]
    witness: Witness


class Conflicts(Answer):
    """The conflicts; ``unknown`` if it could not be proved that there is none."""

    verdict: Literal["conflict", "compatible", "unknown"]
    found: list[Conflict]


class Unreachable(Answer):
    """A rule that never has an effect, and the reason."""

    name: str
    rule: str
    cause: str


class Check(Answer):
    """Hashes, conflicts, and rules without effect."""

    terms: list[Named]
    conflicts: Conflicts
    unreachable: list[Unreachable]


class ReasonSeen(Answer):
    """A reason of a refusal, with the seen and the wanted value."""

    code: str
    grant: str | Absent = None
    rule: str | Absent = None
    constraint: str | Absent = None
    seen: str | Absent = None
    wanted: str | Absent = None
    ancestor: str | Absent = None


class Decided(Answer):
    """A decision: a permit with its terms and columns, or a refusal with its reasons."""

    decision: Literal["permit", "deny"]
    terms: str | Absent = None
    columns: list[str] | Absent = None
    version: int | Absent | None = None
    reasons: list[ReasonSeen] | Absent = None


class Change(Answer):
    """One difference, shown by the decisions on the witness."""

    kind: Literal["newly permitted", "newly denied", "bounds changed"]
    before: Decided
    after: Decided
    witness: Witness


class Difference(Answer):
    """The effects of a change of terms; there may be others unless it is ``exhaustive``."""

    changes: list[Change]
    exhaustive: bool


class Access(Answer):
    """One permitted access. ``certain``: a plain call is permitted without further conditions."""

    assignee: str
    terms: str
    rule: str
    purposes: list[str]
    columns: list[str]
    version: int | None
    until: Moment | None
    certain: bool
    conditions: list[str]
    limits: list[str]


class Reach(Access):
    """One permitted access to one dataset."""

    asset: str
    action: str


class WhoCan(Answer):
    """The departments that the grants in force permit."""

    who: list[Access]


class WhatCan(Answer):
    """The datasets that the grants in force permit to use."""

    what: list[Reach]
