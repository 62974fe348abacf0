"""What the engine is asked, and what it answers: plain frozen values, no behaviour.

Identifiers of parties and assets are opaque IRIs here (``urn:civic:dept:7``, ``urn:civic:asset:7.12``);
this package does not know how the chain numbers them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from access_policy.terms.rows import RowPredicate
from access_policy.terms.transforms import Transform


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as asked.

    ``columns`` are the columns the caller wants released (empty: every granted one); ``filter_columns``
    the columns its own predicates look at. ``attributes`` carries further ODRL left operands of the caller
    (legal basis, recipient, spatial code, format, language) by their vocabulary id. ``version`` is the version of the
    asset that the call names; None: it names none.
    """

    assignee: str
    asset: str
    action: str
    purpose: str
    columns: tuple[str, ...] = ()
    filter_columns: tuple[str, ...] = ()
    attributes: Mapping[str, str | int | tuple[str, ...]] = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What is true at the moment of the call; the engine has no clock of its own.

    ``now`` is timezone-aware UTC. ``used`` counts the uses already charged, per grant id. ``duties`` gives
    the state of each duty by its id (``access_policy.terms.duties.duty_key``). ``collections`` maps a party or asset to
    every collection it is in, directly or through another. ``first_used`` is the instant of a grant's first use.
    ``version`` is the asset's current version; None where that is not known.
    """

    now: datetime
    used: Mapping[str, int] = field(default_factory=dict)
    duties: Mapping[str, Literal["fulfilled", "unfulfilled"]] = field(default_factory=dict)
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first_used: Mapping[str, datetime] = field(default_factory=dict)
    version: int | None = None


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
    (privacy budget of the grant, decimal text). ``until`` is the instant from which the grant ends. ``version`` is the version
    of the asset that the terms pin; None: they give the current one.
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
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is refused; at least one reason, the most specific first."""

    reasons: tuple[Reason, ...]


Decision: TypeAlias = Permit | Deny


# --- which version of its dataset a permission reads -----------------------------------------------------------------
# The one that it pins, otherwise the current one. A call may name a version, and then it is for that one. A call that names
# none is for the current version where any permission gives it, otherwise for the newest that one pins. So a pinned grant takes
# nothing from a grant without a pin, and goes on reading its version when a newer one took its place.

CURRENT = "current"
"""What a permission without a pin wants, in a reason."""


def fits(pin: int | None, request: Request, context: Context) -> bool | None:
    """Whether a permission with this pin (None: without one) reads the version that the call is for; None when nobody
    said which version is the current one."""
    if pin is not None:
        return request.version in (None, pin)
    if request.version is None:
        return True
    return None if context.version is None else request.version == context.version


def version_seen(request: Request, context: Context) -> str | None:
    """The version that the call is for and, where it is known, the current one: ``2 of 4``."""
    asked = request.version if request.version is not None else context.version
    return version_text(asked, context.version)


def version_text(number: int | None, current: int | None) -> str | None:
    """A version and, where it is known, the current one: ``2 of 4``."""
    if number is None or current is None:
        return None if number is None else str(number)
    return f"{number} of {current}"


def in_order(pins: Sequence[int | None], request: Request, context: Context) -> Iterable[int]:
    """The places of permissions with these pins, in the order in which they answer: for a call that names no version those
    that read the current one first, then those of the newest version; within a version as they stand."""
    places = range(len(pins))
    if request.version is not None:
        return places

    def rank(place: int) -> int:
        pin = pins[place]
        return 0 if pin is None or pin == context.version else -pin + (1 << 33)

    return sorted(places, key=rank)


def situations(pins: Iterable[int], current: int | None) -> Iterator[tuple[int | None, int]]:
    """What terms with these pins can tell apart: the version that a call names, if any, and the current one. Only versions
    that exist are pinned, so the current one is the last of them or a later one; ``current`` is another that matters."""
    known = set(pins)
    last = max(known)
    for now in sorted({last, last + 1} | (set() if current is None else {current, current + 1})):
        for asked in (None, *sorted(n for n in known | {now} if n <= now)):
            yield asked, now
