"""A data call: decided, charged and logged before the first byte leaves, enforced while it leaves.

The order is the product: grants recomputed and live, decision, plan, the answer drawn as far as it is held, then
nonce, charge, release and entries in one commit, and only then the first byte. A failed charge becomes a denial entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from access_policy.decision import Context, Deny, Permit, Reason, Request
from access_policy.errors import PlanError
from access_policy.privacy.encoding import AnswerFormat
from access_policy.privacy.plan import compile_plan
from access_policy.privacy.query import parse_query
from api.acts.assets_at_hand import shelf_of
from api.acts.decisions import Ask, Decided, decision_entry, denial, explained, reasons_of
from api.acts.evidence import Evidence, commit_to
from api.acts.grants_at_hand import charges_of, grants_at_hand, merged_reasons
from api.acts.persons import subject_of
from api.acts.release import Charged, Draft, ended
from api.acts.repeats import CHANGED, Before, Bound, before_of, kept_key, request_digest
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from ledger import releases
from ledger.audit.append import NewEntry
from ledger.audit.events import new_event_id
from ledger.audit.openings import Opening
from ledger.audit.writer import JobResult
from ledger.ids import asset_iri, asset_text, department_iri, parse_asset, parse_grant
from ledger.outbox.denials import REVOKED
from ledger.projection.queries import ended_grants, service_key
from ledger.releases import Release


def decide_call(gateway: Gateway, call: SignedCall, ask: Ask, again: Again | None = None) -> Decided:
    """Decide without any effect; Problem only for what is malformed or unknown, a refusal is a value.

    A call that comes ``again`` is decided as if it had not been charged yet: its own use is not held against it. It is
    refused when its key stands for something else, or for what is not there any more.
    """
    asset = parse_asset(ask.asset)
    only = None if ask.grant is None else parse_grant(ask.grant)
    query = parse_query(ask.query)
    now = gateway.now()
    with gateway.reading.connect() as connection:
        shelf = shelf_of(gateway, connection, asset)
        at_hand = grants_at_hand(gateway, connection, asset, call.department, now, only)
        replayed = releases.nonce_used(connection, call.key_id, call.nonce)
        before = before_of(gateway, connection, call.key_id, again.key) if again else None
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
        first = before.release.grant_id
        for grant in (first, *(above for above, _ in at_hand.ancestors.get(first, ()))):
            if used.get(grant):
                used[grant] -= 1
    context = Context(now=now, used=used, first_used=at_hand.first_used)
    keep = timedelta(seconds=gateway.settings.idempotency_keep_s)
    refused = before.refuses(again.request, now, keep) if before and again else None
    outcome: Permit | Deny
    if refused is not None:
        outcome = Deny((Reason(refused),))
    elif shelf.unavailable is not None:
        outcome = Deny((Reason(shelf.unavailable),))
    else:
        outcome = at_hand.engine.decide(request, context)
    if isinstance(outcome, Deny):
        outcome = Deny(merged_reasons(at_hand.fallen, outcome.reasons))
    plan = None
    if isinstance(outcome, Permit):
        try:
            plan = compile_plan(query, outcome, shelf.schema)
        except PlanError as impossible:
            outcome = Deny(
                (Reason(impossible.code, grant=outcome.grant, constraint=impossible.pointer or None),)
            )
    decided = Decided(ask, asset, request, context, at_hand, outcome, query, plan, shelf, replayed, before)
    if before is not None and again is not None and plan is not None and before.bound != again.bound(decided):
        return _denied(decided, CHANGED)
    return decided


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

    Problem with a receipt for a denial; among them are ``source.changed`` (the file is not the one that was signed) and
    ``scan.failed`` (the data cannot be read): what fails before the first byte leaves is never charged. Problem
    ``scan.busy``, without an entry, when no scanning process is free.
    """
    gateway.must_be_able_to_release()
    gateway.must_be_newest()
    again = None
    if idempotency_key is not None:
        again = Again(kept_key(gateway, call.key_id, idempotency_key), _request(ask, answer))
    decided = decide_call(gateway, call, ask, again)
    draft, entry_id = None, new_event_id()
    if isinstance(decided.outcome, Permit):
        decided.shelf.must_be_readable()
        if not decided.replayed:
            subject = subject_of(decided.asset, decided.shelf.schema, decided.query, entry_id)
            draft = Draft(gateway, call, decided, answer, subject)
        if draft is not None and decided.before is not None and not draft.fits(decided.before):
            draft.close()
            decided, draft = _denied(decided, CHANGED), None
    charge = _Charge(gateway, call, decided, answer, again, draft, entry_id)
    try:
        done = gateway.commit(charge.job)
        evidence = Evidence(done.receipts[0], charge.about)
        if isinstance(done.value, Decided):
            raise denial(done.value, evidence)
        return charge.charged(done.value, evidence)
    except BaseException:
        if draft is not None:
            draft.close()
        raise


@dataclass(frozen=True, slots=True)
class Again:
    """The idempotency key of a call as it is kept (`kept_key`) and the digest of its request, by which it is known when
    it comes again."""

    key: str
    request: str

    def bound(self, decided: Decided) -> Bound:
        """What the key is bound to by this decision, a permit."""
        assert isinstance(decided.outcome, Permit)
        assert decided.plan is not None
        shelf = decided.shelf
        return Bound(
            self.request, shelf.version, shelf.metadata_hash, decided.outcome.grant, decided.plan.hash
        )


class _Charge:
    """One call on its way into the log; ``about`` is the commitment to it that its entry makes."""

    def __init__(
        self,
        gateway: Gateway,
        call: SignedCall,
        decided: Decided,
        answer: AnswerFormat,
        again: Again | None,
        draft: Draft | None,
        entry_id: UUID,
    ) -> None:
        self._gateway, self._call, self._decided, self._draft = gateway, call, decided, draft
        self._again, self._answer = again, answer
        self._entry_id, self._release_id = entry_id, str(uuid4())
        self._repeated = False
        self.about = commit_to(call)

    def job(self, connection: Connection) -> JobResult[Decided | Release]:
        """Nonce, charge, release and entries, or the entry of the refusal."""
        decided, call = self._decided, self._call
        # What was recorded since the call was verified: no entry of a key stands after the entry of its removal.
        if (
            service_key(connection, call.department, bytes.fromhex(call.public_key), self._gateway.now())
            is None
        ):
            raise Problem(
                "signature.unknown-key", "the key was removed, or its department suspended, meanwhile"
            )
        undrawn = isinstance(decided.outcome, Permit) and self._draft is None
        if not self._gateway.claim(connection, call) or undrawn:
            return self._refused("call.replayed")
        if self._again is not None:
            now = releases.find_by_idempotency(connection, call.key_id, self._again.key)
            if now != (decided.before.release if decided.before else None) or (
                now and now.state == "streaming"
            ):
                raise Problem(
                    "release.in-progress", "the first call with this idempotency key is still being answered"
                )
        if isinstance(decided.outcome, Deny):
            return JobResult(
                decided, [decision_entry(self._entry_id, call, decided, decided.reasons, self.about)]
            )
        grant = decided.outcome.grant
        line = (grant, *(above for above, _ in decided.at_hand.ancestors.get(grant, ())))
        denied = self._gateway.revocations.of(connection, committed=False)
        why = next((denied[one] for one in line if one in denied), None)
        if why is not None or ended_grants(connection, line):
            return self._refused(f"grant.{why or REVOKED}")
        if self._draft is not None and self._draft.broken is not None:
            return self._refused(self._draft.broken)
        if decided.before is not None:
            return self._taken_up(connection, decided.before)
        bound = decided.at_hand.bounds[grant]
        if not self._still_permitted(connection, decided.outcome):
            return self._refused("uses.taken")
        told = self._gateway.uses.of([grant]).get(grant)
        spent = max(bound.uses, told.used if told else 0)
        if releases.charge(connection, grant, bound.max_uses, decided.context.now, spent=spent) is None:
            return self._refused("uses.taken")
        return self._opened(connection, grant)

    def _still_permitted(self, connection: Connection, permit: Permit) -> bool:
        """Whether the uses that came in since the decision leave it as it was.

        The slot counts all uses of the grant together. What the terms count besides, for one permission or above a
        delegated grant, is only known to the engine.
        """
        decided = self._decided
        charges = charges_of(self._gateway, connection, [decided.at_hand.standing[permit.grant]])
        came = {
            grant: one for grant, one in charges.items() if one.used != decided.context.used.get(grant, 0)
        }
        if not came:
            return True
        used = {**decided.context.used, **{grant: one.used for grant, one in came.items()}}
        now = decided.context.now  # of two first uses, the later one may have come into the log before
        first = {**decided.context.first_used, **{g: min(one.first, now) for g, one in came.items()}}
        context = replace(decided.context, used=used, first_used=first)
        return decided.at_hand.engine.decide(decided.request, context) == permit

    def charged(self, release: Release, evidence: Evidence) -> Charged:
        """What may leave now."""
        assert self._draft is not None
        before = self._decided.before
        return Charged(release, evidence, self._draft, before.outcomes if before else 0, self._repeated)

    def _opened(self, connection: Connection, grant: str) -> JobResult[Decided | Release]:
        """A new release: its decision, and its outcome when there is one already."""
        decided, draft = self._decided, self._draft
        assert decided.plan is not None
        assert draft is not None
        binding = () if self._again is None else (self._again.bound(decided).opening(draft.subject),)
        release = Release(
            id=self._release_id,
            key_id=self._call.key_id,
            idempotency_key=self._again.key if self._again else self._own_key(),
            request_hash=binding[0].digest if binding else "",
            department=self._call.department,
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
        entries = [self._permitted(release, *binding)]
        if draft.complete:
            release, outcome = ended(release, draft, self._gateway.now(), 0)
            entries.append(outcome)
        releases.open_release(connection, release)
        return JobResult(release, entries)

    def _own_key(self) -> str:
        """The release's own id, kept as a key would be: so it is no key that a caller could begin with."""
        return kept_key(self._gateway, self._call.key_id, self._release_id)

    def _taken_up(self, connection: Connection, before: Before) -> JobResult[Decided | Release]:
        """The release of an idempotency key that came back: done, or taken up again after it broke off. Not charged."""
        assert self._draft is not None
        release = before.release
        entries = [self._permitted(release, repeated=True)]
        if release.state == "done":
            self._repeated = True
            return JobResult(release, entries)
        again = replace(release, state="streaming")
        releases.move(connection, release.id, "streaming")
        if not self._draft.complete:
            return JobResult(again, entries)
        over, outcome = ended(again, self._draft, self._gateway.now(), before.outcomes)
        releases.end(connection, over)
        return JobResult(over, [*entries, outcome])

    def _permitted(self, release: Release, *more: Opening, repeated: bool = False) -> NewEntry:
        return decision_entry(
            self._entry_id,
            self._call,
            self._decided,
            (),
            self.about,
            *more,
            release_id=release.id,
            repeated=repeated,
        )

    def _refused(self, code: str) -> JobResult[Decided | Release]:
        denied = _denied(self._decided, code)
        return JobResult(
            denied, [decision_entry(self._entry_id, self._call, self._decided, (code,), self.about)]
        )


def _denied(decided: Decided, code: str) -> Decided:
    grant = decided.outcome.grant if isinstance(decided.outcome, Permit) else None
    return replace(decided, outcome=Deny((Reason(code, grant=grant),)), plan=None)


def _request(ask: Ask, media_type: str) -> str:
    """The digest of a request: of everything that it asks for."""
    return request_digest(
        {
            "asset": ask.asset,
            "purpose": ask.purpose,
            "action": ask.action,
            "query": dict(ask.query),
            "grant": ask.grant,
            "attributes": dict(ask.attributes),
            "media_type": media_type,
        }
    )
