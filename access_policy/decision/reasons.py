"""The reasons of a refusal: every failing condition of a rule, with its stable code, pointer, and the values seen and wanted."""

from __future__ import annotations

from collections.abc import Sequence

from access_policy.decision.answers import CURRENT, Reason, fits, version_seen
from access_policy.decision.compiled import Grant, Rule
from access_policy.decision.dutystate import standing, unremedied
from access_policy.decision.evaluation import Call, Group, Leaf, Node
from access_policy.terms.constraints import instant_text

MAX_RULES_EXPLAINED = 32

CODES: dict[str, str] = {
    "action.not-granted": "the rule does not cover the action",
    "action.unknown": "the action is not in the profile",
    "area.mismatch": "the area is not one the terms allow",
    "assignee.invalid": "the caller is not a single party",
    "attribute.invalid": "an attribute the terms ask for has a value of the wrong kind",
    "attribute.missing": "the call lacks an attribute the terms ask for",
    "column.not-granted": "a column was asked for, or filtered on, that is not granted",
    "column.prohibited": "nothing remains after the prohibited columns are taken away",
    "consequence.unfulfilled": "a duty was breached and what follows from it is not done",
    "constraint.not-exactly-one": "not exactly one of the alternatives holds",
    "constraint.unsatisfied": "none of the alternatives holds",
    "context.incomplete": "the gateway did not say what the terms depend on (uses, first use)",
    "context.invalid": "the instant of the call has no zone, or is not of this age",
    "duty.overdue": "the limit of a duty has passed",
    "duty.unfulfilled": "a duty is not fulfilled",
    "format.mismatch": "the format is not one the terms allow",
    "grant.expired": "the instant is past the end of the grant",
    "grant.none": "no grant of this asset to this party",
    "grant.not-yet-valid": "the instant is before the start of the grant",
    "grant.suspended": "the grant is suspended",
    "language.mismatch": "the language is not one the terms allow",
    "legal-basis.mismatch": "the legal basis is not one the terms allow",
    "party.mismatch": "the party is not of a kind the terms allow",
    "period.elapsed": "the period since the first use does not fit the terms",
    "policy.conflict": "permission and prohibition of terms that a conflict makes void",
    "prohibition.indeterminate": "a prohibition cannot be ruled out",
    "prohibition.matched": "a prohibition applies",
    "purpose.mismatch": "the purpose is not one the terms allow",
    "purpose.unknown": "the purpose is not one that a call can have: DPV 2.3, all but its root",
    "recipient.mismatch": "the recipient is not one the terms allow",
    "remedy.unfulfilled": "an infringement has not been remedied",
    "time.mismatch": "the instant is not the one the terms name",
    "transform.incompatible": "the grants of a chain treat a column in ways that cannot be joined",
    "uses.exhausted": "all uses are spent",
    "version.mismatch": "the call is for another version than the one that the terms give: the pinned one, or the current one",
}
"""All codes of the engine with their meanings."""

_MISSING = {"count": "context.incomplete", "elapsedTime": "context.incomplete", "purpose": "purpose.unknown"}


def failures(rule: Rule, grant: Grant, call: Call, *, strict: bool) -> list[Reason]:
    """All conditions of the rule that the call does not satisfy (without prohibitions)."""
    call.grant = rule.grant
    found: list[Reason] = []
    request = call.request
    if request.action not in rule.covers:
        granted = ", ".join(u.action for u in rule.permission.actions)
        return [
            Reason("action.not-granted", grant.id, rule.id, f"{rule.pointer}/action", request.action, granted)
        ]
    if not rule.bare:
        if grant.state != "live":
            found.append(Reason("grant.suspended", grant.id))
        found.extend(unremedied(grant.id, grant.remedies, call))
    groups = rule.groups
    if (fitting := fits(rule.pin, request, call.context)) is not True:
        code = "version.mismatch" if fitting is False else "context.incomplete"
        place, wanted = (groups.pins[0].pointer, groups.pins[0].wanted) if groups.pins else (None, CURRENT)
        found.append(Reason(code, rule.grant, rule.id, place, version_seen(request, call.context), wanted))
    if request.purpose not in rule.purposes:
        _tell_one(groups.purpose, "purpose.mismatch", request.purpose, rule, call, found)
    if call.now < rule.start:
        _tell_one(groups.start, "grant.not-yet-valid", instant_text(call.now), rule, call, found)
    if call.now >= rule.end:
        _tell_one(groups.end, "grant.expired", instant_text(call.now), rule, call, found)
    if rule.limit is not None and not uses_left(call.context.used.get(rule.grant, 0), rule.limit):
        _tell(groups.uses, rule, call, found)
    if rule.rest is not None:
        _tell(groups.rest, rule, call, found)
    if not rule.bare:
        refinement = rule.covers[request.action]
        _tell((refinement,) if refinement is not None else (), rule, call, found)
        _tell(grant.party, rule, call, found)
    if not rule.columns.issuperset(request.columns) or not rule.columns.issuperset(request.filter_columns):
        asked = dict.fromkeys((*request.columns, *request.filter_columns))
        seen = ", ".join(c for c in asked if c not in rule.columns)
        granted = ", ".join(rule.permission.target.columns or ())
        found.append(
            Reason("column.not-granted", rule.grant, rule.id, f"{rule.pointer}/target", seen, granted)
        )
    if strict and not rule.bare:
        found.extend(standing(grant.id, rule.id, rule.permission.duties, call)[1])
    return found


def uses_left(used: object, limit: int) -> bool:
    """Whether the use count is valid and one more use is allowed."""
    return type(used) is int and 0 <= used < limit


def _tell_one(
    nodes: tuple[Leaf, ...], code: str, seen: str, rule: Rule, call: Call, found: list[Reason]
) -> None:
    """Add the reasons of conditions of which at least one fails. A single condition is not evaluated again."""
    if len(nodes) == 1:
        (leaf,) = nodes
        found.append(Reason(code, rule.grant, rule.id, leaf.pointer, seen, leaf.wanted))
    else:
        _tell(nodes, rule, call, found)


def _tell(nodes: Sequence[Node], rule: Rule, call: Call, found: list[Reason]) -> None:
    for node in nodes:
        state = node.check(call)
        if state is True:
            continue
        if isinstance(node, Leaf):
            code = node.code if state is False else _indeterminate(node, call)
            found.append(Reason(code, rule.grant, rule.id, node.pointer, node.seen(call), node.wanted))
        else:
            found.extend(_unmet(node, rule, call))


def _unmet(node: Node, rule: Rule, call: Call) -> list[Reason]:
    state = node.check(call)
    if state is True:
        return []
    if isinstance(node, Leaf):
        code = node.code if state is False else _indeterminate(node, call)
        return [Reason(code, rule.grant, rule.id, node.pointer, node.seen(call), node.wanted)]
    if node.kind == "and":
        return [reason for part in node.parts for reason in _unmet(part, rule, call)]
    if node.kind == "andSequence":
        return _unmet(next(p for p in node.parts if p.check(call) is not True), rule, call)
    return [_alternatives(node, rule, call)]


def _alternatives(node: Group, rule: Rule, call: Call) -> Reason:
    inside = [r for part in node.parts for r in _unmet(part, rule, call)]
    codes = {r.code for r in inside}
    satisfied = sum(p.check(call) is True for p in node.parts)
    if satisfied > 1:
        return Reason(
            "constraint.not-exactly-one",
            rule.grant,
            rule.id,
            node.pointer,
            f"{satisfied} hold",
            "exactly one",
        )
    code = codes.pop() if len(codes) == 1 else "constraint.unsatisfied"
    seen = "; ".join(dict.fromkeys(r.seen for r in inside if r.seen is not None)) or None
    wanted = " or ".join(dict.fromkeys(r.wanted for r in inside if r.wanted is not None)) or None
    return Reason(code, rule.grant, rule.id, node.pointer, seen, wanted)


def _indeterminate(leaf: Leaf, call: Call) -> str:
    code = _MISSING.get(leaf.constraint.operand)
    if code is None:
        code = "attribute.missing" if leaf.seen(call) is None else "attribute.invalid"
    return code


def closest_first(each: Sequence[tuple[Rule, list[Reason]]]) -> tuple[Reason, ...]:
    """The reasons, those of the rule with the fewest failures first. Rules for other actions are used only without others.

    ``each`` must be in the order of privilege, which orders rules with the same number of failures.
    """
    if len(each) == 1:
        return tuple(each[0][1])
    covering = [pair for pair in each if pair[1][0].code != "action.not-granted"]
    ranked = sorted(covering or each, key=lambda pair: len(pair[1]))
    told: list[Reason] = []
    for _, reasons in ranked:
        for reason in reasons:
            # a reason about a whole grant occurs once, not for each of its rules
            if reason.rule is not None or reason not in told:
                told.append(reason)
    return tuple(told)
