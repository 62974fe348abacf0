"""The input and the result of the engine: frozen values.

Parties and assets are opaque IRIs (``urn:civic:dept:7``, ``urn:civic:asset:7.12``); this package does not use their numbers on
chain.
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
    """One call.

    ``columns`` are the columns to be released (empty: all granted ones); ``filter_columns`` are those that the call's
    predicates use. ``attributes`` holds further ODRL left operands of the caller (legal basis, recipient, spatial code,
    format, language) by their vocabulary id. ``version`` is the version of the asset that the call names, or None.
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
    """The facts at the time of the call; the engine has no clock.

    ``now`` is timezone-aware UTC. ``used`` maps grant ids to charged uses. ``duties`` maps duty ids
    (``access_policy.terms.duties.duty_key``) to states. ``collections`` maps a party or asset to all collections that contain
    it, directly or indirectly. ``first_used`` maps grant ids to the time of the first use. ``version`` is the asset's current
    version; None if unknown.
    """

    now: datetime
    used: Mapping[str, int] = field(default_factory=dict)
    duties: Mapping[str, Literal["fulfilled", "unfulfilled"]] = field(default_factory=dict)
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first_used: Mapping[str, datetime] = field(default_factory=dict)
    version: int | None = None


class Reason(NamedTuple):
    """Why a grant refused the request, or that there is no grant.

    It is a named tuple because it is created very often, and creating a dataclass takes three times as long.

    ``code`` is stable (``purpose.mismatch``, ``grant.expired``, ``column.not-granted`` ...). ``seen`` and ``wanted`` may
    contain values of the request; ``redacted()`` removes them. ``ancestor`` is the ancestor of the delegated ``grant`` whose
    terms refuse; ``rule`` and ``constraint`` are then those of its terms.
    """

    code: str
    grant: str | None = None
    rule: str | None = None
    constraint: str | None = None
    seen: str | None = None
    wanted: str | None = None
    ancestor: str | None = None

    def redacted(self) -> Reason:
        """The same reason without ``seen`` and ``wanted``."""
        return Reason(self.code, self.grant, self.rule, self.constraint, ancestor=self.ancestor)


@dataclass(frozen=True, slots=True)
class DutyNotice:
    """A duty of a permit: its action, its limit (ISO 8601 duration or instant), and its state."""

    id: str
    action: str
    due: str | None
    state: Literal["fulfilled", "unfulfilled", "pending"]


@dataclass(frozen=True, slots=True)
class Permit:
    """The call is permitted within these bounds.

    ``columns`` are the columns to release (requested and granted), in the order of the terms. ``row_filter`` is the steward's
    filter on source values. ``transforms`` has an entry for each column that is not released unchanged. ``filter_columns``
    are used by the call's predicates; they are granted, but not released. ``protected`` states that the rule transforms some
    column, requested or not, so rows must not be released in source order. ``options`` may have ``cohort`` (least persons in
    a published group) and ``epsilon`` (privacy budget of the grant, decimal text). ``until`` is the end of the grant
    (exclusive). ``version`` is the pinned version of the asset; None for the current one.
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
    """The call is refused. There is at least one reason; the most specific one is first."""

    reasons: tuple[Reason, ...]


Decision: TypeAlias = Permit | Deny


# --- which version of its dataset a permission reads -----------------------------------------------------------------
# A permission reads the version that it pins, or else the current one. A call that names a version is for that version. Any
# other call is for the current version if a permission gives it, or else for the newest pinned version. A pinned grant
# therefore does not restrict a grant without a pin, and it continues to read its version when there is a newer one.

CURRENT = "current"
"""The value of ``wanted`` in the reason of a permission without a pin."""


def fits(pin: int | None, request: Request, context: Context) -> bool | None:
    """Whether a permission with this pin (None: without one) reads the version of the call; None when the current version is
    unknown."""
    if pin is not None:
        return request.version in (None, pin)
    if request.version is None:
        return True
    return None if context.version is None else request.version == context.version


def version_seen(request: Request, context: Context) -> str | None:
    """The version of the call and the current one, if known, as text: ``2 of 4``."""
    asked = request.version if request.version is not None else context.version
    return version_text(asked, context.version)


def version_text(number: int | None, current: int | None) -> str | None:
    """A version and the current one, if known, as text: ``2 of 4``."""
    if number is None or current is None:
        return None if number is None else str(number)
    return f"{number} of {current}"


def in_order(pins: Sequence[int | None], request: Request, context: Context) -> Iterable[int]:
    """The indexes of permissions with these pins in the order of evaluation. For a call without a version, those that read the
    current version come first, then those of newer versions before older ones; the order within a version is kept."""
    places = range(len(pins))
    if request.version is not None:
        return places

    def rank(place: int) -> int:
        pin = pins[place]
        return 0 if pin is None or pin == context.version else -pin + (1 << 33)

    return sorted(places, key=rank)


def situations(pins: Iterable[int], current: int | None) -> Iterator[tuple[int | None, int]]:
    """The situations that terms with these pins can distinguish: pairs of the call's version (or None) and the current one.

    Only existing versions can be pinned, so the current one is the newest pinned version or a later one. ``current`` is one
    more current version to include.
    """
    known = set(pins)
    last = max(known)
    for now in sorted({last, last + 1} | (set() if current is None else {current, current + 1})):
        for asked in (None, *sorted(n for n in known | {now} if n <= now)):
            yield asked, now
