"""A decision about one call: its inputs, its explanation, and its audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from access_policy.analysis.redecide import replaced_text
from access_policy.decision.answers import Context, Deny, Permit, Reason, Request
from access_policy.decision.engine import ENGINE_VERSION
from access_policy.explain.wording import explain, explanation
from access_policy.privacy.plan import Plan
from access_policy.privacy.query import Query
from api.calls.candidate_grants import CandidateGrants
from api.calls.dataset_sources import DatasetSource
from api.calls.evidence import Evidence, entry_about
from api.calls.persons import decision_openings
from api.calls.repeats import Before, Bound
from api.protocol.names import DECIDED, REPEATED
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from ledger.audit.formats.events import Event
from ledger.audit.log.append import NewEntry
from ledger.audit.log.openings import Opening, commit
from ledger.ids import asset_text

_REASON = ("code", "grant", "rule", "constraint", "ancestor")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a department requests in one call."""

    asset: str
    purpose: str
    action: str = "read"
    query: Mapping[str, Any] = field(default_factory=dict)
    grant: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """The inputs of a decision. ``source`` is the version of the dataset that it is about.

    ``replayed``: the call's nonce was already used. ``before``: the release that its idempotency key is bound
    to. Both are checked again at commit.
    """

    ask: Ask
    asset: int
    request: Request
    context: Context
    grants: CandidateGrants
    query: Query
    source: DatasetSource
    replayed: bool
    before: Before | None


@dataclass(frozen=True, slots=True)
class Denied:
    """A refused call."""

    considered: Considered
    outcome: Deny

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the reasons, each once."""
        return tuple(dict.fromkeys(reason.code for reason in self.outcome.reasons))

    def denied(self, code: str) -> Denied:
        """The same call, refused with this reason only."""
        return Denied(self.considered, Deny((Reason(code),)))


@dataclass(frozen=True, slots=True)
class Permitted:
    """A call that one grant permits, with the plan of its answer."""

    considered: Considered
    outcome: Permit
    plan: Plan

    @property
    def grant(self) -> str:
        """The id of the grant."""
        return self.outcome.grant

    def denied(self, code: str) -> Denied:
        """The same call, refused for a reason that was found after the decision."""
        return Denied(self.considered, Deny((Reason(code, grant=self.grant),)))

    def bound(self, request: str) -> Bound:
        """What this decision binds an idempotency key to; ``request`` is the digest of the request."""
        source = self.considered.source
        return Bound(request, source.version, source.metadata_hash, self.grant, self.plan.hash)


Decision: TypeAlias = Permitted | Denied


def permit_entry(
    entry_id: UUID,
    call: SignedCall,
    permitted: Permitted,
    about: Opening,
    *more: Opening,
    release_id: str,
    repeated: bool = False,
) -> NewEntry:
    """The audit entry of a permit. ``about`` is its commitment to the call. ``repeated``: the call is a
    repeat and is not charged again."""
    considered, grant, plan = permitted.considered, permitted.grant, permitted.plan
    event = Event(
        id=entry_id,
        type=REPEATED if repeated else DECIDED,
        time=considered.context.now,
        department=call.department,
        service=call.key_id,
        asset=asset_text(considered.asset),
        grant=grant,
        candidates=considered.grants.ids,
        decision="permit",
        engine=ENGINE_VERSION,
        terms_hash=str(considered.grants.signed[grant]["termsHash"]),
        plan_hash=f"0x{plan.hash}",
        purpose=considered.ask.purpose,
        counts={"columns": len(plan.columns)},
        facts=_facts(considered, release_id),
    )
    # The digest of a small file can be guessed, so the log holds only a commitment to it.
    file = commit("source", considered.source.source.sha256)
    return entry_about(event, about, *_openings(considered, entry_id), *more, file)


def denial_entry(entry_id: UUID, call: SignedCall, denied: Denied, about: Opening) -> NewEntry:
    """The audit entry of a refusal. ``about`` is its commitment to the call."""
    considered = denied.considered
    event = Event(
        id=entry_id,
        type=DECIDED,
        time=considered.context.now,
        department=call.department,
        service=call.key_id,
        asset=asset_text(considered.asset),
        candidates=considered.grants.ids,
        decision="deny",
        reasons=denied.codes,
        engine=ENGINE_VERSION,
        purpose=considered.ask.purpose,
        facts=_facts(considered),
    )
    return entry_about(event, about, *_openings(considered, entry_id))


def _openings(considered: Considered, entry_id: UUID) -> tuple[Opening, ...]:
    """The openings of a decision: no literal of the query is in the clear, each is in a salted commitment."""
    return decision_openings(
        considered.asset,
        considered.source.schema,
        considered.query,
        considered.request,
        considered.context,
        entry_id,
    )


def _facts(considered: Considered, release_id: str | None = None) -> dict[str, str | int | bool]:
    facts: dict[str, str | int | bool] = {
        "action": considered.ask.action,
        "version": considered.source.version,
        "metadata": considered.source.metadata_hash,
    }
    if release_id is not None:
        facts["release"] = release_id
    if considered.grants.rejected:
        facts["fallen"] = " ".join(_rejected(reason) for reason in considered.grants.rejected)
    if considered.grants.replaced:
        facts["replaced"] = replaced_text(considered.grants.replaced)
    return facts


def _rejected(reason: Reason) -> str:
    """A rejected grant and its reason; after the code, the ancestor that caused it."""
    return f"{reason.grant}={reason.code}" + (f"@{reason.ancestor}" if reason.ancestor else "")


def reasons_of(decision: Decision) -> list[dict[str, str]]:
    """The reasons of a refusal for the caller; empty for a permit."""
    if isinstance(decision, Permitted):
        return []
    return [
        {name: value for name in _REASON if (value := getattr(reason, name))}
        for reason in decision.outcome.reasons
    ]


def explained(decision: Decision) -> dict[str, Any]:
    """The explanation of a decision, in both languages."""
    return {
        "en": explanation(decision.outcome, "en").to_json(),
        "zh": explanation(decision.outcome, "zh").to_json(),
    }


def denial(denied: Denied, evidence: Evidence) -> RefusedError:
    """The error for a refused department, with all reasons and the receipt of the refusal."""
    return RefusedError(
        denied.outcome.reasons[0].code,
        explain(denied.outcome, "en"),
        {
            "decision": "deny",
            "reasons": reasons_of(denied),
            "explanation": explained(denied),
            "candidates": list(denied.considered.grants.ids),
            **evidence.members(),
        },
    )
