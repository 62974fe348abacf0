"""Lost acts are sent to the chain again, each as it was signed, in the order of the log.

Only the contract checks their signers: a signer was in office when the act was recorded, and acts that removed him later
also follow later here. An act that was not decided when it was lost is put back into the outbox and sent. The chain may
have it already, so the caller does not wait for its block.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Engine

from ledger.acts.act import AWAITING_FILE, FINAL, SignedAct
from ledger.acts.documents import ENTRY_ACTS, documents_refused
from ledger.acts.refusal import ActRefused
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.errors import ChainUnreachable
from ledger.clock import Timekeeper
from ledger.outbox.check import simulate_act
from ledger.outbox.relayer import Relayer
from ledger.outbox.store import OPEN, ActRecord, accept, document, file_came, find
from ledger.store.engine import reader

APPLIED, SENT = "applied", "sent-again"
LONGEST_S = 60.0
"""The longest wait for the block of one act, in seconds."""


def carry_again(
    acts: Mapping[str, SignedAct],
    relayer: Relayer,
    writer: GroupCommit,
    engine: Engine,
    client: ChainClient,
    deployment: Deployment,
    clock: Timekeeper,
) -> dict[str, str]:
    """Send recorded acts that were lost. Returns for each act id `APPLIED`, or the code of its refusal.

    An interrupted run can be repeated: acts that it sent are found on the chain. Raises `ChainError` when the chain does
    not answer.
    """
    outcome: dict[str, str] = {}
    for identity, act in acts.items():
        known = _find(engine, identity)
        if known is None or known.state not in (*OPEN, "recorded"):
            refused = _refused(engine, client, deployment, act, relayer.address, int(clock.now()))
            if refused is not None:
                outcome[identity] = refused.code
                continue
            writer.submit(partial(_accepted, deployment=deployment, act=act, clock=clock)).result()
        elif known.state == AWAITING_FILE:  # a version that was recorded on the lost chain had its file
            writer.submit(partial(_released, identity=identity)).result()
        outcome[identity] = _carried(engine, client, relayer, identity)
    return outcome


def send_again(
    acts: Mapping[str, tuple[SignedAct, Sequence[NewEntry]]],
    relayer: Relayer,
    writer: GroupCommit,
    engine: Engine,
    client: ChainClient,
    deployment: Deployment,
    clock: Timekeeper,
) -> dict[str, str]:
    """Put accepted and undecided acts back into the outbox, with the log entries of their denials, and send them.

    Returns for each act id `SENT`, or the code of its refusal; a refused act continues to deny. An interrupted run can be
    repeated. Raises `ChainError` when the chain does not answer.
    """
    outcome: dict[str, str] = {}
    for identity, (act, entries) in acts.items():
        known = _find(engine, identity)
        if known is None or known.state not in OPEN:
            refused = _refused(engine, client, deployment, act, relayer.address, int(clock.now()))
            if refused is not None:
                outcome[identity] = refused.code
                continue
            writer.submit(
                partial(_accepted, deployment=deployment, act=act, clock=clock, entries=entries)
            ).result()
        outcome[identity] = SENT
    if SENT in outcome.values():
        relayer.step()
    return outcome


def _accepted(
    connection: Connection,
    *,
    deployment: Deployment,
    act: SignedAct,
    clock: Timekeeper,
    entries: Sequence[NewEntry] | None = None,
) -> JobResult[None]:
    """Accept the act. ``entries`` are those of the lost log, if it has them."""
    taken = accept(connection, deployment, act, clock.utc())
    return JobResult(None, taken.entries if entries is None else entries)


def _released(connection: Connection, *, identity: str) -> JobResult[bool]:
    return JobResult(file_came(connection, identity))


def _refused(
    engine: Engine, client: ChainClient, deployment: Deployment, act: SignedAct, sender: str, now: int
) -> ActRefused | None:
    if (
        act.deadline is not None and act.deadline < now
    ):  # checked here: the time of the restored chain's newest block may be earlier
        return ActRefused("act.expired", "the deadline of the message has passed", "deadline")
    refused: ActRefused | None = None
    if (
        act.type in ENTRY_ACTS
    ):  # a grant without its document permits nothing until the document is submitted again
        with reader(engine).connect() as connection:
            refused = documents_refused(act.type, act.message, (), partial(document, connection))
    return refused or simulate_act(client, deployment, act, sender)


def _carried(engine: Engine, client: ChainClient, relayer: Relayer, identity: str) -> str:
    """Run the relayer until the act is in a block or refused; returns `APPLIED` or the code of the refusal.

    Raises `ChainUnreachable` after `LONGEST_S`.
    """
    until = time.monotonic() + LONGEST_S
    while True:
        relayer.step()
        record = _find(engine, identity)
        assert record is not None
        if record.state == "mined" or record.state in FINAL:
            taken = record.tx_hash is not None and client.receipt(record.tx_hash)
            return APPLIED if taken and taken.succeeded else record.code or "act.refused"
        if time.monotonic() > until:
            raise ChainUnreachable(f"the act {identity} was not mined within {LONGEST_S:.0f} s")
        time.sleep(0.02)


def _find(engine: Engine, identity: str) -> ActRecord | None:
    with reader(engine).connect() as connection:
        return find(connection, identity)
