"""Finding what delegated terms permit and the terms above them do not, before the terms are recorded.

Both terms are evaluated for every call that they can distinguish, as if they were granted to the same party. The engine would
refuse the wider part at each call; this analysis warns the signer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from access_policy.analysis.space import space_of
from access_policy.decision.answers import Permit
from access_policy.decision.chains import conditions
from access_policy.decision.combined import combined
from access_policy.decision.compiled import Grant, compile_grant
from access_policy.decision.engine import Engine
from access_policy.terms.agreement import Agreement, Party
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Or, RowPredicate, Scalar, columns_of
from access_policy.terms.transforms import Keep

MAX_ROWS = 20_000
"""The most rows on which two filters are compared. Filters that distinguish more are reported as wider unless one contains
the other."""

_GRANT = "grant"


@dataclass(frozen=True, slots=True)
class Wider:
    """One thing that is wider: the code of the refusal above (``purpose.mismatch``, ``column.not-granted`` ...), or
    ``rows.wider``, ``transform.weaker``, ``transform.incompatible``, ``cohort.smaller``, ``epsilon.larger``; what the
    delegated terms give (``seen``), and what the terms above want."""

    code: str
    seen: tuple[str, ...] = ()
    wanted: str | None = None


def wider(child: Agreement, above: Agreement, version: int | None = None) -> tuple[Wider, ...]:
    """What ``child`` releases and ``above`` does not; empty when nothing was found.

    Duties of the terms above are ignored: they apply in addition. A version that the child pins is compared with what the
    terms above permit while ``version`` is the current one; under terms without a pin this ends with the next version.
    """
    assert child.assignee is not None
    assert above.assignee is not None
    same = replace(above, assignee=Party(child.assignee.id, above.assignee.refinements))
    engines = _asked(child), _asked(same)
    found: dict[str, tuple[dict[str, None], str | None]] = {}
    compared: set[tuple[object, ...]] = set()
    grants = compile_grant(_GRANT, child), compile_grant(_GRANT, same)
    for one in _outside(*grants):
        found[one.code] = dict.fromkeys(one.seen), one.wanted
    for request, context in space_of(grants, with_duties=False, version=version).situations():
        below = engines[0].decide(request, context)
        if not isinstance(below, Permit):
            continue
        if below.version is not None and context.version != (version or below.version):
            continue
        answer = engines[1].decide(replace(request, version=below.version or context.version), context)
        if isinstance(answer, Permit):
            pair = (below.rule, answer.rule, below.columns)
            told = () if pair in compared else tuple(_looser(below, answer))
            compared.add(pair)
        else:
            told = tuple(Wider(r.code, (r.seen or "",), r.wanted) for r in answer.reasons)
        for one in told:
            seen, _ = found.setdefault(one.code, ({}, one.wanted))
            seen.update(dict.fromkeys(part for text in one.seen for part in text.split(", ") if part))
    return tuple(Wider(code, tuple(seen), wanted) for code, (seen, wanted) in sorted(found.items()))


def _outside(child: Grant, above: Grant) -> Iterator[Wider]:
    """Actions and columns that no permission above gives under any conditions, found without evaluating calls."""
    given = [
        (action for rule in above.rules for action in rule.covers),
        (c for r in above.rules for c in r.columns),
    ]
    taken = [
        (action for rule in child.rules for action in rule.covers),
        (c for r in child.rules for c in r.columns),
    ]
    for code, known, wished in zip(("action.not-granted", "column.not-granted"), given, taken, strict=True):
        allowed = sorted(set(known))
        if more := sorted(set(wished).difference(allowed)):
            yield Wider(code, tuple(more), ", ".join(allowed))


def _asked(terms: Agreement) -> Engine:
    engine = Engine(inactive_without_duties=False)
    engine.add(_GRANT, terms)
    return engine


def _looser(below: Permit, above: Permit) -> Iterator[Wider]:
    """What the permit ``below`` releases of the same columns and ``above`` does not."""
    if above.row_filter is not None and not implies(below.row_filter, above.row_filter):
        yield Wider("rows.wider")
    for column in below.columns:
        own = below.transforms.get(column, Keep())
        least = combined(own, above.transforms.get(column, Keep()))
        if least != own:
            yield Wider("transform.incompatible" if least is None else "transform.weaker", (column,))
    cohort = above.options.get("cohort")
    if cohort is not None and int(below.options.get("cohort", 0)) < int(cohort):
        yield Wider("cohort.smaller", (str(below.options.get("cohort", "")),), str(cohort))
    epsilon = above.options.get("epsilon")
    if epsilon is not None and Decimal(below.options.get("epsilon", "Infinity")) > Decimal(epsilon):
        yield Wider("epsilon.larger", (str(below.options.get("epsilon", "")),), str(epsilon))


# --- rows ------------------------------------------------------------------------------------------------------------


def implies(narrow: RowPredicate | None, wide: RowPredicate) -> bool:
    """Whether every row that satisfies ``narrow`` (None: every row) satisfies ``wide``; False if it could not be shown.

    Values of a column are ordered as numbers or as texts, and a value is assumed between any two compared values.
    """
    if set(conditions(wide)) <= set(conditions(narrow)):
        return True
    compared: dict[str, set[Scalar]] = {}
    for predicate in (narrow, wide) if narrow is not None else (wide,):
        for column in columns_of(predicate):
            compared.setdefault(column, set()).update(_compared(predicate, column))
    tried = {column: _tried(values) for column, values in sorted(compared.items())}
    size = 1
    for values in tried.values():
        size *= len(values)
    if size == 0 or size > MAX_ROWS:
        return False
    rows = (dict(zip(tried, values, strict=True)) for values in itertools.product(*tried.values()))
    return all(_holds(wide, row) is True for row in rows if narrow is None or _holds(narrow, row) is True)


def _compared(predicate: RowPredicate, column: str) -> set[Scalar]:
    match predicate:
        case Compare(name, _, value):
            return {value} if name == column else set()
        case In(name, values):
            return set(values) if name == column else set()
        case And(parts) | Or(parts):
            return set().union(*(_compared(part, column) for part in parts))
        case Not(part):
            return _compared(part, column)
    return set()


def _tried(values: set[Scalar]) -> list[Scalar | None]:
    """The values to try: null, every compared value, and one between and beyond them; empty without a common order."""
    texts = sorted(v for v in values if isinstance(v, str))
    numbers = sorted(v for v in values if isinstance(v, int | float) and not isinstance(v, bool))
    flags = [v for v in values if isinstance(v, bool)]
    if sum(map(bool, (texts, numbers, flags))) > 1:
        return []
    if flags:
        return [None, False, True]
    if texts:
        return [None, "", *texts, *(text + "\0" for text in texts)]
    if numbers:
        between = [(a + b) / 2 for a, b in itertools.pairwise(numbers)]
        return [None, *numbers, *between, numbers[0] - 1, numbers[-1] + 1]
    return [None, ""]


_ORDER: dict[str, Callable[[int], bool]] = {
    "eq": lambda c: c == 0,
    "neq": lambda c: c != 0,
    "lt": lambda c: c < 0,
    "lteq": lambda c: c <= 0,
    "gt": lambda c: c > 0,
    "gteq": lambda c: c >= 0,
}


def _holds(predicate: RowPredicate, row: Mapping[str, Scalar | None]) -> bool | None:
    """Evaluate a predicate in SQL's three-valued logic: a comparison with null is unknown (None)."""
    match predicate:
        case Compare(column, op, value):
            found = row[column]
            return None if found is None else _ORDER[op](_order(found, value))
        case In(column, values):
            found = row[column]
            return None if found is None else found in values
        case IsNull(column):
            return row[column] is None
        case And(parts):
            states = [_holds(part, row) for part in parts]
            return False if False in states else None if None in states else True
        case Or(parts):
            states = [_holds(part, row) for part in parts]
            return True if True in states else None if None in states else False
        case Not(part):
            state = _holds(part, row)
            return None if state is None else not state


def _order(found: Scalar, value: Scalar) -> int:
    if isinstance(found, str) or isinstance(value, str):
        one, other = str(found), str(value)
        return (one > other) - (one < other)
    return (found > value) - (found < value)
