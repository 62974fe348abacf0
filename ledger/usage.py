"""Recording use on chain: cumulative totals, signed by the gateway's attest key, in batches.

A total only grows, so replay and reordering are harmless, and what the chain has on record is the floor from which
a database that lost charges starts again (``releases.charge``). Direct grants only: a delegated grant's use needs
the Terms of its ancestors and goes on chain with the act that settles it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.exc import SQLAlchemyError

from ledger.audit.errors import AuditError
from ledger.audit.log import AuditLog
from ledger.audit.writer import GroupCommit, JobResult
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment, act_digest
from ledger.chain.errors import ChainError
from ledger.chain.signers import sign_digest
from ledger.clock import Clock, WallClock
from ledger.outbox import Relayer, SignedAct, accept
from ledger.projection.views import moment
from ledger.store.engine import reader
from ledger.store.tables.calls import ChargeRow
from ledger.store.tables.projection import GrantRow

BATCH = 50
DEADLINE_S = 3_600
ACTIVE = 1

_log = logging.getLogger(__name__)
_charges: Table = ChargeRow.__table__  # type: ignore[attr-defined]
_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]


class UseRecorder:
    """Hands a signed ``UseBatch`` to the outbox every ``every_s`` seconds, when there is new use."""

    def __init__(
        self,
        writer: GroupCommit,
        engine: Engine,
        log: AuditLog,
        client: ChainClient,
        deployment: Deployment,
        relayer: Relayer,
        secret: bytes,
        *,
        every_s: float = 3_600.0,
        clock: Clock | None = None,
    ) -> None:
        self._writer = writer
        self._reading = reader(engine)
        self._log = log
        self._client = client
        self._deployment = deployment
        self._relayer = relayer
        self._secret = secret
        self._every_s = every_s
        self._clock = clock or WallClock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Record on a thread until `close`."""
        self._thread = threading.Thread(target=self._run, name="use-recorder", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Stop; totals not recorded yet are recorded by the next one."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def step(self) -> int:
        """Hand in one batch of totals that grew; how many."""
        now = max(int(self._clock.now()), self._client.head().timestamp)
        with self._reading.connect() as connection:
            totals = _grown(connection, now)
        if not totals:
            return 0
        message: dict[str, Any] = {
            "uses": [{"grant": grant, "total": total} for grant, total in totals],
            "logHead": "0x" + self._log.root.hex(),
            "deadline": now + DEADLINE_S,
        }
        signature = sign_digest(self._secret, act_digest(self._deployment, "UseBatch", message))
        act = SignedAct.from_json(
            {"type": "UseBatch", "message": message, "signatures": ["0x" + signature.hex()]}
        )
        self._writer.submit(
            lambda connection: JobResult(accept(connection, self._deployment, act, moment(now)))
        ).result(30)
        self._relayer.notify()
        return len(totals)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.step()
            except (ChainError, AuditError, SQLAlchemyError, TimeoutError) as error:
                _log.warning("use was not recorded on chain this time: %s", error)


def _grown(connection: Connection, now: int) -> list[tuple[str, int]]:
    rows = connection.execute(
        select(_charges.c.grant_id, _charges.c.used)
        .join(_grants, _grants.c.id == _charges.c.grant_id)
        .where(
            _charges.c.used > _grants.c.uses,
            _grants.c.state == ACTIVE,
            _grants.c.parent.is_(None),
            _grants.c.expiry > now,
        )
        .order_by(_charges.c.grant_id)
        .limit(BATCH)
    )
    return [(grant, min(int(used), (1 << 32) - 2)) for grant, used in rows]
