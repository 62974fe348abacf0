"""Acts that are lost, carried to the chain again: each as it was signed, in the order of the log.

Only the contract judges. Who signed a lost act was in office when it was recorded, and what took him out of office later
comes later here too. An act that was on its way when it was lost is put back into the outbox and sent; the chain may
have it already, so nothing waits for its block.
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
"""Waiting for the block of one act."""


def carry_again(
    acts: Mapping[str, SignedAct],
    relayer: Relayer,
    writer: GroupCommit,
    engine: Engine,
    client: ChainClient,
    deployment: Deployment,
    clock: Timekeeper,
) -> dict[str, str]:
    """What became of each act by its id: `APPLIED`, or the code for which the chain does not take it.

    A run that broke off is repeated: an act that it brought to the chain is found there. Raises `ChainError` when the
    chain does not answer.
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
        elif (
            known.state == AWAITING_FILE
        ):  # it was recorded before: a version of the lost chain has had its file
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
    """Put acts that were taken and are not decided back into the outbox, with the entries that they deny, and send them:
    `SENT` by the act's id, or the code for which the chain does not take it, so that it goes on denying without.

    A run that broke off is repeated. Raises `ChainError` when the chain does not answer.
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
    """Take the act; its ``entries`` are known where the log that was lost has them."""
    taken = accept(connection, deployment, act, clock.utc())
    return JobResult(None, taken.entries if entries is None else entries)


def _released(connection: Connection, *, identity: str) -> JobResult[bool]:
    return JobResult(file_came(connection, identity))


def _refused(
    engine: Engine, client: ChainClient, deployment: Deployment, act: SignedAct, sender: str, now: int
) -> ActRefused | None:
    if act.deadline is not None and act.deadline < now:  # the restored chain's newest block may be older
        return ActRefused("act.expired", "the deadline of the message has passed", "deadline")
    refused: ActRefused | None = None
    if (
        act.type in ENTRY_ACTS
    ):  # a grant whose document is missing permits nothing until it is handed in again
        with reader(engine).connect() as connection:
            refused = documents_refused(act.type, act.message, (), partial(document, connection))
    return refused or simulate_act(client, deployment, act, sender)


def _carried(engine: Engine, client: ChainClient, relayer: Relayer, identity: str) -> str:
    """Relay until the act is in a block, or refused."""
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
