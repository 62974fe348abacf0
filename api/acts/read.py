"""A data call: decided, charged and logged before the first byte leaves, enforced while it leaves.

The order is the product: grants recomputed and live, decision, plan, then nonce, charge, release and entry in
one commit, then the scan. A failed charge becomes a denial entry. Revocation is looked at again between batches.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import Any
from uuid import uuid4

import rfc8785
from sqlalchemy import Connection

from access_policy.decision import Context, Deny, Permit, Reason, Request
from access_policy.errors import PlanError
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import parse_query
from api.acts.assets_at_hand import shelf_of
from api.acts.decisions import Ask, Decided, decision_entry, denial, explained, reasons_of
from api.acts.grants_at_hand import grants_at_hand, merged_reasons
from api.acts.release import Charged
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from ledger import releases
from ledger.audit.events import new_event_id
from ledger.audit.writer import JobResult
from ledger.ids import asset_iri, asset_text, department_iri, parse_asset, parse_grant
from ledger.outbox import pending_revocations
from ledger.releases import Release

_log = logging.getLogger(__name__)


def decide_call(gateway: Gateway, department: int, ask: Ask) -> Decided:
    """Decide without any effect; Problem only for what is malformed or unknown, a refusal is a value."""
    asset = parse_asset(ask.asset)
    only = None if ask.grant is None else parse_grant(ask.grant)
    query = parse_query(ask.query)
    now = gateway.now()
    with gateway.reading.connect() as connection:
        shelf = shelf_of(gateway, connection, asset)
        at_hand = grants_at_hand(gateway, connection, asset, department, now, only)
    unknown = [name for name in query.request_columns() if name not in shelf.schema.names()]
    if unknown:
        raise Problem("column.unknown", "the asset has no such column", {"asset": ask.asset})
    request = Request(
        assignee=department_iri(department),
        asset=asset_iri(asset),
        action=ask.action,
        purpose=ask.purpose,
        columns=query.request_columns(),
        filter_columns=query.filter_columns(),
        attributes=dict(ask.attributes),
    )
    context = Context(now=now, used=at_hand.used, first_used=at_hand.first_used)
    outcome: Permit | Deny
    if shelf.unavailable is not None:
        outcome = Deny((Reason(shelf.unavailable),))
    else:
        outcome = at_hand.engine.decide(request, context)
    if isinstance(outcome, Deny):
        outcome = Deny(merged_reasons(at_hand.fallen, outcome.reasons))
    plan = None
    if isinstance(outcome, Permit):
        try:
            plan = compile_plan(query, outcome, shelf.schema)
        except PlanError as refused:
            outcome = Deny((Reason(refused.code, grant=outcome.grant, constraint=refused.pointer or None),))
    return Decided(ask, asset, request, context, at_hand, outcome, query, plan, shelf)


def dry_run(gateway: Gateway, call: SignedCall, ask: Ask) -> dict[str, Any]:
    """Decide and explain: no charge, no data, no entry."""
    decided = decide_call(gateway, call.department, ask)
    document: dict[str, Any] = {
        "dry_run": True,
        "decision": "permit" if isinstance(decided.outcome, Permit) else "deny",
        "explanation": explained(decided),
        "candidates": list(decided.at_hand.candidates),
        "reasons": reasons_of(decided),
    }
    if isinstance(decided.outcome, Permit) and decided.plan is not None:
        document |= {
            "grant": decided.outcome.grant,
            "columns": list(decided.outcome.columns),
            "transforms": sorted(decided.outcome.transforms),
            "plan": decided.plan.to_json(),
            "duties": [
                {"id": d.id, "action": d.action, "due": d.due, "state": d.state}
                for d in decided.outcome.duties
            ],
        }
    return document


def charge_call(
    gateway: Gateway, call: SignedCall, ask: Ask, media_type: str, idempotency_key: str | None
) -> Charged:
    """Decide, then commit nonce, charge, release and entry together; Problem with a receipt for a denial."""
    gateway.must_reach_chain()
    decided = decide_call(gateway, call.department, ask)
    if isinstance(decided.outcome, Permit):
        decided.shelf.must_be_readable()
    request_hash = _request_hash(ask, media_type)
    entry_id, release_id = new_event_id(), str(uuid4())

    def job(connection: Connection) -> JobResult[Decided | Release]:
        if not gateway.claim(connection, call):
            return JobResult(
                _denied(decided, "call.replayed"),
                [decision_entry(entry_id, call, decided, ("call.replayed",))],
            )
        if idempotency_key is not None:
            before = releases.find_by_idempotency(connection, call.key_id, idempotency_key, request_hash)
            if before is not None:
                return JobResult(_again(connection, before))
        if isinstance(decided.outcome, Deny):
            return JobResult(decided, [decision_entry(entry_id, call, decided, decided.reasons)])
        grant = decided.outcome.grant
        if grant in pending_revocations(connection):
            return JobResult(
                _denied(decided, "grant.revoked"),
                [decision_entry(entry_id, call, decided, ("grant.revoked",))],
            )
        bound = decided.at_hand.bounds[grant]
        if releases.charge(connection, grant, bound.max_uses, decided.context.now, spent=bound.uses) is None:
            return JobResult(
                _denied(decided, "uses.taken"), [decision_entry(entry_id, call, decided, ("uses.taken",))]
            )
        assert decided.plan is not None
        release = Release(
            id=release_id,
            key_id=call.key_id,
            idempotency_key=idempotency_key or release_id,
            request_hash=request_hash,
            department=call.department,
            asset=asset_text(decided.asset),
            grant_id=grant,
            purpose=ask.purpose,
            action=ask.action,
            plan_hash=decided.plan.hash,
            media_type=media_type,
            state="charged",
            entry_id=str(entry_id),
            charged_at=decided.context.now,
        )
        releases.open_release(connection, release)
        return JobResult(release, [decision_entry(entry_id, call, decided, (), release_id)])

    done = gateway.commit(job)
    match done.value:
        case Release() as release:
            receipt = done.receipts[0] if done.receipts else gateway.receipt_of(release.entry_id)
            return Charged(release, receipt, decided, repeated=release.state == "done")
        case Decided() as refused:
            raise denial(refused, done.receipts[0])


def _again(connection: Connection, before: Release) -> Release:
    """The release of an idempotency key that came back: done, or taken up again after it broke off."""
    if before.state == "aborted":
        releases.move(connection, before.id, "streaming")
        return replace(before, state="streaming")
    if before.state != "done":
        raise Problem(
            "release.in-progress", "the first call with this idempotency key is still being answered"
        )
    return before


def _denied(decided: Decided, code: str) -> Decided:
    grant = decided.outcome.grant if isinstance(decided.outcome, Permit) else None
    return Decided(
        decided.ask,
        decided.asset,
        decided.request,
        decided.context,
        decided.at_hand,
        Deny((Reason(code, grant=grant),)),
        decided.query,
        None,
        decided.shelf,
    )


def _request_hash(ask: Ask, media_type: str) -> str:
    document = {
        "asset": ask.asset,
        "purpose": ask.purpose,
        "action": ask.action,
        "query": dict(ask.query),
        "grant": ask.grant,
        "attributes": dict(ask.attributes),
        "media_type": media_type,
    }
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()
