"""The words of an agreement, shown to an officer before signing; the signed terms contain only its hash.

The words are made from the terms as the engine parses them. Every member that the engine knows has its words, and
nothing else is shown as a term. The author's free text (`author_words`) is not a term and is shown separately.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from access_policy.decision.compiled import compared_columns
from access_policy.decision.evaluation import concept_set
from access_policy.explain.phrases import operator_words
from access_policy.terms.agreement import ActionUse, Party, Permission, Prohibition, Terms
from access_policy.terms.constraints import Constraint, ConstraintNode, duration_text, instant_text
from access_policy.terms.duties import Duty
from access_policy.terms.rows import And, Compare, In, IsNull, Not, Or, RowPredicate
from access_policy.terms.targets import Target
from access_policy.terms.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Transform,
    Truncate,
)
from access_policy.terms.vocabulary import (
    ANY_DEPARTMENT,
    actions,
    call_purposes,
    duty_actions,
    legal_bases,
    purposes,
)
from api.terminal.language import language, say
from languages.moments import in_beijing
from languages.texts import N_, listed
from ledger.visible import json_line, quoted

Words = list[tuple[str, str]]

OPERANDS: dict[str, str] = {
    "purpose": N_("purpose"),
    "dateTime": N_("time"),
    "count": N_("uses"),
    "legalBasis": N_("legal basis"),
    "elapsedTime": N_("time since the first use, nothing before it"),
    "spatial": N_("area"),
    "recipient": N_("recipient"),
    "language": N_("language"),
    "fileFormat": N_("format"),
    "partyKind": N_("kind of party"),
    "version": N_("version that is read, also when there is a newer one"),
}
STATED = ("legalBasis", "spatial", "recipient", "language", "fileFormat", "partyKind")
"""Operands that the engine reads from attributes of the call, which the caller states and signs."""
JOINS: dict[str, str] = {
    "and": N_("all of"),
    "andSequence": N_("all of, in this order"),
    "or": N_("at least one of"),
    "xone": N_("exactly one of"),
}
CONFLICTS: dict[str, str] = {
    "prohibit": N_("a prohibition prevails over a permission"),
    "perm": N_("a permission prevails over a prohibition"),
    "invalid": N_("the whole agreement is void"),
}
_SIGNS = {"eq": "=", "neq": "≠", "lt": "<", "lteq": "≤", "gt": ">", "gteq": "≥"}


def agreement_words(terms: Terms) -> Words:
    """Every term of an agreement; each condition is a line of its own."""
    result: Words = [
        (say("between"), f"{quoted(terms.assigner or '')} → {_party(terms.assignee)}"),
        (say("name"), quoted(terms.uid)),
        (say("if rules conflict"), say(CONFLICTS[terms.conflict])),
    ]
    if terms.assessment is not None:
        result.append((say("impact assessment"), terms.assessment))
    for permission in terms.permissions:
        result += _rule(permission, say("permits"), upwards=False)
        result += [(say("  duty"), duty_words(duty)) for duty in permission.duties]
    for prohibition in terms.prohibitions:
        result += _rule(prohibition, say("prohibits"), upwards=True)
        result += [(say("  owed for an infringement"), duty_words(duty)) for duty in prohibition.remedies]
    result += [(say("obliges"), duty_words(duty)) for duty in terms.obligations]
    return result


def author_words(terms: Terms) -> Words:
    """The author's free text. It is not a term, and the engine does not read it."""
    result = [(say("cited law"), citation) for citation in terms.law]
    if terms.description is not None:
        result.append((say("description"), terms.description))
    return result


# --- rules --------------------------------------------------------------------------------------------------------


def _rule(rule: Permission | Prohibition, label: str, *, upwards: bool) -> Iterator[tuple[str, str]]:
    yield label, "; ".join(_action(use, upwards) for use in rule.actions)
    if rule.uid is not None:
        yield say("  rule"), quoted(rule.uid)
    yield from _target(rule.target, banned=isinstance(rule, Prohibition))
    for constraint in rule.constraints:
        yield _labelled(constraint)


def _action(use: ActionUse, upwards: bool) -> str:
    scheme = actions()
    reach = scheme.descendants[use.action] | (scheme.ancestors[use.action] if upwards else frozenset())
    result = f"{use.action} ({scheme.label(use.action, language())})"
    if more := sorted(reach - {use.action}):
        result += say(", and with it {more}", more=listed(more))
    if use.refinements:
        result += say(", only if ") + " & ".join(_inner(one) for one in use.refinements)
    return result


def _party(party: Party | None) -> str:
    if party is None:
        return "-"
    result = say("every department") if party.id == ANY_DEPARTMENT else quoted(party.id)
    if party.refinements:
        result += say(", only if ") + " & ".join(_inner(one) for one in party.refinements)
    return result


def _target(target: Target, *, banned: bool) -> Iterator[tuple[str, str]]:
    yield say("  dataset"), quoted(target.asset)
    if target.columns is None:
        yield say("  columns"), say("all of them")
    else:
        yield say("  columns"), ", ".join(map(quoted, target.columns))
    if target.rows is not None:
        yield (
            say("  rows"),
            say("only where ") + rows_words(target.rows) + _missing(target.rows, banned),
        )
    for column, transform in target.transforms:
        yield say("  made less exact"), f"{quoted(column)}: {transform_words(transform)}"
    if target.cohort is not None:
        yield say("  groups of at least"), str(target.cohort)
    if target.epsilon is not None:
        said = format(target.epsilon, "f")
        yield say("  privacy budget"), say("{said} over the whole grant", said=said)


def _missing(rows: RowPredicate, banned: bool) -> str:
    """How a row without a compared value is treated (SQL's three-valued logic, `privacy.sql`)."""
    if not compared_columns(rows):
        return ""
    if banned:
        return say("; also every row that lacks a compared value")
    return say(
        "; not where a compared value is missing and decides (no comparison holds then, nor does its negation)"
    )


def rows_words(rows: RowPredicate) -> str:
    """The rows to which a rule applies. A row without a value in a column satisfies no comparison with it."""
    match rows:
        case Compare(column, op, value):
            return f"{quoted(column)} {_SIGNS[op]} {json_line(value)}"
        case In(column, values):
            listed = ", ".join(map(json_line, values))
            return say("{column} is one of {listed}", column=quoted(column), listed=listed)
        case IsNull(column):
            return say("{column} has no value", column=quoted(column))
        case And(parts):
            return "(" + say(" and ").join(map(rows_words, parts)) + ")"
        case Or(parts):
            return "(" + say(" or ").join(map(rows_words, parts)) + ")"
        case Not(part):
            return say("not ") + f"({rows_words(part)})"


def transform_words(transform: Transform) -> str:
    """The change to a value before it is released."""
    match transform:
        case Keep():
            return say("as it is")
        case Mask(first, last, character):
            sign = json_line(character)
            return say(
                "masked by {sign} but for the first {first} and the last {last} characters, shorter values whole",
                sign=sign,
                first=first,
                last=last,
            )
        case Pseudonym():
            return say("a keyed pseudonym, another one for each grant")
        case Truncate(to):
            return say("a date cut to its month" if to == "month" else "a date cut to its year")
        case Band(width, origin):
            return say("the band of width {width}, counted from {origin}", width=width, origin=origin)
        case Ladder(steps, otherwise):
            listed = ", ".join(f"{json_line(code)} → {json_line(broader)}" for code, broader in steps)
            rest = json_line(otherwise)
            return say("{listed}; any other → {rest}", listed=listed, rest=rest)
        case Round(step):
            return say("the nearest multiple of {step}", step=step)
        case Clamp(bottom, top):
            low, high = (say("no bound") if one is None else str(one) for one in (bottom, top))
            return say("not below {low}, not above {high}", low=low, high=high)


# --- conditions ---------------------------------------------------------------------------------------------------


def _labelled(node: ConstraintNode) -> tuple[str, str]:
    if isinstance(node, Constraint):
        return "  " + _operand(node), constraint_words(node)
    return say("  condition"), _inner(node)


def _inner(node: ConstraintNode) -> str:
    if isinstance(node, Constraint):
        return f"[{_operand(node)}: {constraint_words(node)}]"
    return f"{say(JOINS[node.kind])} ({'; '.join(_inner(part) for part in node.parts)})"


def _operand(c: Constraint) -> str:
    if c.operand == "count" and c.operator not in ("lt", "lteq"):
        return say("number of this use, the first being 1")
    name = say(OPERANDS[c.operand])
    return name + say(" that the caller states") if c.operand in STATED else name


def constraint_words(c: Constraint) -> str:
    """The values that a constraint permits; for concepts also their number and their names."""
    values = c.value if isinstance(c.value, tuple) else (c.value,)
    result = say(operator_words(c.operand, c.operator), values=listed([_named(one) for one in values]))
    if c.operand not in ("purpose", "legalBasis"):
        return result
    scheme = purposes() if c.operand == "purpose" else legal_bases()
    every = call_purposes() if c.operand == "purpose" else frozenset(scheme.concepts)
    allowed = concept_set(scheme, c) & every
    return f"{result} ({_set_words(allowed, every)})"


def _set_words(allowed: frozenset[str], every: frozenset[str]) -> str:
    """A set of concepts: its members, or the members that it excludes if these are fewer."""
    left_out = every - allowed
    if not left_out:
        return say("every one of the {every}", every=len(every))
    if len(left_out) < len(allowed):
        names = ", ".join(sorted(left_out))
        return say("{allowed}: all but {names}", allowed=len(allowed), names=names)
    return say("{allowed}: ", allowed=len(allowed)) + (", ".join(sorted(allowed)) or say("none"))


def _named(value: object) -> str:
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    text = str(value)
    for scheme in (purposes(), legal_bases()):
        if text in scheme:
            return f"{text} ({scheme.label(text, language())})"
    return quoted(text)


def _instant(value: datetime) -> str:
    return in_beijing(value) if language() == "zh" else instant_text(value)


# --- duties -------------------------------------------------------------------------------------------------------


def duty_words(duty: Duty) -> str:
    """The action that is due, its limit, and the consequence if it is not done."""
    result = f"{duty.action} ({duty_actions().label(duty.action, language())}) {quoted(duty.uid)}, "
    result += say("before use") if duty.when == "before" else say("after a use")
    if duty.within is not None:
        limit = duration_text(duty.within)
        result += say(", within {limit} of it", limit=limit)
    if duty.until is not None:
        limit = _instant(duty.until)
        result += say(", until {limit}", limit=limit)
    if duty.consequences:
        more = "; ".join(map(duty_words, duty.consequences))
        result += say("; if it is not done, in addition: {more}", more=more)
    return result
