"""Recording uses on chain: cumulative totals in batches, signed with the gateway's attest key.

A total only increases, so repeated and reordered batches have no effect, and the total on chain is the lower bound for a
database that lost charges (``releases.charge``). A total permits or denies nothing. It is recorded for every grant, also a
delegated, suspended or revoked one, until 72 hours after its end. For a skipped total the contract emits an event, and the
same total is not sent again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, case, func, select

from contracts.codes import UNLIMITED, USE_GRACE, USE_STEP_MAX
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.reached import Reached
from ledger.chain.signers import address_of, sign_digest
from ledger.clock import Clock, WallClock
from ledger.outbox import Relayer, SignedAct, accept, simulate_act
from ledger.projection.queries import officer
from ledger.projection.views import moment
from ledger.store.engine import reader
from ledger.store.tables import table_of
from ledger.store.tables.calls import ChargeRow, ReleaseRow
from ledger.store.tables.outbox import OutboxActRow
from ledger.store.tables.projection import ChainEventRow, GrantRow
from ledger.worker import STILL_AFTER_S, Worker

BATCH = 50
DEADLINE_S = 3_600
LONGEST_PAUSE_S = 60.0
CANCELLED = 3
MOST = (1 << 32) - 2
"""The highest total; the next number means unlimited."""

_log = logging.getLogger(__name__)
_charges = table_of(ChargeRow)
_releases = table_of(ReleaseRow)
_grants = table_of(GrantRow)
_acts = table_of(OutboxActRow)
_events = table_of(ChainEventRow)


@dataclass(frozen=True, slots=True)
class RecordingBacklog:
    """Charged uses that are not on chain yet.

    ``uses`` of ``grants`` grants can still be recorded, the oldest one made at ``since``. ``late`` further uses are of
    grants that ended too long ago or whose total the chain skipped.
    """

    grants: int = 0
    uses: int = 0
    since: datetime | None = None
    late: int = 0

    def to_json(self) -> dict[str, Any]:
        """The JSON form for the service's status."""
        since = None if self.since is None else self.since.isoformat()
        return {"grants": self.grants, "uses": self.uses, "since": since, "late": self.late}


@dataclass(frozen=True, slots=True)
class _Lag:
    """A grant with more uses than its total on chain; ``due`` is the total that can be recorded now."""

    grant: str
    recorded: int
    used: int
    due: int


class UseRecorder:
    """Puts a signed ``UseBatch`` into the outbox every ``every_s`` seconds, when there are new uses."""

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
        reached: Reached | None = None,
        still_after_s: float = STILL_AFTER_S,
    ) -> None:
        """``reached`` states up to which block the chain was read."""
        self._writer = writer
        self._reading = reader(engine)
        self._log = log
        self._client = client
        self._deployment = deployment
        self._relayer = relayer
        self._secret = secret
        self._every_s = every_s
        self._clock = clock or WallClock()
        self._reached = reached or Reached(deployment.block)
        self._refused: dict[str, int] = {}
        self.work = Worker(
            "use-recorder",
            self._round,
            delay_s=every_s,
            longest_pause_s=LONGEST_PAUSE_S,
            still_after_s=still_after_s,
        )

    def start(self) -> None:
        """Run rounds on a thread until `close`."""
        self.work.start()

    def close(self, timeout: float = 10.0) -> None:
        """Stop the thread; the next recorder records the remaining totals."""
        self.work.close(timeout)

    def step(self) -> int:
        """Submit one batch of increased totals; returns the number of grants. Nothing is submitted while a batch is pending.

        Raises `ChainError` when the chain is unreachable or its node is late, because it may not know the newest grants.
        """
        head = self._reached.head_of(self._client)
        now = max(int(self._clock.now()), head.timestamp)
        with self._reading.connect() as connection:
            if _on_its_way(connection):
                return 0
            found = [lag for lag in _lags(connection, now) if self._refused.get(lag.grant, 0) < lag.due]
        steps = [(lag.grant, total) for lag in found for total in _steps(lag)][:BATCH]
        if not steps:
            return 0
        message: dict[str, Any] = {
            "uses": [{"grant": grant, "total": total} for grant, total in steps],
            "logHead": "0x" + self._log.root.hex(),
            "deadline": now + DEADLINE_S,
        }
        signature = sign_digest(self._secret, act_digest(self._deployment, "UseBatch", message))
        act = SignedAct.from_json(
            {"type": "UseBatch", "message": message, "signatures": ["0x" + signature.hex()]}
        )
        refused = simulate_act(self._client, self._deployment, act, address_of(self._secret), head.number)
        if refused is not None and refused.detail.startswith("NothingDone("):
            self._refused |= dict(steps)
            _log.warning("the chain passes over the totals of %d grants", len(dict(steps)))
            return 0
        self._writer.submit(
            lambda connection: JobResult(accept(connection, self._deployment, act, moment(now)))
        ).result(30)
        self._relayer.notify()
        return len(dict(steps))

    def behind(self) -> RecordingBacklog:
        """The charged uses that are not on chain yet."""
        with self._reading.connect() as connection:
            return _behind(connection, int(self._clock.now()))

    def last_use(
        self, connection: Connection, grant: str, delegation: str, deadline: int
    ) -> tuple[dict[str, Any], str] | None:
        """The present total of a counted grant and its signature (0x-hex), which a delegation from it must contain.

        None for an unlimited or unrecorded grant, and while the attest key has no seat. ``delegation`` is the id of the
        delegated grant; the signature is valid for it only. ``deadline`` is in unix seconds.
        """
        if not _in_office(connection, address_of(self._secret), int(self._clock.now())):
            return None
        row = connection.execute(
            select(_grants.c.uses, _grants.c.left, _grants.c.max_uses, _charges.c.used)
            .join(_charges, _charges.c.grant_id == _grants.c.id, isouter=True)
            .where(_grants.c.id == grant)
        ).one_or_none()
        if row is None or row.max_uses == UNLIMITED:
            return None
        message = {
            "grant": grant,
            "total": max(row.uses, min(row.used or 0, row.left)),
            "logHead": delegation,
            "deadline": deadline,
        }
        return message, "0x" + sign_digest(self._secret, act_digest(self._deployment, "Use", message)).hex()

    def _round(self) -> float:
        self.step()
        return self._every_s


def _in_office(connection: Connection, address: str, now: int) -> bool:
    seat = officer(connection, address)
    return seat is not None and seat.in_office(moment(now)) and bool(seat.roles & {"attest", "gateway"})


def _on_its_way(connection: Connection) -> bool:
    query = select(_acts.c.digest).where(
        _acts.c.type == "UseBatch", _acts.c.state.in_(("received", "submitted", "mined"))
    )
    return connection.execute(query.limit(1)).first() is not None


def _steps(lag: _Lag) -> Iterator[int]:
    """The intermediate totals up to the due one; each increases by at most the step that the contract accepts."""
    total = lag.recorded
    while total < lag.due:
        total = min(total + USE_STEP_MAX, lag.due)
        yield total


def _lags(connection: Connection, now: int) -> list[_Lag]:
    """The grants whose totals can be recorded, ordered by their end."""
    ends, found = _ends(), []
    rows = _lagging().where(_grants.c.not_before <= now, ends + USE_GRACE > now).order_by(ends, _grants.c.id)
    for grant, uses, left, used in connection.execute(rows.limit(4 * BATCH)):
        due = min(int(used), MOST if left == UNLIMITED else int(left))
        if due > uses:
            found.append(_Lag(grant, int(uses), int(used), due))
    passed = _passed_over(connection, [lag.grant for lag in found])
    return [lag for lag in found if passed.get(lag.grant, 0) < lag.due]


def _lagging() -> Any:
    return (
        select(_grants.c.id, _grants.c.uses, _grants.c.left, _charges.c.used)
        .join(_charges, _grants.c.id == _charges.c.grant_id)
        .where(_charges.c.used > _grants.c.uses, _grants.c.state != CANCELLED)
    )


def _ends() -> Any:
    """The end of a grant (first invalid second): its expiry, or an earlier revocation or replacement."""
    ended = func.coalesce(_grants.c.ended_at, _grants.c.expiry)
    return case((ended < _grants.c.expiry, ended), else_=_grants.c.expiry)


def _passed_over(connection: Connection, grants: list[str]) -> Mapping[str, int]:
    """The highest skipped total of each of these grants."""
    if not grants:
        return {}
    query = select(_events.c.args).where(
        _events.c.name == "UseSkipped", _events.c.subject.in_([f"grant:{grant}" for grant in grants])
    )
    found: dict[str, int] = {}
    for args in map(json.loads, connection.execute(query).scalars()):
        found[args["grant"]] = max(found.get(args["grant"], 0), int(args["total"]))
    return found


def _behind(connection: Connection, now: int) -> RecordingBacklog:
    due = _lags(connection, now)
    every = sum(int(used) - int(uses) for _, uses, _, used in connection.execute(_lagging()))
    uses = sum(lag.due - lag.recorded for lag in due)
    oldest = [moment_ for lag in due if (moment_ := _oldest(connection, lag)) is not None]
    since = datetime.fromtimestamp(min(oldest) / 1_000_000, UTC) if oldest else None
    return RecordingBacklog(len(due), uses, since, every - uses)


def _oldest(connection: Connection, lag: _Lag) -> int | None:
    """The time of the first use that is not on chain (unix microseconds); None when its release is lost."""
    query = (
        select(_releases.c.charged_at)
        .where(_releases.c.grant_id == lag.grant)
        .order_by(_releases.c.charged_at.desc())
        .offset(lag.used - lag.recorded - 1)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()
