"""What the analyses of terms answer."""

from __future__ import annotations

from typing import Any, Literal

from api.http.spellings import Hash, Moment
from api.v1.answers.form import Absent, Answer


class Witness(Answer):
    """A call on which an answer can be seen, as the engine takes it."""

    request: dict[str, Any]
    context: dict[str, Any]


class Named(Answer):
    """Terms and their hash, as they go into a grant."""

    name: str
    termsHash: Hash


class Conflict(Answer):
    """A permission and a prohibition (name and rule) that both apply to the witness."""

    permission: list[str]
    prohibition: list[str]
    witness: Witness


class Conflicts(Answer):
    """``unknown`` when it could not be proved that there is none."""

    verdict: Literal["conflict", "compatible", "unknown"]
    found: list[Conflict]


class Unreachable(Answer):
    """A rule that never has an effect, and why."""

    name: str
    rule: str
    cause: str


class Check(Answer):
    """Hashes, conflicts, and rules without effect."""

    terms: list[Named]
    conflicts: Conflicts
    unreachable: list[Unreachable]


class ReasonSeen(Answer):
    """Why a call is refused; what was seen and what was wanted."""

    code: str
    grant: str | Absent = None
    rule: str | Absent = None
    constraint: str | Absent = None
    seen: str | Absent = None
    wanted: str | Absent = None
    ancestor: str | Absent = None


class Decided(Answer):
    """A decision: where it is a permit with its terms and columns, otherwise with its reasons."""

    decision: Literal["permit", "deny"]
    terms: str | Absent = None
    columns: list[str] | Absent = None
    version: int | Absent | None = None
    reasons: list[ReasonSeen] | Absent = None


class Change(Answer):
    """One difference, seen in the decisions on the witness."""

    kind: Literal["newly permitted", "newly denied", "bounds changed"]
    before: Decided
    after: Decided
    witness: Witness


class Difference(Answer):
    """What a change of terms does; there may be more where it is not ``exhaustive``."""

    changes: list[Change]
    exhaustive: bool


class Access(Answer):
    """One way in. ``certain``: a plain call is let through as it is."""

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
    """One way into one dataset."""

    asset: str
    action: str


class WhoCan(Answer):
    """Everybody whom the grants in force let in."""

    who: list[Access]


class WhatCan(Answer):
    """Everything that the grants in force open."""

    what: list[Reach]
