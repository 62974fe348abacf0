"""On a real geth: acts are sent, a stuck one is replaced by the rule of its pool, and the relayer waits for
the end of a fee spike."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ledger.chain.client import Fees
from ledger.chain.rpc import RpcChain
from ledger.chain.transactions import address_of, fees_of
from ledger.outbox import ActNotifier
from ledger.store.engine import reader
from ledger.store.tables.outbox import OutboxTransactionRow
from tests.simulators.geth import Geth

pytestmark = [pytest.mark.drill, pytest.mark.needs("geth"), pytest.mark.timeout(1200)]

KEY = bytes(31) + b"\x2a"


def signed(city: Any) -> list[tuple[int, Fees]]:
    with reader(city.engine).connect() as connection:
        rows = connection.execute(select(OutboxTransactionRow.nonce, OutboxTransactionRow.raw)).all()
    return [(nonce, fees_of(bytes(raw))) for nonce, raw in rows]


def test_acts_wait_for_a_block_and_are_mined_once(
    tmp_path: Path, make_city: Callable[..., Any], tools: Any
) -> None:
    with Geth(tmp_path, 12) as geth:
        geth.fund(address_of(KEY))
        chain = RpcChain.discover(geth.url)
        assert chain.fees().max_priority >= 1
        city = make_city(chain, KEY)
        city.follow()
        before = chain.mined_nonce(address_of(KEY))
        acts = [city.accept(city.grant(tools.AIR, 9, salt=n)).id for n in (1, 2, 3)]
        notifier = ActNotifier(city.engine)
        relayer, follower = city.relayer(notifier, stuck_after_s=1.0), city.follower(notifier=notifier)
        began = time.monotonic()
        while any(notifier.find(act).state != "recorded" for act in acts):
            relayer.step()
            follower.step()
            assert time.monotonic() - began < 120, [notifier.find(act) for act in acts]
            time.sleep(0.5)
        nonces = [nonce for nonce, _ in signed(city)]
        assert set(nonces) == {before, before + 1, before + 2}
        assert chain.mined_nonce(address_of(KEY)) == before + 3
        print(f"{len(nonces)} transactions for 3 acts, recorded after {time.monotonic() - began:.1f} s")


def test_a_spike_of_fees_is_followed_at_the_same_nonce(
    tmp_path: Path, make_city: Callable[..., Any], tools: Any
) -> None:
    """The validator accepts only tips of 3 gwei from now on: the act's first transaction waits, and its
    replacements are mined."""
    with Geth(tmp_path, 2) as geth:
        geth.fund(address_of(KEY))
        chain = RpcChain.discover(geth.url)
        city = make_city(chain, KEY)
        city.follow()
        before = chain.mined_nonce(address_of(KEY))
        geth.ask("miner_setGasPrice", hex(3 * 10**9))
        accepted = city.accept(city.grant(tools.AIR, 9))
        notifier = ActNotifier(city.engine)
        relayer, follower = city.relayer(notifier, stuck_after_s=0.2), city.follower(notifier=notifier)
        began = time.monotonic()
        while notifier.find(accepted.id).state != "recorded":
            relayer.step()
            follower.step()
            assert time.monotonic() - began < 300, (relayer.failure, signed(city)[-1])
            time.sleep(0.25)
        assert {nonce for nonce, _ in signed(city)} == {before}
        print(f"{len(signed(city))} transactions, recorded after {time.monotonic() - began:.1f} s")
