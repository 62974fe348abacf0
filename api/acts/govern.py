"""A signed act of an officer or the council: checked early, kept durably, carried to the contract, recorded.

The gateway adds nothing to an act: whatever it carries was signed, and the contract verifies the signatures
again. What is checked here is checked to answer a clear problem before anything is stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from access_policy.errors import PolicyError
from access_policy.privacy.schema import parse_schema
from access_policy.slots import slot_bounds, slot_parties
from access_policy.terms import Agreement, canonical, parse_terms
from api.gateway import Gateway
from api.problems import Problem
from ledger.audit.writer import JobResult
from ledger.catalogue.metadata import parse_metadata
from ledger.chain.contracts import act_digest
from ledger.ids import asset_iri, department_iri
from ledger.outbox import ActPending, ActRecord, SignedAct, accept, check, find, on_its_way, simulate_act
from ledger.releases import UNLIMITED


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
            _check_documents(act)
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


def _check_documents(act: SignedAct) -> None:
    """The documents an act names: agreements agree with their signed slots, catalogue entries are well formed."""
    bodies = [orjson.loads(body) for body in act.documents]
    if act.type == "Terms":
        _check_agreement(act.message, bodies)
    elif act.type == "GrantBatch":
        for terms in act.message["terms"]:
            _check_agreement(terms, bodies)
    elif act.type in ("RegisterAsset", "NewVersion", "DeriveAsset"):
        if len(bodies) != 1:
            raise Problem(
                "act.document-missing", "the catalogue entry goes with the act, as its one document"
            )
        metadata = parse_metadata(bodies[0])
        parse_schema(metadata.document["schema"])


def _check_agreement(terms: Mapping[str, Any], bodies: list[Any]) -> None:
    """The signed slot must be exactly what the agreement says; otherwise one of them would mislead."""
    for body in bodies:
        agreement = parse_terms(body)
        if not isinstance(agreement, Agreement):
            raise Problem(
                "terms.not-agreement", "only an agreement can be granted; offers and requests cannot"
            )
        if "0x" + hashlib.sha256(canonical(agreement)).hexdigest() == terms["termsHash"]:
            break
    else:
        raise Problem(
            "act.document-missing", "the agreement that the termsHash names goes with the act, in normal form"
        )
    try:
        assigner, assignee, asset = slot_parties(agreement)
    except PolicyError as refused:
        raise Problem("terms.parties", refused.message) from refused
    bounds = slot_bounds(agreement)
    holder = int(terms["asset"]) >> 40
    expected = {
        "asset": (asset_iri(int(terms["asset"])), asset),
        "grantee": (department_iri(int(terms["grantee"])), assignee),
        "notBefore": (int(terms["notBefore"]), _seconds(bounds.not_before, 0)),
        "expiry": (int(terms["expiry"]), _seconds(bounds.expiry, None)),
        "maxUses": (int(terms["maxUses"]), UNLIMITED if bounds.max_uses is None else bounds.max_uses),
    }
    for member, (signed, said) in expected.items():
        if signed != said:
            raise Problem(
                "terms.slot-mismatch",
                f"the signed {member} is {signed}, the agreement says {said}",
                {"member": member},
            )
    if not assigner.startswith("urn:civic:dept:"):
        raise Problem(
            "terms.parties", f"the assigner is the department that grants, such as {department_iri(holder)}"
        )


def _seconds(moment: Any, missing: int | None) -> int | None:
    return missing if moment is None else int(moment.timestamp())
