"""Whether an act is worth carrying to the chain: documents, deadline, signatures, authority, then the contract.

`check` asks the projection, `simulate_act` asks the contract. Neither adds anything: what they let pass the contract
still judges, and what they refuse has changed nothing.
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
"""Codes of contract refusals that go on in a way of their own: what begins something after the freeze before a hand-over,
or in a pause; a hand-over to what is no successor of this contract."""


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
    """What the contract would say now. Acts on their way may change its mind: ask only when none is
    (`ledger.outbox.store.on_its_way`).

    ``block`` is the newest block that was looked at. A refusal counts only where the contract says it after that block too:
    behind a balancer the first answer may be of another node, which has not got the block yet.
    """
    call = act.call(deployment)
    error = simulate(client, call, sender)
    if error is not None and block is not None and not client.never_behind:
        error = simulate(client, call, sender, block)
    if error is None:
        return None
    if act.type == "HandOver" and error == NO_REASON:  # the contract asks nobody else
        return ActRefused(
            "act.successor-unfit",
            f"{act.message['successor']} does not answer predecessor()",
            "successor",
        )
    return ActRefused(code_of(error), told(error))


def code_of(error: ContractError) -> str:
    """The code of a contract's refusal: of its own where one goes on in another way."""
    return _CODES.get(error.name, "act.refused")


def told(error: ContractError) -> str:
    """A contract's refusal, with the end of a pause as an instant too."""
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
