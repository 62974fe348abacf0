"""The checks of an act before it is accepted: documents, deadline, signatures, authority, and a simulation.

`check` uses the projection, `simulate_act` the contract. They only refuse early: the contract checks every accepted act
again, and a refused act has changed nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from ledger.acts.act import SignedAct
from ledger.acts.authority import SignerRules
from ledger.acts.documents import documents_refused
from ledger.acts.projected import ProjectedRecords
from ledger.acts.refusal import ActRefused, Refusal
from ledger.acts.rules import RULES
from ledger.acts.under_check import ActUnderCheck
from ledger.chain.client import Address, ChainClient
from ledger.chain.contracts import NO_REASON, ContractError, simulate
from ledger.chain.deployment import Deployment
from ledger.chain.signers import SignatureError, recover
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.held_acts import held_back
from ledger.outbox.store import document

_CODES = {"FrozenSince": "act.frozen", "PausedUntil": "act.paused", "SuccessorForeign": "act.successor-unfit"}
OWN_CODES = frozenset(_CODES.values())
"""Codes of refusals by the contract that have their own next step: an act that begins something after the freeze before a
hand-over, or during a pause; a hand-over to a contract that is not a successor of this one."""


def check(
    connection: Connection,
    deployment: Deployment,
    act: SignedAct,
    now: datetime,
    *,
    earliest: datetime | None = None,
) -> ActRefused | None:
    """Check an act against the projection; None if it is accepted.

    ``earliest`` is the earliest possible present time when the clock is in doubt. The deadline of a revocation is checked
    against it: accepting a revocation that may be late is safe, because it only denies.
    """
    try:
        _documents(connection, act)
        moment = int(now.timestamp())
        due = int((earliest or now).timestamp()) if act.type in REVOCATIONS else moment
        if act.deadline is not None and act.deadline < due:
            return ActRefused("act.expired", "the deadline of the message has passed", "deadline")
        signers = {
            slot: tuple(recover(act.signed(slot, deployment), signature) for signature in given)
            for slot, given in act.signatures.items()
        }
        refused = held_back(connection, act, [one for given in signers.values() for one in given], moment)
        if refused is not None:
            return refused
        rule = RULES[act.type]
        rule(
            ActUnderCheck(
                SignerRules(ProjectedRecords(connection), moment), act.message, act.arguments, signers
            )
        )
    except SignatureError as error:
        return ActRefused("act.signature", error.message, "signatures")
    except Refusal as refusal:
        return refusal.refused
    return None


def simulate_act(
    client: ChainClient, deployment: Deployment, act: SignedAct, sender: Address, block: int | None = None
) -> ActRefused | None:
    """Simulate the call of an act on the contract; None if it is accepted.

    Pending acts may change the result, so call this only when there are none (`ledger.outbox.store.on_its_way`).
    ``block`` is the newest block that was read. A refusal is confirmed by a second simulation after this block: behind a
    load balancer, the first answer may come from a node that does not have the block yet.
    """
    call = act.call(deployment)
    error = simulate(client, call, sender)
    if error is not None and block is not None and not client.never_behind:
        error = simulate(client, call, sender, block)
    if error is None:
        return None
    if act.type == "HandOver" and error == NO_REASON:  # only the successor is called in HandOver
        return ActRefused(
            "act.successor-unfit",
            f"{act.message['successor']} does not answer predecessor()",
            "successor",
        )
    return ActRefused(code_of(error), refusal_text(error))


def code_of(error: ContractError) -> str:
    """The code of a refusal by the contract: one of `OWN_CODES`, or ``act.refused``."""
    return _CODES.get(error.name, "act.refused")


def refusal_text(error: ContractError) -> str:
    """The text of a refusal by the contract. The end of a pause is also written as an ISO time (UTC)."""
    until = (
        f": {datetime.fromtimestamp(int(error.args['until']), UTC).isoformat()}"
        if error.name == "PausedUntil"
        else ""
    )
    return f"{error}{until}"


def _documents(connection: Connection, act: SignedAct) -> None:
    refused = documents_refused(act.type, act.message, act.documents, partial(document, connection))
    if refused is not None:
        raise Refusal(refused.code, refused.detail, refused.member)
