"""Continues with a chain that was restored to an older block: ``civic chain restored``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from api.operator.aftermath import held_acts
from api.operator.gateway import Gateway
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from languages.texts import in_both
from ledger.chain.edition import must_be_second
from ledger.chain.errors import ChainNotBack
from ledger.clock import stamp
from ledger.outbox.store import OPEN, acts
from ledger.projection.went_back import WentBack
from ledger.store.tables import table_of
from ledger.store.tables.projection import ChainEventRow

_events = table_of(ChainEventRow)


def restored_chain(settings: Settings, block: str | None) -> dict[str, Any]:
    """Without ``block``, the events that would be undone. With ``block``, the hash of the chain's newest
    block as the chain's operator states it, undo them and return them. Raises `ChainNotBack` if the chain is
    not behind or ends with another block."""
    with open_gateway(settings, chores=False) as gateway:
        must_be_second(gateway.deployment)
        found = gateway.workers.follower.went_back()
        if found is None:
            head = gateway.chain.head()
            raise ChainNotBack(
                f"the chain ends at block {head.number}, and no later one was read",
                hint=in_both("nothing is to be taken back: start the service"),
            )
        if block is None:
            return _undone(gateway, found) | {"done": False}
        if block.lower() != found.head.hash:
            raise ChainNotBack(
                f"the chain ends with block {found.head.number}, {found.head.hash}, and not with {block}",
                hint="look at it again without --block",
            )
        undone = _undone(gateway, found)
        gateway.workers.follower.go_back(found)
        with gateway.reading.connect() as connection:
            waiting = connection.execute(select(func.count()).where(acts.c.state.in_(OPEN))).scalar_one()
            return undone | {"done": True, "acts": int(waiting), "held": held_acts(connection)}


def _undone(gateway: Gateway, found: WentBack) -> dict[str, Any]:
    later = select(_events.c.name, func.count()).where(_events.c.block_number > found.kept.number)
    with gateway.reading.connect() as connection:
        events = {str(name): int(count) for name, count in connection.execute(later.group_by(_events.c.name))}
    return {
        "block": found.head.number,
        "block_hash": found.head.hash,
        "block_time": stamp(found.head.timestamp),
        "common_block": found.kept.number,
        "read": found.read.block_number,
        "read_hash": found.read.block_hash,
        "events": events,
    }
