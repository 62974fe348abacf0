"""What the engine is asked, and what it answers: plain frozen values, no behaviour.

Identifiers of parties and assets are opaque IRIs here (``urn:civic:dept:7``, ``urn:civic:asset:7.12``);
this package does not know how the chain numbers them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from access_policy.privacy.transforms import Transform
from access_policy.rows import RowPredicate


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as asked.

    ``columns`` are the columns the caller wants released (empty: every granted one); ``filter_columns``
    the columns its own predicates look at. ``attributes`` carries further ODRL left operands of the caller
    (legal basis, recipient, spatial code, format, language) by their vocabulary id.
    """

    assignee: str
    asset: str
    action: str
    purpose: str
    columns: tuple[str, ...] = ()
    filter_columns: tuple[str, ...] = ()
    attributes: Mapping[str, str | int | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What is true at the moment of the call; the engine has no clock of its own.

    ``now`` is timezone-aware UTC. ``used`` counts the uses already charged, per grant id. ``duties`` gives
    the state of each duty by its id (``access_policy.duties.duty_key``). ``collections`` maps a party or asset to
    every collection it is in, directly or through another. ``first_used`` is the instant of a grant's first use.
    """

    now: datetime
    used: Mapping[str, int] = field(default_factory=dict)
    duties: Mapping[str, Literal["fulfilled", "unfulfilled"]] = field(default_factory=dict)
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first_used: Mapping[str, datetime] = field(default_factory=dict)


class Reason(NamedTuple):
    """Why a grant (or the absence of one) refused the request.

    A named tuple and not a dataclass: it is by far the most often made value, and made three times as fast so.

    ``code`` is stable (``purpose.mismatch``, ``grant.expired``, ``column.not-granted`` ...). ``seen`` and
    ``wanted`` may hold values of the request; ``redacted()`` drops them. ``ancestor`` is the grant, above the delegated
    ``grant``, whose terms refuse; ``rule`` and ``constraint`` are those of its terms then.
    """

    code: str
    grant: str | None = None
    rule: str | None = None
    constraint: str | None = None
    seen: str | None = None
    wanted: str | None = None
    ancestor: str | None = None

    def redacted(self) -> Reason:
        """The same reason without the values seen and wanted."""
        return Reason(self.code, self.grant, self.rule, self.constraint, ancestor=self.ancestor)


@dataclass(frozen=True, slots=True)
class DutyNotice:
    """A duty that comes with a permit: what, by when (ISO 8601 duration or instant), in which state."""

    id: str
    action: str
    due: str | None
    state: Literal["fulfilled", "unfulfilled", "pending"]


@dataclass(frozen=True, slots=True)
class Permit:
    """The call may go on, within these bounds.

    ``columns`` are those that may be released now (requested and granted), in the order of the terms.
    ``row_filter`` is the steward's filter, applied to source values. ``transforms`` holds an entry for each
    column that is not released as it is. ``filter_columns`` are those the caller's own predicates look at; they are
    granted too, but not released. ``protected`` says that the rule alters some column, asked for or not: its rows must
    not come in source order. ``options`` may hold ``cohort`` (least persons per published group) and ``epsilon``
    (privacy budget of the grant, decimal text). ``until`` is the instant from which the grant ends.
    """

    grant: str
    rule: str
    columns: tuple[str, ...]
    row_filter: RowPredicate | None
    transforms: Mapping[str, Transform]
    duties: tuple[DutyNotice, ...] = ()
    max_uses: int | None = None
    options: Mapping[str, str | int] = field(default_factory=dict)
    filter_columns: tuple[str, ...] = ()
    until: datetime | None = None
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is refused; at least one reason, the most specific first."""

    reasons: tuple[Reason, ...]


Decision: TypeAlias = Permit | Deny
