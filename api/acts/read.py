"""A data call: decided, charged and logged before the first byte leaves, enforced while it leaves.

The order is the product: grants recomputed and live, decision, plan, the answer drawn as far as it is held, then
nonce, charge, release and entries in one commit, and only then the first byte. A failed charge becomes a denial entry.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from access_policy.decision import Context, Deny, Permit, Reason, Request
from access_policy.errors import PlanError
from access_policy.privacy.encoding import AnswerFormat
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import parse_query
from access_policy.privacy.source import SourceChanged
from api.acts.assets_at_hand import shelf_of
from api.acts.decisions import Ask, Decided, decision_entry, denial, explained, reasons_of
from api.acts.grants_at_hand import grants_at_hand, merged_reasons
from api.acts.release import Charged, Draft, ended, scan_failed
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from ledger import releases
from ledger.audit.events import new_event_id
from ledger.audit.receipts import Receipt
from ledger.audit.writer import JobResult
from ledger.ids import asset_iri, asset_text, department_iri, parse_asset, parse_grant
from ledger.releases import Release


def decide_call(gateway: Gateway, call: SignedCall, ask: Ask, again: Again | None = None) -> Decided:
    """Decide without any effect; Problem only for what is malformed or unknown, a refusal is a value.

    A call that comes ``again`` is decided as if it had not been charged yet: its own use is not held against it.
    """
    asset = parse_asset(ask.asset)
    only = None if ask.grant is None else parse_grant(ask.grant)
    query = parse_query(ask.query)
    now = gateway.now()
    with gateway.reading.connect() as connection:
        shelf = shelf_of(gateway, connection, asset)
        at_hand = grants_at_hand(gateway, connection, asset, call.department, now, only)
        replayed = releases.nonce_used(connection, call.key_id, call.nonce, now)
        before = again.found(connection, call) if again else None
    unknown = [name for name in query.request_columns() if name not in shelf.schema.names()]
    if unknown:
        raise Problem("column.unknown", "the asset has no such column", {"asset": ask.asset})
    request = Request(
        assignee=department_iri(call.department),
        asset=asset_iri(asset),
        action=ask.action,
        purpose=ask.purpose,
        columns=query.request_columns(),
        filter_columns=query.filter_columns(),
        attributes=dict(ask.attributes),
    )
    used = dict(at_hand.used)
    if before is not None:
        for grant in (before.grant_id, *(above for above, _ in at_hand.ancestors.get(before.grant_id, ()))):
            if used.get(grant):
                used[grant] -= 1
    context = Context(now=now, used=used, first_used=at_hand.first_used)
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
    return Decided(ask, asset, request, context, at_hand, outcome, query, plan, shelf, replayed, before)


def dry_run(gateway: Gateway, call: SignedCall, ask: Ask) -> dict[str, Any]:
    """Decide and explain: no charge, no data, no entry."""
    decided = decide_call(gateway, call, ask)
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
    gateway: Gateway, call: SignedCall, ask: Ask, answer: AnswerFormat, idempotency_key: str | None
) -> Charged:
    """Decide, draw the answer, then commit nonce, charge, release and entries together.

    Problem with a receipt for a denial (among them ``source.changed``: the file is not the one that was signed, nothing
    is charged); Problem ``scan.failed`` when the data cannot be read (which is charged:
    the idempotency key goes on without another charge).
    """
    gateway.must_reach_chain()
    again = None
    if idempotency_key is not None:
        again = Again(idempotency_key, _request_hash(gateway.request_key, ask, answer))
    decided = decide_call(gateway, call, ask, again)
    draft: Draft | None = None
    if isinstance(decided.outcome, Permit):
        decided.shelf.must_be_readable()
        if not decided.replayed:
            draft = Draft(gateway, decided, answer)
    charge = _Charge(gateway, call, decided, answer, again, draft)
    try:
        done = gateway.commit(charge.job)
        if isinstance(done.value, Decided):
            raise denial(done.value, done.receipts[0])
        return charge.charged(done.value, done.receipts)
    except BaseException:
        if draft is not None:
            draft.close()
        raise


@dataclass(frozen=True, slots=True)
class Again:
    """The idempotency key of a call and the hash of its request, by which it is known when it comes again."""

    key: str
    request_hash: str

    def found(self, connection: Connection, call: SignedCall) -> Release | None:
        """The release of the first call; IdempotencyConflict when that was another request."""
        return releases.find_by_idempotency(connection, call.key_id, self.key, self.request_hash)


class _Charge:
    """One call on its way into the log."""

    def __init__(
        self,
        gateway: Gateway,
        call: SignedCall,
        decided: Decided,
        answer: AnswerFormat,
        again: Again | None,
        draft: Draft | None,
    ) -> None:
        self._gateway, self._call, self._decided, self._draft = gateway, call, decided, draft
        self._again, self._answer = again, answer
        self._entry_id, self._release_id = new_event_id(), str(uuid4())
        self._repeated = False

    def job(self, connection: Connection) -> JobResult[Decided | Release]:
        """Nonce, charge, release and entries, or the entry of the refusal."""
        decided, call = self._decided, self._call
        undrawn = isinstance(decided.outcome, Permit) and self._draft is None
        if not self._gateway.claim(connection, call) or undrawn:
            return self._refused("call.replayed")
        before = self._again.found(connection, call) if self._again else None
        if before is not None and (before.state == "streaming" or decided.before is None):
            raise Problem(
                "release.in-progress", "the first call with this idempotency key is still being answered"
            )
        if isinstance(decided.outcome, Deny):
            return JobResult(decided, [decision_entry(self._entry_id, call, decided, decided.reasons)])
        grant = decided.outcome.grant
        if grant in self._gateway.revocations.of(connection, committed=False):
            return self._refused("grant.revoked")
        if self._draft is not None and isinstance(self._draft.broken, SourceChanged):
            return self._refused(SourceChanged.code)
        if before is not None:
            return self._taken_up(connection, before)
        bound = decided.at_hand.bounds[grant]
        if releases.charge(connection, grant, bound.max_uses, decided.context.now, spent=bound.uses) is None:
            return self._refused("uses.taken")
        assert decided.plan is not None
        assert self._draft is not None
        release = Release(
            id=self._release_id,
            key_id=call.key_id,
            idempotency_key=self._again.key if self._again else self._release_id,
            request_hash=self._again.request_hash if self._again else "",
            department=call.department,
            asset=asset_text(decided.asset),
            grant_id=grant,
            purpose=decided.ask.purpose,
            action=decided.ask.action,
            plan_hash=decided.plan.hash,
            media_type=self._answer,
            state="streaming",
            entry_id=str(self._entry_id),
            charged_at=decided.context.now,
            version=decided.shelf.version,
            metadata_hash=decided.shelf.metadata_hash,
        )
        entries = [decision_entry(self._entry_id, call, decided, (), release.id)]
        if self._draft.state != "streaming":
            release, outcome = ended(release, self._draft, self._gateway.now())
            entries.append(outcome)
        releases.open_release(connection, release)
        return JobResult(release, entries)

    def charged(self, release: Release, receipts: Sequence[Receipt]) -> Charged:
        """What may leave now; Problem when nothing may."""
        draft, outcome = self._draft, self._decided.outcome
        if draft is None or not isinstance(outcome, Permit) or outcome.grant != release.grant_id:
            raise Problem(
                "release.unavailable", "the grant of this release does not permit the call any more"
            )
        if draft.broken is not None:
            raise scan_failed(release, draft.broken) from draft.broken
        made = receipts and release.id == self._release_id
        receipt = receipts[0] if made else self._gateway.receipt_of(release.entry_id)
        return Charged(release, receipt, draft, self._repeated)

    def _taken_up(self, connection: Connection, before: Release) -> JobResult[Decided | Release]:
        """The release of an idempotency key that came back: done, or taken up again after it broke off."""
        outcome = self._decided.outcome
        if before.state == "done":
            self._repeated = True
            return JobResult(before)
        if self._draft is None or not isinstance(outcome, Permit) or outcome.grant != before.grant_id:
            return JobResult(before)
        again = replace(before, state="streaming")
        releases.move(connection, before.id, "streaming")
        if self._draft.state == "streaming":
            return JobResult(again)
        over, entry = ended(again, self._draft, self._gateway.now())
        releases.end(connection, over)
        return JobResult(over, [entry])

    def _refused(self, code: str) -> JobResult[Decided | Release]:
        denied = _denied(self._decided, code)
        return JobResult(denied, [decision_entry(self._entry_id, self._call, self._decided, (code,))])


def _denied(decided: Decided, code: str) -> Decided:
    grant = decided.outcome.grant if isinstance(decided.outcome, Permit) else None
    return replace(decided, outcome=Deny((Reason(code, grant=grant),)), plan=None)


def _request_hash(key: bytes, ask: Ask, media_type: str) -> str:
    """Tells whether an idempotency key comes back with the same request. Keyed, since the release outlives the
    openings: a hash of the query alone could be guessed after a person's erasure."""
    document = {
        "asset": ask.asset,
        "purpose": ask.purpose,
        "action": ask.action,
        "query": dict(ask.query),
        "grant": ask.grant,
        "attributes": dict(ask.attributes),
        "media_type": media_type,
    }
    return hmac.digest(key, json.dumps(document, sort_keys=True).encode(), "sha256").hex()
