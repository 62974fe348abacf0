"""A city on three real nodes while they are killed in turn, return at old blocks, lag and raise fees.

No act is lost, none is in the log twice, and revoked access is never served again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.demo.participants import AUDIT
from ledger.chain.transactions import address_of
from tests.simulators.busy_city import BusyCity
from tests.simulators.city import founded_home, open_city
from tests.simulators.geth_network import TIP, Network, Spender

pytestmark = [pytest.mark.drill, pytest.mark.needs("geth"), pytest.mark.timeout(1200)]

RELAYER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""The first account of Foundry's public test mnemonic, with which a demo pays."""
SPENDER_KEY = bytes(31) + b"\x2b"
CONFIRMATIONS = 2
SERVED_S = 0.0
"""The limit: a call that begins after a revocation was acknowledged is not served."""
GONE_S = 8.0
"""How long no majority of nodes is available; calls are not answered then."""
DENIED_S = GONE_S + 5.0
"""The time within which a call of a reader in a loop is denied, on a machine that also runs three nodes."""
FALSE = frozenset({"signature.unknown-key", "caller.not-reader", "asset.version-unsigned"})
"""Codes that apply to no reader here, and that a lagging node would cause."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("network")
    with Network(folder, [RELAYER, address_of(SPENDER_KEY)]) as network:
        yield network


@pytest.fixture(scope="module")
def home(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVIC_CONFIRMATIONS", str(CONFIRMATIONS))
        patch.setenv("CIVIC_DEPARTMENT_ACTS_HOURLY", "10000")
        yield founded_home(tmp_path_factory.mktemp("city") / "city", network.urls)


@contextmanager
def at_work(home: Path, network: Network, urls: str) -> Iterator[BusyCity]:
    """Run the city on these nodes while the body disturbs them, then check the invariants."""
    city = open_city(home, CIVIC_RPC_URL=urls)
    busy, began, first = BusyCity(city), time.monotonic(), network.height
    try:
        with busy.at_work():
            network.wait_for(lambda: len(busy.lives) >= 6)
            yield busy
        network.check()
        took = time.monotonic() - began
        print(f"{network.height - first} blocks in {took:.0f} s")
        nothing_is_lost(busy)
    finally:
        city.service.stop()


def nothing_is_lost(busy: BusyCity) -> None:
    """Every acknowledged act is in the log once, and every revocation denied from its acknowledgement on."""
    assert busy.faults == []
    acts, stood = busy.acts, busy.recorded()
    assert {act.id: busy.status(act)["state"] for act in acts} == {act.id: "recorded" for act in acts}
    assert {act.id: stood.get(act.id) for act in acts} == {act.id: 1 for act in acts}
    assert max(life.served_after_s for life in busy.lives) <= SERVED_S
    denied = [one.denied_after_s for one in busy.lives if one.denied_after_s is not None]
    recorded = [one.recorded_at - one.acknowledged_at for one in acts if one.recorded_at is not None]
    print(
        f"{len(acts)} acts, acknowledged to recorded: {figures(recorded)}; revocation acknowledged to denied: "
        f"{figures(denied)}; answers to reads: {dict(busy.looks())}; tried again: {dict(busy.refusals)}"
    )
    assert max(denied) <= DENIED_S
    assert not FALSE & busy.looks().keys()


def test_city_on_three_failing_nodes_loses_no_act(home: Path, network: Network) -> None:
    spender = Spender(network, SPENDER_KEY)
    with at_work(home, network, network.urls) as busy:
        for number in range(3):  # Each node is killed and restarted, and receives the blocks it missed.
            network.kill(number)
            network.wait_blocks(8)
            network.restart(number)
            network.wait_blocks(4)
        network.hold(1)  # The node answers with an old state.
        network.wait_blocks(10)
        network.release(1)
        shallow = replaced_with_an_act(busy, network, 2, "mined")
        network.wait_blocks(4)
        deep = replaced_with_an_act(busy, network, CONFIRMATIONS + 4, "recorded")
        network.wait_blocks(4)
        network.kill(0)  # Two of three are needed, so there is no progress.
        network.kill(2)
        time.sleep(GONE_S)
        network.restart(0)
        network.restart(2)
        network.wait_blocks(4)
        dear = spender.spend(30)
        with network.still():  # a chain without blocks
            time.sleep(8)
        network.wait_blocks(5)
        taken_back = list(busy.city.of(AUDIT).civic.entries(type="chain:reorg:reverted"))
        print(
            f"{len(shallow)} and {len(deep)} blocks replaced, {len(taken_back)} entries taken back; {dear} blocks full at a tip "
            f"of {TIP / 1e9:g} gwei"
        )
        assert taken_back, "the deep reorganisation was not seen"


def test_city_on_a_node_restarted_at_an_old_block_loses_no_act(home: Path, network: Network) -> None:
    with at_work(home, network, network.nodes[0].url) as busy:
        network.kill(0)
        network.wait_blocks(5)
        network.start_alone(0)  # Without the state of its newest blocks, which was not written to disk.
        print(f"it came back at block {network.nodes[0].head()[0]} of {network.height}")
        network.wait_blocks(10)
        network.release(0)
        network.wait_blocks(10)
        network.hold(0)
        network.wait_blocks(10)
        network.release(0)
        network.wait_blocks(5)
    assert "grant.not-on-chain" not in busy.looks()


def replaced_with_an_act(busy: BusyCity, network: Network, count: int, state: str) -> Sequence[Any]:
    """Replace the last blocks, one of which contains an act in this state."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with network.still():
            found = busy.newest(state)
            if found is not None and int(found.get("block") or 0) > network.height - count:
                return network.reorganise(2, count)
        time.sleep(0.05)
    raise AssertionError(f"no act is {state} in the last {count} blocks")


def figures(seconds: Sequence[float]) -> str:
    """The median and maximum of many durations."""
    ranked = sorted(seconds)
    return f"median {statistics.median(ranked):.2f} s, longest {ranked[-1]:.2f} s"
