"""Whether an act is worth carrying to the chain: documents, deadline, signatures, authority, then the contract.

`check` asks the projection, `simulate_act` asks the contract. Neither adds anything: what they let pass the contract
still judges, and what they refuse has changed nothing.
"""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection

from ledger.catalogue.metadata import GRADES, SHARING, Metadata, MetadataError, parse_metadata
from ledger.chain.client import Address, ChainClient
from ledger.chain.contracts import Deployment, simulate
from ledger.chain.signers import SignatureError, recover
from ledger.outbox.acts import ActRefused, SignedAct, named_hashes, sha256_hex
from ledger.outbox.authority import Bench, Refusal
from ledger.outbox.rules import RULES, Case
from ledger.outbox.store import document


def check(connection: Connection, deployment: Deployment, act: SignedAct, now: datetime) -> ActRefused | None:
    """Why an act is refused, by the projection; None when nothing speaks against it."""
    try:
        _documents(connection, act)
        moment = int(now.timestamp())
        if act.deadline is not None and act.deadline < moment:
            return ActRefused("act.expired", "the deadline of the message has passed", "deadline")
        digest = act.digest(deployment)
        signers = {
            slot: tuple(recover(digest, signature) for signature in given)
            for slot, given in act.signatures.items()
        }
        rule = RULES[act.type]
        rule(Case(Bench(connection, moment), act.message, act.arguments, signers))
    except SignatureError as error:
        return ActRefused("act.signature", error.message, "signatures")
    except Refusal as refusal:
        return refusal.refused
    return None


def simulate_act(
    client: ChainClient, deployment: Deployment, act: SignedAct, sender: Address
) -> ActRefused | None:
    """What the contract would say now. Acts on their way may change its mind: ask only when none is
    (`ledger.outbox.store.on_its_way`)."""
    error = simulate(client, act.call(deployment), sender)
    return None if error is None else ActRefused("act.refused", str(error))


# --------------------------------------------------------------------------- documents

_METADATA = {"RegisterAsset": "metadata", "DeriveAsset": "metadata", "NewVersion": "metadata"}


def _documents(connection: Connection, act: SignedAct) -> None:
    """Every document is named by the message; metadata and agreements are here, and metadata are well-formed."""
    named = named_hashes(act.type, act.message)
    given = {sha256_hex(body): body for body in act.documents}
    for digest in given:
        if digest not in named:
            raise Refusal("act.document-unnamed", f"no member of the message is the SHA-256 {digest}")

    def body_of(value: str, member: str) -> bytes:
        digest = value.removeprefix("0x")
        body = given.get(digest) or document(connection, digest)
        if body is None:
            raise Refusal(
                "act.document-missing", f"the document with the SHA-256 {digest} is not attached", member
            )
        return body

    if act.type in _METADATA:
        member = _METADATA[act.type]
        _metadata(act, body_of(act.message[member], member))
    for terms in (
        act.message["grants"] if act.type == "GrantBatch" else [act.message] if act.type == "Terms" else []
    ):
        body_of(terms["termsHash"], "termsHash")


def _metadata(act: SignedAct, body: bytes) -> None:
    try:
        metadata: Metadata = parse_metadata(json.loads(body))
    except MetadataError as error:
        raise Refusal(error.code, error.message, "metadata") from error
    if act.type == "NewVersion":
        return
    for member, name, words in (("class", "grade", GRADES), ("sharing", "sharing", SHARING)):
        if words.index(metadata.document[name]) + 1 != act.message[member]:
            raise Refusal(
                "act.metadata-differs",
                f"the metadata say {name} {metadata.document[name]!r}, the message says {act.message[member]}",
                member,
            )
