"""A compliance report: for every rule whether it is active for a call, with the state of each premise.

The terms are those of the W3C ODRL formal-semantics draft and of the compliance-report vocabulary based on it
(https://w3id.org/force/compliance-report#): rule reports with attempt, activation and (for duties) deontic state, premise
reports with satisfaction states. ``Indeterminate`` is an addition: the vocabulary has no term for unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from access_policy.decision.answers import Context, Request
from access_policy.decision.compiled import Ban, Grant, Rule, compile_grant, concerns
from access_policy.decision.dutystate import is_overdue, standing
from access_policy.decision.evaluation import Call, Leaf, Node, State
from access_policy.terms.agreement import Agreement
from access_policy.terms.duties import Duty, duty_key

NAMESPACE = "https://w3id.org/force/compliance-report#"

Satisfaction: TypeAlias = Literal["Satisfied", "Unsatisfied", "Indeterminate"]
_SATISFACTION: dict[State, Satisfaction] = {True: "Satisfied", False: "Unsatisfied", None: "Indeterminate"}


@dataclass(frozen=True, slots=True)
class Premise:
    """One premise of a rule (target, party, action or constraint), and whether the call satisfies it."""

    kind: Literal["TargetReport", "PartyReport", "ActionReport", "ConstraintReport"]
    pointer: str
    state: Satisfaction
    parts: tuple[Premise, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON-LD under the report vocabulary."""
        written: dict[str, Any] = {
            "@type": self.kind,
            "pointer": self.pointer,
            "satisfactionState": self.state,
        }
        if self.parts:
            written["constraintReport"] = [p.to_json() for p in self.parts]
        return written


@dataclass(frozen=True, slots=True)
class RuleReport:
    """The report on one rule. It is attempted when target, party and action of the call match. It is active when all premises
    are satisfied, and for permissions no duty prevents it."""

    kind: Literal["PermissionReport", "ProhibitionReport", "DutyReport"]
    grant: str
    rule: str
    attempted: bool
    active: bool | None
    premises: tuple[Premise, ...]
    deontic: Literal["Fulfilled", "Violated", "NonSet"] | None = None
    duties: tuple[RuleReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON-LD under the report vocabulary."""
        active = "Indeterminate" if self.active is None else "Active" if self.active else "Inactive"
        written: dict[str, Any] = {
            "@type": self.kind,
            "policy": self.grant,
            "rule": self.rule,
            "attemptState": "Attempted" if self.attempted else "NotAttempted",
            "activationState": active,
            "premiseReport": [p.to_json() for p in self.premises],
        }
        if self.deontic is not None:
            written["deonticState"] = self.deontic
        if self.duties:
            written["conditionReport"] = [d.to_json() for d in self.duties]
        return written


def compliance_report(
    request: Request, grants: Mapping[str, Agreement] | Iterable[tuple[str, Agreement]], context: Context
) -> tuple[RuleReport, ...]:
    """The reports on all rules of the grants, ordered by grant id and place in the terms."""
    pairs = sorted(grants.items() if isinstance(grants, Mapping) else grants)
    reports: list[RuleReport] = []
    for grant_id, agreement in pairs:
        grant = compile_grant(grant_id, agreement)
        call = Call(request, context)
        call.grant = grant_id
        party = _party(grant, call)
        reports += [_permission(rule, grant, call, party) for rule in grant.rules]
        reports += [_prohibition(ban, call, party) for ban in grant.bans]
        reports += [_duty(grant_id, d, call) for d in agreement.obligations]
    return tuple(reports)


def report_to_json(reports: tuple[RuleReport, ...]) -> dict[str, Any]:
    """The whole report as one JSON-LD document."""
    context = {"@vocab": NAMESPACE}
    return {"@context": context, "@type": "PolicyReport", "ruleReport": [r.to_json() for r in reports]}


def _party(grant: Grant, call: Call) -> Premise:
    request = call.request
    named = concerns(grant, request.asset, request, call.context)
    parts = tuple(_premise(n, call) for n in grant.party)
    return Premise("PartyReport", "/assignee", _joined([named, *(n.check(call) for n in grant.party)]), parts)


def _joined(states: list[State]) -> Satisfaction:
    return _SATISFACTION[False if False in states else None if None in states else True]


def _premise(node: Node, call: Call) -> Premise:
    parts = () if isinstance(node, Leaf) else tuple(_premise(p, call) for p in node.parts)
    return Premise("ConstraintReport", node.pointer, _SATISFACTION[node.check(call)], parts)


def _common(rule: Rule | Ban, target: str, call: Call, party: Premise) -> tuple[Premise, ...]:
    request = call.request
    assets = (request.asset, *call.context.collections.get(request.asset, ()))
    reached = target in assets
    asked = frozenset((*request.columns, *request.filter_columns))
    if isinstance(rule, Rule):
        reached = reached and asked <= rule.columns
    elif rule.columns is not None and request.columns:
        reached = reached and not asked.isdisjoint(rule.columns)
    covered = request.action in rule.covers
    refinement = rule.covers.get(request.action)
    action = _SATISFACTION[covered if refinement is None else refinement.check(call)]
    parts = () if refinement is None else (_premise(refinement, call),)
    return (
        Premise("TargetReport", f"{rule.pointer}/target", _SATISFACTION[reached]),
        party,
        Premise("ActionReport", f"{rule.pointer}/action", action, parts),
        *(_premise(n, call) for n in rule.nodes),
    )


def _attempted(premises: tuple[Premise, ...]) -> bool:
    return all(p.state == "Satisfied" for p in premises[:3])


def _permission(rule: Rule, grant: Grant, call: Call, party: Premise) -> RuleReport:
    premises = _common(rule, rule.permission.target.asset, call, party)
    owed = standing(grant.id, rule.id, rule.permission.duties, call)[1]
    active = all(p.state == "Satisfied" for p in premises) and not owed
    duties = tuple(_duty(grant.id, d, call) for d in rule.permission.duties)
    return RuleReport(
        "PermissionReport", grant.id, rule.id, _attempted(premises), active, premises, duties=duties
    )


def _prohibition(ban: Ban, call: Call, party: Premise) -> RuleReport:
    premises = _common(ban, ban.prohibition.target.asset, call, party)
    states = {p.state for p in premises}
    active = False if "Unsatisfied" in states else None if "Indeterminate" in states else True
    remedies = tuple(_duty(ban.grant, d, call) for d in ban.prohibition.remedies)
    attempted = _attempted(premises)
    deontic: Literal["Violated", "NonSet"] = "Violated" if attempted and active is True else "NonSet"
    return RuleReport("ProhibitionReport", ban.grant, ban.id, attempted, active, premises, deontic, remedies)


def _duty(grant: str, duty: Duty, call: Call) -> RuleReport:
    key = duty_key(grant, duty.uid)
    state = call.context.duties.get(key)
    deontic: Literal["Fulfilled", "Violated", "NonSet"] = "NonSet"
    if state == "fulfilled":
        deontic = "Fulfilled"
    elif state is not None or is_overdue(duty, call):
        deontic = "Violated"
    following = tuple(_duty(grant, c, call) for c in duty.consequences)
    return RuleReport("DutyReport", grant, key, False, deontic != "Fulfilled", (), deontic, following)
