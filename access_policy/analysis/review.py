"""The analyses as JSON documents, which the service and the commands show before signing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from access_policy.analysis.questions import Witness, conflicts, diff, unreachable
from access_policy.analysis.reach import Access, what_can, who_can
from access_policy.analysis.redecide import record
from access_policy.decision.answers import Decision, Permit
from access_policy.decision.compiled import NO_ANCESTORS, Ancestors
from access_policy.terms.agreement import Agreement, terms_hash

_REASON = ("code", "grant", "rule", "constraint", "seen", "wanted", "ancestor")


def check_document(grants: Mapping[str, Agreement]) -> dict[str, Any]:
    """The hashes, conflicts with witnesses, and rules without effect of agreements by name."""
    found = conflicts(grants)
    return {
        "terms": [
            {"name": name, "termsHash": "0x" + terms_hash(terms).hex()} for name, terms in grants.items()
        ],
        "conflicts": {
            "verdict": found.verdict,
            "found": [
                {
                    "permission": list(one.permission),
                    "prohibition": list(one.prohibition),
                    "witness": witness_document(one.witness),
                }
                for one in found.found
            ],
        },
        "unreachable": [
            {"name": one.grant, "rule": one.rule, "cause": one.cause} for one in unreachable(grants)
        ],
    }


def diff_document(old: Agreement | None, new: Agreement | None) -> dict[str, Any]:
    """What is newly permitted and denied when ``new`` replaces ``old``, each with a call that shows it."""
    found = diff(old, new)
    return {
        "changes": [
            {
                "kind": one.kind,
                "before": decision_document(one.before),
                "after": decision_document(one.after),
                "witness": witness_document(one.witness),
            }
            for one in found.changes
        ],
        "exhaustive": found.exhaustive,
    }


def who_can_document(
    asset: str,
    action: str,
    purpose: str,
    at: datetime,
    grants: Mapping[str, Agreement],
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> dict[str, Any]:
    """All accesses to an asset by these agreements. ``asset`` is an IRI, ``purpose`` a DPV id, ``at`` an aware datetime."""
    found = who_can(asset, action, purpose, at, grants, ancestors=ancestors)
    return {"who": [_access(one) for one in found]}


def what_can_document(
    department: str,
    grants: Mapping[str, Agreement],
    at: datetime,
    ancestors: Mapping[str, Ancestors] = NO_ANCESTORS,
) -> dict[str, Any]:
    """All accesses of a department by these agreements."""
    return {
        "what": [
            _access(one) | {"asset": one.asset, "action": one.action}
            for one in what_can(department, grants, at, ancestors=ancestors)
        ]
    }


def decision_document(decision: Decision) -> dict[str, Any]:
    """A decision: the grant and columns of a permit, or the reasons of a denial."""
    if isinstance(decision, Permit):
        given = {"terms": decision.grant, "columns": list(decision.columns), "version": decision.version}
        return {"decision": "permit", **given}
    reasons = [{m: v for m in _REASON if (v := getattr(r, m)) is not None} for r in decision.reasons]
    return {"decision": "deny", "reasons": reasons}


def witness_document(witness: Witness) -> dict[str, Any]:
    """The call that shows a result, with the input of the engine."""
    return record(witness.request, witness.context)


def _access(one: Access) -> dict[str, Any]:
    return {
        "assignee": one.assignee,
        "terms": one.grant,
        "rule": one.rule,
        "purposes": list(one.purposes),
        "columns": list(one.columns),
        "version": one.version,
        "until": one.until.isoformat() if one.until else None,
        "certain": one.certain,
        "conditions": [reason.code for reason in one.conditions],
        "limits": list(one.limits),
    }
