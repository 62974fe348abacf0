"""Narrowing a permit of a delegated grant by its ancestors.

For each ancestor the same call by the ancestor's assignee is decided. This module intersects its permit with that of the
delegated grant, one ancestor after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from access_policy.decision.answers import Deny, Permit, Reason
from access_policy.decision.combined import combined
from access_policy.terms.rows import And, RowPredicate
from access_policy.terms.transforms import Keep, Transform

_T = TypeVar("_T", int, datetime)


def narrowed(permit: Permit, above: Permit) -> Permit | Deny:
    """The intersection of two permits: common columns and rows, the protection of both, the stricter bounds. `Deny` when
    nothing remains."""
    columns = tuple(c for c in permit.columns if c in above.columns)
    if not columns:
        seen, wanted = ", ".join(permit.columns), ", ".join(above.columns)
        return Deny((Reason("column.not-granted", above.grant, above.rule, None, seen, wanted),))
    transforms = _protected(permit, above, {*columns, *permit.filter_columns})
    if isinstance(transforms, str):
        return Deny((Reason("transform.incompatible", above.grant, above.rule, None, transforms),))
    return replace(
        permit,
        columns=columns,
        row_filter=both(permit.row_filter, above.row_filter),
        transforms=transforms,
        duties=permit.duties + above.duties,
        max_uses=_least(permit.max_uses, above.max_uses),
        options=_tighter(permit.options, above.options),
        until=_least(permit.until, above.until),
        protected=permit.protected or above.protected,
        version=permit.version or above.version,
    )


def _protected(permit: Permit, above: Permit, names: set[str]) -> Mapping[str, Transform] | str:
    """The transforms of these columns that satisfy both permits, or the name of a column without such a transform."""
    found: dict[str, Transform] = {}
    for name in sorted(names & {*permit.transforms, *above.transforms}):
        transform = combined(permit.transforms.get(name, Keep()), above.transforms.get(name, Keep()))
        if transform is None:
            return name
        found[name] = transform
    return MappingProxyType(found)


def both(one: RowPredicate | None, other: RowPredicate | None) -> RowPredicate | None:
    """The conjunction of two row predicates; a common condition occurs once."""
    parts = tuple(dict.fromkeys((*conditions(one), *conditions(other))))
    return None if not parts else parts[0] if len(parts) == 1 else And(parts)


def conditions(rows: RowPredicate | None) -> tuple[RowPredicate, ...]:
    """The conjuncts of a row predicate."""
    if rows is None:
        return ()
    return tuple(c for part in rows.parts for c in conditions(part)) if isinstance(rows, And) else (rows,)


def _least(one: _T | None, other: _T | None) -> _T | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _tighter(one: Mapping[str, str | int], other: Mapping[str, str | int]) -> Mapping[str, str | int]:
    found = {**other, **one}
    if "cohort" in one and "cohort" in other:
        found["cohort"] = max(int(one["cohort"]), int(other["cohort"]))
    if "epsilon" in one and "epsilon" in other:
        found["epsilon"] = str(min(Decimal(one["epsilon"]), Decimal(other["epsilon"])))
    return MappingProxyType(found)
