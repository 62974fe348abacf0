"""A signed act of an officer or the council: checked early, kept durably, carried to the contract, recorded.

The gateway adds nothing to an act: whatever it carries was signed, and the contract verifies the signatures
again. What is checked here is checked to answer a clear problem before anything is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from api.documents.at_hand import CatalogueAtHand
from api.documents.facts import Catalogue, DocumentRefused, Papers
from api.documents.rule import must_fit
from api.gateway import Gateway
from api.problems import Problem
from ledger.audit.writer import JobResult
from ledger.chain.contracts import act_digest
from ledger.outbox import ActPending, ActRecord, SignedAct, accept, check, find, on_its_way, simulate_act


def submit_act(gateway: Gateway, document: Mapping[str, Any], wait_s: float) -> dict[str, Any]:
    """Take an act, wait for its record up to ``wait_s`` seconds, and say what became of it.

    The same signed message twice is one act. Problem ``act.refused`` with the contract's error when it would
    revert, and nothing is stored then.
    """
    act = SignedAct.from_json(document)
    digest = "0x" + act_digest(gateway.deployment, act.type, act.message).hex()
    with gateway.reading.connect() as connection:
        known = find(connection, digest)
        if known is None:
            catalogue = CatalogueAtHand(connection, int(gateway.now().timestamp()))
            _documents_fit(act, catalogue)
            refused = check(connection, gateway.deployment, act, gateway.now())
            if refused is not None:
                raise Problem(
                    refused.code, refused.detail, {"member": refused.member} if refused.member else {}
                )
    if known is None or known.state in ("failed", "expired"):
        gateway.must_reach_chain()
        with gateway.reading.connect() as connection:
            others_first = on_its_way(connection)
        # An act that needs one still on its way would be refused early by a chain that has not seen it yet.
        refused = (
            None
            if others_first
            else simulate_act(gateway.chain, gateway.deployment, act, gateway.relayer_address)
        )
        if refused is not None:
            raise Problem(refused.code, refused.detail)
        gateway.commit(
            lambda connection: JobResult(accept(connection, gateway.deployment, act, gateway.now()))
        )
        gateway.relayer.notify()
    return act_state(gateway, digest, wait_s)


def act_state(gateway: Gateway, digest: str, wait_s: float = 0.0) -> dict[str, Any]:
    """What became of an act; Problem ``not-found.act`` for a digest nobody handed in."""
    with gateway.reading.connect() as connection:
        record = find(connection, digest)
    if record is None:
        raise Problem("not-found.act", "no act has this digest")
    if wait_s > 0 and record.state in ("received", "submitted", "mined"):
        try:
            record = gateway.follower.wait(digest, timeout=wait_s)
        except ActPending:
            with gateway.reading.connect() as connection:
                record = find(connection, digest) or record
    return _state(gateway, record)


def _state(gateway: Gateway, record: ActRecord) -> dict[str, Any]:
    document: dict[str, Any] = {"digest": record.digest, "state": record.state}
    for name in ("reason", "tx_hash", "block"):
        if (value := getattr(record, name)) is not None:
            document[name] = value
    if record.entry_id is not None:
        document["receipt"] = str(gateway.receipt_of(str(record.entry_id)))
    if record.state in ("failed", "expired"):
        raise Problem(
            "act.refused" if record.state == "failed" else "act.expired",
            record.reason or record.state,
            document,
        )
    return document


def _documents_fit(act: SignedAct, catalogue: Catalogue) -> None:
    """Problem when a document contradicts the message, another document or the catalogue."""
    bodies = [orjson.loads(body) for body in act.documents]
    try:
        must_fit(Papers(act.type, act.message, bodies, act.arguments, catalogue))
    except DocumentRefused as refused:
        members = {"pointer": refused.pointer, "member": refused.member}
        raise Problem(
            refused.code, refused.message, {name: value for name, value in members.items() if value}
        ) from refused
