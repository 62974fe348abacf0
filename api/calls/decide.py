"""The first part of a call: the decision, without side effects.

Grants are recomputed and checked on the chain, the engine decides, and the plan is compiled. A refusal is a
value (`Denied`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from access_policy.decision.answers import Context, Deny, Permit, Reason, Request
from access_policy.errors import PlanError
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import Query, parse_query
from api.calls.candidate_grants import CandidateGrants, GrantSources, merged_reasons
from api.calls.dataset_sources import DatasetSource, DatasetSources
from api.calls.dataset_versions import DatasetVersions
from api.calls.decisions import Ask, Considered, Decision, Denied, Permitted, explained, reasons_of
from api.calls.repeats import CHANGED, Again, Before, Repeats
from api.runtime.chain_states import ChainStates
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger import releases
from ledger.clock import Timekeeper
from ledger.ids import asset_iri, department_iri, parse_asset, parse_grant


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decides calls. ``reading`` is the database without a write lock."""

    reading: Engine
    sources: DatasetSources
    grants: GrantSources
    states: ChainStates
    repeats: Repeats
    clock: Timekeeper

    def decide(self, call: SignedCall, ask: Ask, again: Again | None = None) -> Decision:
        """Decide a call; RefusedError only for a malformed call or an unknown dataset or column.

        A repeated call (``again``) is decided as if it had not been charged, so its own use does not count.
        It is refused if its idempotency key is bound to another request, or if what it is bound to was
        deleted.
        """
        asset = parse_asset(ask.asset)
        only = None if ask.grant is None else parse_grant(ask.grant)
        query = parse_query(ask.query)
        now = self.clock.utc()
        with self.reading.connect() as connection:
            stored = self.sources.stored(connection, asset)
            proposed = self.grants.proposed(connection, asset, call.department, now, only)
        source = self.sources.followed(stored)
        states = self.states.of(proposed.chains)
        with self.reading.connect() as connection:
            grants = self.grants.candidates(connection, proposed, states, now)
            replayed = releases.nonce_used(connection, call.key_id, call.nonce)
            before = self.repeats.before(connection, call.key_id, again.key) if again else None
        agreements = grants.agreements.values()
        versions = DatasetVersions.of(self.sources, stored.row, source, agreements, ask.version)
        if not all(map(versions.have, query.request_columns())):
            raise RefusedError(
                "column.unknown", in_both("the asset has no such column"), {"asset": ask.asset}
            )
        request = _request(call, ask, asset, query)
        context = _context(grants, source, before, now)
        refused = before.refuses(again.request, now, self.repeats.keep) if before and again else None
        outcome = _outcome(refused or source.unavailable, grants, request, context)
        source, outcome = versions.read_by(outcome, ask.version)
        considered = Considered(ask, asset, request, context, grants, query, source, replayed, before)
        decision = _planned(considered, outcome)
        if (
            before is not None
            and again is not None
            and isinstance(decision, Permitted)
            and before.bound != decision.bound(again.request)
        ):
            return decision.denied(CHANGED)
        return decision

    def dry_run(self, call: SignedCall, ask: Ask) -> dict[str, Any]:
        """Decide and explain, without charge, data and entry."""
        decision = self.decide(call, ask)
        document: dict[str, Any] = {
            "dry_run": True,
            "decision": "permit" if isinstance(decision, Permitted) else "deny",
            "explanation": explained(decision),
            "candidates": list(decision.considered.grants.ids),
            "reasons": reasons_of(decision),
        }
        if isinstance(decision, Permitted):
            document |= _terms_of(decision)
        return document


def _request(call: SignedCall, ask: Ask, asset: int, query: Query) -> Request:
    return Request(
        assignee=department_iri(call.department),
        asset=asset_iri(asset),
        action=ask.action,
        purpose=ask.purpose,
        columns=query.request_columns(),
        filter_columns=query.filter_columns(),
        attributes=dict(ask.attributes),
        version=ask.version,
    )


def _context(grants: CandidateGrants, source: DatasetSource, before: Before | None, now: datetime) -> Context:
    """The context of a decision with the uses so far, without the use of this call if it was charged
    ``before``."""
    used = dict(grants.used)
    if before is not None:
        first = before.release.grant_id
        candidate = grants.standing.get(first)
        for grant in (first, *(above.id for above in (candidate.ancestors if candidate else ()))):
            if used.get(grant):
                used[grant] -= 1
    return Context(now=now, used=used, first_used=grants.first_used, version=source.version)


def _outcome(
    refused: str | None, grants: CandidateGrants, request: Request, context: Context
) -> Permit | Deny:
    """The engine's decision, or a refusal with the reason ``refused``. A refusal also has the reasons of the
    rejected grants."""
    outcome = Deny((Reason(refused),)) if refused is not None else grants.engine.decide(request, context)
    if isinstance(outcome, Deny):
        return Deny(merged_reasons(grants.rejected, outcome.reasons))
    return outcome


def _planned(considered: Considered, outcome: Permit | Deny) -> Decision:
    if isinstance(outcome, Deny):
        return Denied(considered, outcome)
    try:
        plan = compile_plan(considered.query, outcome, considered.source.schema)
    except PlanError as impossible:
        constraint = impossible.pointer or None
        reason = Reason(impossible.code, grant=outcome.grant, constraint=constraint)
        return Denied(considered, Deny((reason,)))
    return Permitted(considered, outcome, plan)


def _terms_of(permitted: Permitted) -> Mapping[str, Any]:
    permit = permitted.outcome
    return {
        "grant": permit.grant,
        "version": permitted.considered.source.version,
        "columns": list(permit.columns),
        "transforms": sorted(permit.transforms),
        "plan": permitted.plan.to_json(),
        "duties": [{"id": d.id, "action": d.action, "due": d.due, "state": d.state} for d in permit.duties],
    }
