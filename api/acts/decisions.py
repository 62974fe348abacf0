"""A decision about one call: what it was taken from, how it is told, and the entry it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from access_policy.decision import Context, Deny, Permit, Reason, Request
from access_policy.engine import ENGINE_VERSION
from access_policy.explain import explain, explanation
from access_policy.privacy.plan import Plan
from access_policy.privacy.query import Query
from api.acts.assets_at_hand import Shelf
from api.acts.evidence import Evidence, entry_about
from api.acts.grants_at_hand import AtHand
from api.acts.persons import decision_openings
from api.acts.repeats import Before
from api.problems import Problem
from api.sdk.reading import DECIDED, REPEATED
from api.signatures import SignedCall
from ledger.audit.append import NewEntry
from ledger.audit.events import Event
from ledger.audit.openings import Opening, commit
from ledger.ids import asset_text

_REASON = ("code", "grant", "rule", "constraint", "ancestor")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a department asks for in one call."""

    asset: str
    purpose: str
    action: str = "read"
    query: Mapping[str, Any] = field(default_factory=dict)
    grant: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with everything it was taken from.

    ``replayed``: the call's nonce was seen to be spent already; ``before``: what its idempotency key stands for.
    The commit has the last word on both.
    """

    ask: Ask
    asset: int
    request: Request
    context: Context
    at_hand: AtHand
    outcome: Permit | Deny
    query: Query
    plan: Plan | None
    shelf: Shelf
    replayed: bool
    before: Before | None

    @property
    def reasons(self) -> tuple[str, ...]:
        return (
            tuple(dict.fromkeys(r.code for r in self.outcome.reasons))
            if isinstance(self.outcome, Deny)
            else ()
        )


def decision_entry(
    entry_id: UUID,
    call: SignedCall,
    decided: Decided,
    reasons: tuple[str, ...],
    about: Opening,
    *more: Opening,
    release_id: str | None = None,
    repeated: bool = False,
) -> NewEntry:
    """The audit entry of a decision: no literal of the query in the clear, each as a salted commitment.

    ``about`` is its commitment to the call. ``repeated``: the call came again and is not charged again.
    """
    permit = decided.outcome if isinstance(decided.outcome, Permit) and not reasons else None
    openings = [
        *decision_openings(
            decided.asset, decided.shelf.schema, decided.query, decided.request, decided.context, entry_id
        ),
        *more,
    ]
    if permit:
        # The digest of a small file can be guessed: it stands in the log as a commitment only.
        openings.append(commit("source", decided.shelf.source.sha256))
    facts: dict[str, str | int | bool] = {
        "action": decided.ask.action,
        "version": decided.shelf.version,
        "metadata": decided.shelf.metadata_hash,
    }
    if release_id is not None:
        facts["release"] = release_id
    if decided.at_hand.fallen:
        facts["fallen"] = " ".join(_fallen(reason) for reason in decided.at_hand.fallen)
    event = Event(
        id=entry_id,
        type=REPEATED if repeated else DECIDED,
        time=decided.context.now,
        department=call.department,
        service=call.key_id,
        asset=asset_text(decided.asset),
        grant=permit.grant if permit else None,
        candidates=decided.at_hand.candidates,
        decision="permit" if permit else "deny",
        reasons=reasons,
        engine=ENGINE_VERSION,
        terms_hash=str(decided.at_hand.signed[permit.grant]["termsHash"]) if permit else None,
        plan_hash=f"0x{decided.plan.hash}" if permit and decided.plan else None,
        purpose=decided.ask.purpose,
        counts={"columns": len(decided.plan.columns)} if permit and decided.plan else {},
        facts=facts,
    )
    return entry_about(event, about, *openings)


def _fallen(reason: Reason) -> str:
    """A grant that fell and why; after the code the ancestor that it fell with."""
    return f"{reason.grant}={reason.code}" + (f"@{reason.ancestor}" if reason.ancestor else "")


def reasons_of(decided: Decided) -> list[dict[str, str]]:
    if not isinstance(decided.outcome, Deny):
        return []
    return [
        {name: value for name in _REASON if (value := getattr(reason, name))}
        for reason in decided.outcome.reasons
    ]


def explained(decided: Decided) -> dict[str, Any]:
    return {
        "en": explanation(decided.outcome, "en").to_json(),
        "zh": explanation(decided.outcome, "zh").to_json(),
    }


def denial(decided: Decided, evidence: Evidence) -> Problem:
    """The problem that tells a department exactly why it was refused, with the receipt of the refusal."""
    assert isinstance(decided.outcome, Deny)
    first = decided.outcome.reasons[0]
    return Problem(
        first.code,
        explain(decided.outcome, "en"),
        {
            "decision": "deny",
            "reasons": reasons_of(decided),
            "explanation": explained(decided),
            "candidates": list(decided.at_hand.candidates),
            **evidence.members(),
        },
    )
