"""A data call: decided, charged and logged before the first byte leaves, enforced while it leaves.

The order is the product: grants recomputed and live, decision, plan, then nonce, charge, release and entry in
one commit, then the scan. A failed charge becomes a denial entry. Revocation is looked at again between batches.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import rfc8785
from sqlalchemy import Connection

from access_policy.decision import Context, Deny, Permit, Reason, Request
from access_policy.engine import ENGINE_VERSION
from access_policy.errors import PlanError
from access_policy.explain import explain, explanation
from access_policy.privacy.encoding import MEDIA_TYPES, AnswerFormat, Encoder
from access_policy.privacy.plan import Plan, compile_plan
from access_policy.privacy.pseudonyms import derive_grant_key
from access_policy.privacy.query import Query, parse_query
from access_policy.privacy.scanner import ScanError
from access_policy.privacy.source import SourceError
from access_policy.replay import record
from access_policy.rows import And, Compare, RowPredicate
from api.acts.assets_at_hand import Shelf, shelf_of
from api.acts.grants_at_hand import AtHand, grants_at_hand, merged_reasons
from api.gateway import Gateway
from api.problems import Problem
from api.signatures import SignedCall
from ledger import releases
from ledger.audit.append import NewEntry
from ledger.audit.events import Event
from ledger.audit.openings import Opening, commit
from ledger.audit.receipts import Receipt
from ledger.audit.writer import JobResult
from ledger.ids import asset_iri, asset_text, department_iri, parse_asset, parse_grant
from ledger.outbox import pending_revocations
from ledger.releases import Release

_log = logging.getLogger(__name__)


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
    """A decision with everything it was taken from."""

    ask: Ask
    asset: int
    request: Request
    context: Context
    at_hand: AtHand
    outcome: Permit | Deny
    query: Query
    plan: Plan | None
    shelf: Shelf

    @property
    def reasons(self) -> tuple[str, ...]:
        return (
            tuple(dict.fromkeys(r.code for r in self.outcome.reasons))
            if isinstance(self.outcome, Deny)
            else ()
        )


@dataclass(frozen=True, slots=True)
class Charged:
    """A call that was charged: its release and the receipt of its decision.

    ``repeated``: the release was done before, and its data go out once more without touching its record.
    """

    release: Release
    receipt: Receipt
    decided: Decided
    repeated: bool

    def media_type(self, answer: AnswerFormat) -> str:
        """The Content-Type of the answer."""
        return MEDIA_TYPES[answer]


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
        "explanation": _explained(decided),
        "candidates": list(decided.at_hand.candidates),
        "reasons": _reasons(decided),
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
    entry_id, release_id = uuid4(), str(uuid4())

    def job(connection: Connection) -> JobResult[Decided | Release]:
        if not gateway.claim(connection, call):
            return JobResult(
                _denied(decided, "call.replayed"), [_entry(entry_id, call, decided, ("call.replayed",))]
            )
        if idempotency_key is not None:
            before = releases.find_by_idempotency(connection, call.key_id, idempotency_key, request_hash)
            if before is not None:
                return JobResult(_again(connection, before))
        if isinstance(decided.outcome, Deny):
            return JobResult(decided, [_entry(entry_id, call, decided, decided.reasons)])
        grant = decided.outcome.grant
        if grant in pending_revocations(connection):
            return JobResult(
                _denied(decided, "grant.revoked"), [_entry(entry_id, call, decided, ("grant.revoked",))]
            )
        bound = decided.at_hand.bounds[grant]
        if releases.charge(connection, grant, bound.max_uses, decided.context.now, spent=bound.uses) is None:
            return JobResult(
                _denied(decided, "uses.taken"), [_entry(entry_id, call, decided, ("uses.taken",))]
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
        return JobResult(release, [_entry(entry_id, call, decided, (), release_id)])

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


def denial(decided: Decided, receipt: Receipt) -> Problem:
    """The problem that tells a department exactly why it was refused, with the receipt of the refusal."""
    assert isinstance(decided.outcome, Deny)
    first = decided.outcome.reasons[0]
    return Problem(
        first.code,
        explain(decided.outcome, "en"),
        {
            "decision": "deny",
            "reasons": _reasons(decided),
            "explanation": _explained(decided),
            "candidates": list(decided.at_hand.candidates),
            "receipt": str(receipt),
        },
    )


def run_release(gateway: Gateway, charged: Charged, answer: AnswerFormat) -> Iterator[bytes]:
    """The bytes of a release; moves it to done or aborted and logs the outcome.

    A repeated call (same idempotency key) runs the same plan again under the same release, without a charge.
    """
    decided, release = charged.decided, charged.release
    plan = decided.plan
    if plan is None or not isinstance(decided.outcome, Permit) or decided.outcome.grant != release.grant_id:
        raise Problem("release.unavailable", "the grant of this release does not permit the call any more")
    key = derive_grant_key(gateway.pseudonym_secret, release.grant_id) if plan.needs_key else None
    encoder: Encoder | None = None
    announced = charged.repeated or release.state == "streaming"
    try:
        with gateway.scanner.scan(plan, decided.shelf.source, key) as scan:
            encoder = Encoder(_while_live(gateway, decided, scan), scan.schema, answer)
            for chunk in encoder:
                if not announced and encoder.bytes > gateway.settings.buffer_bytes:
                    gateway.commit(partial(_move, release.id, "streaming"))
                    announced = True
                yield chunk
    except BaseException as broken:
        if not charged.repeated:
            _finish(gateway, release, "aborted", encoder)
        if isinstance(broken, ScanError | SourceError):
            _log.warning("release %s aborted: %s", release.id, broken.code)
            raise Problem("scan.failed", "the data could not be read", {"release": release.id}) from broken
        raise
    if not charged.repeated:
        _finish(gateway, release, "done", encoder)


def abort_orphans(gateway: Gateway) -> int:
    """At start-up: releases that a stopped gateway left unfinished become aborted, each with its entry."""
    with gateway.reading.connect() as connection:
        left = releases.orphans(connection)
    for release in left:
        _finish(gateway, release, "aborted", None)
    return len(left)


def _move(release_id: str, state: releases.State, connection: Connection) -> JobResult[None]:
    releases.move(connection, release_id, state)
    return JobResult(None)


def _finish(gateway: Gateway, release: Release, state: releases.State, encoder: Encoder | None) -> None:
    now = gateway.now()
    digest = commit("response", encoder.sha256) if encoder is not None and state == "done" else None
    rows, size = (encoder.rows, encoder.bytes) if encoder is not None else (0, 0)
    event = Event(
        id=uuid4(),
        type=f"gateway:release:{state}",
        time=now,
        department=release.department,
        service=release.key_id,
        asset=release.asset,
        grant=release.grant_id,
        purpose=release.purpose,
        counts={"rows": rows, "bytes": size},
        commitments={digest.name: digest.digest} if digest else {},
        facts={"release": release.id},
    )

    def job(connection: Connection) -> JobResult[None]:
        releases.move(
            connection,
            release.id,
            state,
            now=now,
            rows=rows,
            size=size,
            digest=encoder.sha256 if digest and encoder else None,
        )
        return JobResult(None, [NewEntry(event, (digest,) if digest else ())])

    gateway.commit(job)


def _while_live(gateway: Gateway, decided: Decided, batches: Iterator[Any]) -> Iterator[Any]:
    """Pass batches on while the grant stands; a revocation stops the release within one batch."""
    assert isinstance(decided.outcome, Permit)
    grant = decided.outcome.grant
    for number, batch in enumerate(batches):
        if number and not gateway.still_live(grant):
            raise Problem("grant.revoked", "the grant was revoked while its data were leaving")
        yield batch


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


def _reasons(decided: Decided) -> list[dict[str, str]]:
    if not isinstance(decided.outcome, Deny):
        return []
    return [
        {name: value for name in ("code", "grant", "rule", "constraint") if (value := getattr(reason, name))}
        for reason in decided.outcome.reasons
    ]


def _explained(decided: Decided) -> dict[str, Any]:
    return {
        "en": explanation(decided.outcome, "en").to_json(),
        "zh": explanation(decided.outcome, "zh").to_json(),
    }


def _entry(
    entry_id: UUID,
    call: SignedCall,
    decided: Decided,
    reasons: tuple[str, ...],
    release_id: str | None = None,
) -> NewEntry:
    """The audit entry of a decision: no literal of the query in the clear, each as a salted commitment."""
    permit = decided.outcome if isinstance(decided.outcome, Permit) and not reasons else None
    subject = _subject(decided)
    openings: list[Opening] = [
        commit("signature-base", hashlib.sha256(call.signature_base).hexdigest()),
        commit("decision", record(decided.request, decided.context), subject),
    ]
    if literals := decided.query.literals():
        openings.append(commit("literals", list(literals), subject))
    facts: dict[str, str | int | bool] = {"action": decided.ask.action}
    if release_id is not None:
        facts["release"] = release_id
    if decided.at_hand.fallen:
        facts["fallen"] = " ".join(f"{reason.grant}={reason.code}" for reason in decided.at_hand.fallen)
    event = Event(
        id=entry_id,
        type="gateway:read:decided",
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
        commitments={opening.name: opening.digest for opening in openings},
        facts=facts,
    )
    return NewEntry(event, tuple(openings))


def _subject(decided: Decided) -> str:
    """Whose data a point read is about: the literal that the person key is compared with; "" for nobody's."""
    key = decided.shelf.schema.person_key
    where = decided.query.where
    found = _equal_to(where, key) if key is not None and where is not None else None
    return "" if found is None else subject_name(decided.asset, found)


def subject_name(asset: int, key: str) -> str:
    """Under which name the openings of one person of one asset are kept, found and erased."""
    return f"{asset_text(asset)}:{key}"


def _equal_to(predicate: RowPredicate, column: str) -> str | None:
    match predicate:
        case Compare(name, "eq", value) if name == column:
            return str(value)
        case And(parts):
            return next((found for part in parts if (found := _equal_to(part, column)) is not None), None)
    return None


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
