"""Whether an act is worth carrying to the chain: documents, deadline, signatures, authority, then the contract.

`check` asks the projection, `simulate_act` asks the contract. Neither adds anything: what they let pass the contract
still judges, and what they refuse has changed nothing.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from ledger.chain.client import Address, ChainClient
from ledger.chain.contracts import Deployment, simulate
from ledger.chain.signers import SignatureError, recover
from ledger.outbox.acts import ActRefused, SignedAct
from ledger.outbox.authority import Bench, Refusal
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.documents import documents_refused
from ledger.outbox.held_acts import held_back
from ledger.outbox.rules import RULES, Case
from ledger.outbox.store import document


def check(
    connection: Connection,
    deployment: Deployment,
    act: SignedAct,
    now: datetime,
    *,
    earliest: datetime | None = None,
) -> ActRefused | None:
    """Why an act is refused, by the projection; None when nothing speaks against it.

    ``earliest`` is the earlier time where the present is in doubt: by it a revocation is in time or late, since an
    officer with a clock that is right signs no later deadline, and a revocation only denies.
    """
    try:
        _documents(connection, act)
        moment = int(now.timestamp())
        due = int((earliest or now).timestamp()) if act.type in REVOCATIONS else moment
        if act.deadline is not None and act.deadline < due:
            return ActRefused("act.expired", "the deadline of the message has passed", "deadline")
        digest = act.digest(deployment)
        signers = {
            slot: tuple(recover(digest, signature) for signature in given)
            for slot, given in act.signatures.items()
        }
        refused = held_back(connection, act, [one for given in signers.values() for one in given], moment)
        if refused is not None:
            return refused
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


def _documents(connection: Connection, act: SignedAct) -> None:
    refused = documents_refused(act.type, act.message, act.documents, partial(document, connection))
    if refused is not None:
        raise Refusal(refused.code, refused.detail, refused.member)
