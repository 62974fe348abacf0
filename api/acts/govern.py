"""A signed act of an officer or the council: checked early, kept durably, carried to the contract, recorded.

The gateway adds nothing to an act: whatever it carries was signed, and the contract verifies the signatures
again. What is checked here is checked to answer a clear problem before anything is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection

from api.acts.delegation import check_delegation
from api.documents.at_hand import CatalogueAtHand, CatalogueForStrangers
from api.documents.facts import Catalogue, DocumentRefused, Finding, Papers
from api.documents.rule import must_fit
from api.gateway import Gateway
from api.problems import Problem
from ledger.audit.writer import JobResult
from ledger.ids import ACTIVATION, parse_digest
from ledger.outbox import (
    ActPending,
    ActRecord,
    SignedAct,
    accept,
    admission_of,
    check,
    find,
    on_its_way,
    simulate_act,
    steps_of,
)
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.documents import ENTRY_ACTS


def submit_act(gateway: Gateway, document: Mapping[str, Any], wait_s: float) -> dict[str, Any]:
    """Take an act, wait for its record up to ``wait_s`` seconds, and say what became of it.

    The same signed message twice is one act. Problem ``act.refused`` with the contract's error when it would
    revert, and nothing is stored then. An admission with both sets of signatures is two acts where the council's
    delay is not over: the proposal is carried at once, the activation when it is ready.
    """
    act = SignedAct.from_json(document)
    with gateway.reading.connect() as connection:
        steps = steps_of(connection, gateway.deployment, act, gateway.admission_delay)
        known = [find(connection, step.id(gateway.deployment)) for step in steps]
        new = [
            step
            for step, record in zip(steps, known, strict=True)
            if record is None or record.state in ("failed", "expired")
        ]
        # What has failed comes back with other signatures and documents perhaps: it is checked like a new act.
        warnings = [found for step in new for found in _must_be_acceptable(gateway, connection, step)]
        others_first = on_its_way(connection)
    if new:
        gateway.must_reach_chain()
        # An act that needs one still on its way would be refused early by a chain that has not seen it yet.
        if not others_first:
            _contract_takes(gateway, new[0])
        gateway.commit(lambda connection: _taken(gateway, connection, new))
        gateway.relayer.notify()
    answer = act_state(gateway, steps[-1].id(gateway.deployment), wait_s)
    return answer | ({"warnings": [one.to_json() for one in warnings]} if warnings else {})


def _taken(gateway: Gateway, connection: Connection, acts: Sequence[SignedAct]) -> JobResult[None]:
    """Accept in the writer's transaction. A catalogue entry is checked again: another may have come in between."""
    now = gateway.now()
    for act in acts:
        if act.type in ENTRY_ACTS:
            _documents_fit(act, CatalogueAtHand(connection, int(now.timestamp())))
        accept(connection, gateway.deployment, act, now)
    return JobResult(None)


def act_state(gateway: Gateway, digest: str, wait_s: float = 0.0) -> dict[str, Any]:
    """What became of an act; Problem ``not-found.act`` for a digest nobody handed in."""
    parse_digest(digest.removesuffix(ACTIVATION))
    record = _found(gateway, digest)
    if record is None:
        raise Problem("not-found.act", "no act has this digest")
    if digest.endswith(ACTIVATION):
        return _activation_state(gateway, record, wait_s)
    record = _waited(gateway, record, wait_s)
    return _state(gateway, record) | _readiness(_ready_at(gateway, record))


def _activation_state(gateway: Gateway, record: ActRecord, wait_s: float) -> dict[str, Any]:
    """As `act_state`, of an admission's second step: with its proposal, and when it is ready while it waits.

    Nobody is kept waiting for a time that comes later than ``wait_s``.
    """
    until = gateway.now() + timedelta(seconds=wait_s)
    proposal = _found(gateway, record.id.removesuffix(ACTIVATION))
    members: dict[str, Any] = {}
    if proposal is not None:
        members["proposal"] = _state(gateway, _waited(gateway, proposal, wait_s))
    ready_at = _ready_at(gateway, record)
    if ready_at is None or ready_at < until:
        record = _waited(gateway, record, (until - gateway.now()).total_seconds())
    return _state(gateway, record) | members | ({} if record.final else _readiness(ready_at))


def _ready_at(gateway: Gateway, record: ActRecord) -> datetime | None:
    """From when a proposed admission can be activated; None for other acts and for one that is over."""
    if record.type != "Admission":
        return None
    with gateway.reading.connect() as connection:
        found = admission_of(connection, record.message)
    proposed = found is not None and found.state == "proposed"
    return datetime.fromtimestamp(found.ready_at, UTC) if found is not None and proposed else None


def _readiness(ready_at: datetime | None) -> dict[str, str]:
    return {} if ready_at is None else {"ready_at": ready_at.isoformat()}


def _found(gateway: Gateway, digest: str) -> ActRecord | None:
    with gateway.reading.connect() as connection:
        return find(connection, digest)


def _waited(gateway: Gateway, record: ActRecord, wait_s: float) -> ActRecord:
    """The act once it is final, or as it stands after so many seconds."""
    if wait_s <= 0 or record.final:
        return record
    try:
        return gateway.follower.wait(record.id, timeout=wait_s)
    except ActPending:
        return _found(gateway, record.id) or record


def _must_be_acceptable(gateway: Gateway, connection: Connection, act: SignedAct) -> list[Finding]:
    """The warnings; Problem when documents, deadline, signatures or authority of a new act do not hold."""
    now = gateway.now()
    _documents_fit(act, CatalogueForStrangers(connection, int(now.timestamp())))
    refused = check(connection, gateway.deployment, act, now, earliest=gateway.time.earliest())
    if refused is not None:
        raise Problem(refused.code, refused.detail, {"member": refused.member} if refused.member else {})
    warnings = _documents_fit(act, CatalogueAtHand(connection, int(now.timestamp())))
    check_delegation(connection, act)
    earliest = int(now.timestamp()) + gateway.admission_delay
    if act.function.name == "proposeAdmission" and act.deadline is not None and act.deadline <= earliest:
        ready = datetime.fromtimestamp(earliest, UTC).isoformat()
        raise Problem(
            "act.deadline",
            f"the admission is ready at {ready} at the earliest, and the message may be used until "
            f"{datetime.fromtimestamp(act.deadline, UTC).isoformat()}",
            {"member": "deadline", "pointer": "/message/deadline"},
        )
    return warnings


def _contract_takes(gateway: Gateway, act: SignedAct) -> None:
    """Problem ``act.refused`` when the contract would revert; an admission that is not ready yet may wait, and a
    revocation holds here also when the chain's time is ahead of its deadline."""
    refused = simulate_act(gateway.chain, gateway.deployment, act, gateway.relayer_address)
    may_wait = {"activate": "AdmissionNotReady("}.get(act.function.name)
    if act.type in REVOCATIONS:
        may_wait = "DeadlinePassed("
    if refused is not None and not (may_wait and refused.detail.startswith(may_wait)):
        raise Problem(refused.code, refused.detail)


def _state(gateway: Gateway, record: ActRecord) -> dict[str, Any]:
    document: dict[str, Any] = {"digest": record.digest, "state": record.state}
    for name in ("reason", "tx_hash", "block"):
        if (value := getattr(record, name)) is not None:
            document[name] = value
    if record.entry_id is not None:
        document["receipt"] = str(gateway.receipt_of(str(record.entry_id)))
    if record.state in ("failed", "expired"):
        if record.state == "expired" and record.type in REVOCATIONS:
            document["denies"] = True
        raise Problem(
            "act.refused" if record.state == "failed" else "act.expired",
            record.reason or record.state,
            document,
        )
    return document


def _documents_fit(act: SignedAct, catalogue: Catalogue) -> list[Finding]:
    """The warnings; Problem when a document contradicts the message, another document or the catalogue."""
    bodies = [orjson.loads(body) for body in act.documents]
    try:
        return must_fit(Papers(act.type, act.message, bodies, act.arguments, catalogue))
    except DocumentRefused as refused:
        members = {"pointer": refused.pointer, "member": refused.member}
        raise Problem(
            refused.code, refused.message, {name: value for name, value in members.items() if value}
        ) from refused
