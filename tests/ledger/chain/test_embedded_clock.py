"""Block times are correct: never ahead of the clock, never stale, at most one block a second."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.errors import ClockDrift, TransactionPending
from ledger.chain.transactions import address_of


@pytest.fixture
def honest(tmp_path: Path, relayer_key: bytes) -> Iterator[EmbeddedChain]:
    """On the machine's clock."""
    with EmbeddedChain.create(tmp_path / "chain.sqlite", random_chain_id(), address_of(relayer_key)) as chain:
        yield chain


@pytest.fixture
def by_hand(tmp_path: Path, relayer_key: bytes, clock: SimulatedClock) -> Iterator[EmbeddedChain]:
    """Mined only by ``mine()``, on a clock set by the test."""
    path = tmp_path / "chain.sqlite"
    with EmbeddedChain.create(
        path, random_chain_id(), address_of(relayer_key), clock=clock, background=False
    ) as chain:
        yield chain


def test_the_first_transaction_after_idling_is_mined_at_once_and_stamped_now(honest, sender_on, relayer_key):
    relayer = sender_on(honest, relayer_key)
    relayer.send(relayer.address)
    time.sleep(2.5)
    started = time.time()
    receipt = relayer.send(relayer.address)
    assert time.time() - started < 0.9
    assert int(started) <= honest.block(receipt.block_number).timestamp <= time.time()


def test_two_hundred_transactions_do_not_move_the_clock_ahead(honest, sender_on, relayer_key):
    relayer = sender_on(honest, relayer_key)
    sent = [honest.send(relayer.sign(relayer.address, gas=30_000)) for _ in range(200)]
    receipts = [honest.wait(tx_hash, timeout=20) for tx_hash in sent]
    times = [honest.block(number).timestamp for number in range(honest.head().number + 1)]
    assert times[-1] <= time.time()
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert len({receipt.block_number for receipt in receipts}) < 10, (
        "transactions of one second share a block"
    )


def test_at_most_one_block_a_second(honest, sender_on, relayer_key):
    relayer = sender_on(honest, relayer_key)
    started = time.monotonic()
    blocks = {relayer.send(relayer.address).block_number for _ in range(4)}
    assert len(blocks) == 4
    assert time.monotonic() - started > 2


def test_an_acknowledged_transaction_is_mined_within_about_a_second(honest, sender_on, relayer_key):
    relayer = sender_on(honest, relayer_key)
    longest = 0.0
    for _ in range(3):
        started = time.monotonic()
        relayer.send(relayer.address)
        longest = max(longest, time.monotonic() - started)
    assert longest < 1.9


def test_blocks_are_stamped_with_the_clock_however_long_the_chain_idled(
    by_hand, clock, sender_on, relayer_key
):
    relayer = sender_on(by_hand, relayer_key)
    for idle in (0, 1, 8, 3600, 0, 86_400 * 30):
        clock.advance(idle)
        by_hand.send(relayer.sign(relayer.address))
        block = by_hand.mine()
        assert block.timestamp == int(clock.now())


def test_code_runs_at_the_time_of_its_block_and_calls_run_now(
    by_hand, clock, sender_on, relayer_key, bytecode
):
    relayer = sender_on(by_hand, relayer_key)
    deployed = by_hand.send(relayer.sign(None, bytecode.clock))
    block = by_hand.mine()
    address = by_hand.receipt(deployed).contract_address
    clock.advance(500)
    now = by_hand.call(address, b"")
    then = by_hand.call(address, b"", block.number)
    assert now == int(clock.now()).to_bytes(32) + (block.number + 1).to_bytes(32)
    assert then == block.timestamp.to_bytes(32) + block.number.to_bytes(32)


def test_a_clock_set_back_a_little_keeps_the_chain_going(by_hand, clock, sender_on, relayer_key):
    relayer = sender_on(by_hand, relayer_key)
    by_hand.send(relayer.sign(relayer.address))
    first = by_hand.mine()
    clock.set(clock.now() - 3)
    by_hand.send(relayer.sign(relayer.address))
    assert by_hand.mine().timestamp == first.timestamp + 1


def test_a_clock_set_back_more_refuses_until_it_has_caught_up(by_hand, clock, sender_on, relayer_key):
    relayer = sender_on(by_hand, relayer_key)
    waiting = by_hand.send(relayer.sign(relayer.address))
    by_hand.mine()
    next_one = relayer.sign(relayer.address)
    clock.set(clock.now() - 60)
    with pytest.raises(ClockDrift):
        by_hand.send(next_one)
    assert by_hand.receipt(waiting).succeeded, "reading goes on"
    clock.advance(58)
    by_hand.send(next_one)
    assert by_hand.mine() is not None


def test_transaction_acknowledged_before_a_clock_step_back_waits(by_hand, clock, sender_on, relayer_key):
    relayer = sender_on(by_hand, relayer_key)
    tx_hash = by_hand.send(relayer.sign(relayer.address))
    head = by_hand.head()
    clock.set(clock.now() - 60)
    with pytest.raises(ClockDrift):
        by_hand.mine()
    with pytest.raises(TransactionPending):
        by_hand.wait(tx_hash, timeout=0.05)
    assert by_hand.head() == head
    clock.advance(60)
    by_hand.mine()
    assert by_hand.receipt(tx_hash).succeeded


def test_mining_does_not_starve_other_threads(honest, sender_on, relayer_key, bytecode):
    """A thread that needs the interpreter a thousand times waits only briefly, also while blocks are
    mined."""
    relayer = sender_on(honest, relayer_key)
    address = relayer.deploy(bytecode.counter)
    quiet, _ = pauses_while(lambda: time.sleep(1))

    def mined() -> None:
        sent = [honest.send(relayer.sign(address, bytes(200))) for _ in range(400)]
        honest.wait(sent[-1], timeout=30)

    most, longest = pauses_while(mined)
    # Other processes on this machine make threads wait as well.
    assert most < 0.05 + 3 * quiet
    assert longest < 0.5 + 10 * quiet


def pauses_while(work: Callable[[], None]) -> tuple[float, float]:
    """How long a thread waited beyond its sleeps, in seconds: the 99th percentile and the maximum."""
    stop = threading.Event()
    pauses: list[float] = []

    def tick() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            time.sleep(0.002)
            pauses.append(time.perf_counter() - started - 0.002)

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        work()
    finally:
        stop.set()
        ticking.join()
    pauses.sort()
    return pauses[int(len(pauses) * 0.99)], pauses[-1]
