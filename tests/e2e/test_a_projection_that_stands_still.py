"""A projection older than the outage limit releases nothing, whatever prevents reading the chain. A projection that
has read a quiet chain to its end is not old."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.demo.participants import PASSPHRASE
from api.operator.gateway import Gateway
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from ledger.chain.embedded import EmbeddedChain
from ledger.chain.embedded.serve import serve_chain
from ledger.clock import WallClock
from tests.simulators.lying_node import Ask, LyingNode, behind, honest

OUTAGE_S = 60


class SkippingClock(WallClock):
    """The machine's clock, which a test can advance at once."""

    skipped = 0.0

    def now(self) -> float:
        return super().now() + self.skipped

    def elapsed(self) -> float:
        return super().elapsed() + self.skipped


@dataclass
class Running:
    gateway: Gateway
    node: LyingNode
    clock: SkippingClock

    def withheld(self) -> str:
        """The code with which every release is refused; empty if releases are permitted."""
        found = self.gateway.commits.withholding.why()
        return "" if found is None else found.code

    def pass_time(self) -> None:
        """Let more than the outage limit pass, and let the follower read the chain again if it can."""
        reached = self.node.asked["eth_call"]
        self.clock.skipped += OUTAGE_S + 1
        until(lambda: self.node.asked["eth_call"] > reached and self.withheld() != "chain.unreachable")


@pytest.fixture
def running(founded: Path, tmp_path: Path) -> Iterator[Running]:
    """The gateway of a city whose chain is behind a node that can lie."""
    home, clock = Path(shutil.copytree(founded, tmp_path / "city")), SkippingClock()
    with EmbeddedChain.open(home / "chain.sqlite") as chain:
        server = serve_chain(chain, port=0)
        with LyingNode(server.url) as node:
            settings = Settings(home=home, passphrase=PASSPHRASE, rpc_url=node.url, chain_outage_s=OUTAGE_S)
            with open_gateway(settings, clock=clock) as gateway:
                running = Running(gateway, node, clock)
                until(lambda: running.withheld() == "")
                yield running
        server.close()


def until(what: Callable[[], object], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.05)


def of_another_chain(method: str, params: list[Any], ask: Ask) -> Any:
    """The last followed block is replaced by one that does not hash to its hash."""
    found = ask(method, *params)
    if method == "eth_getBlockByNumber" and found and found["number"] == ask("eth_blockNumber"):
        return found | {"hash": "0x" + "ab" * 32}
    return found


def test_projection_of_a_chain_without_new_blocks_is_current(running: Running) -> None:
    block = running.gateway.status()["chain"]["block"]
    running.pass_time()
    until(lambda: running.withheld() == "")
    status = running.gateway.status()
    assert (status["work"]["chain"], status["chain"]["block"]) == (None, block)
    assert status["chain"]["followed"] == block


@pytest.mark.parametrize(
    ("lie", "part"), [(of_another_chain, "chain.unproven"), (behind(1), "projection.behind")]
)
def test_nothing_is_released_if_the_projection_cannot_advance(
    running: Running, lie: Callable[..., Any], part: str
) -> None:
    running.node.lie = lie
    until(lambda: part == "projection.behind" or running.gateway.status()["work"]["chain"] == part)
    assert running.withheld() == "", "not before the outage limit"
    level = running.gateway.status()["chain"]["level_at"]
    running.pass_time()
    assert running.withheld() == "projection.behind"
    status = running.gateway.status()
    assert (status["work"]["chain"], status["chain"]["level_at"]) == (part, level)
    running.node.lie = honest
    until(lambda: running.withheld() == "")
    assert running.gateway.status()["work"]["chain"] is None


def test_nothing_is_released_after_the_follower_thread_ended(running: Running) -> None:
    running.gateway.workers.follower.close()
    running.pass_time()
    assert running.withheld() == "projection.behind"
    assert running.gateway.status()["work"]["chain"] == "projection.behind"


def test_nothing_is_released_before_the_chain_was_read_to_its_end(founded: Path, tmp_path: Path) -> None:
    """The service does not know the age of its projection. The founded city may have stopped before it
    followed the block of its last anchor."""
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    with EmbeddedChain.open(home / "chain.sqlite") as chain:
        server = serve_chain(chain, port=0)
        with LyingNode(server.url, behind(3)) as node:
            settings = Settings(home=home, passphrase=PASSPHRASE, rpc_url=node.url)
            with open_gateway(settings) as gateway:
                found = gateway.commits.withholding.why()
                assert found is not None
                assert found.code == "projection.behind"
                assert gateway.status()["chain"]["level_at"] is None
        server.close()


def test_one_of_three_nodes_may_fail_and_with_two_failed_nothing_is_released(
    founded: Path, tmp_path: Path
) -> None:
    home, clock = Path(shutil.copytree(founded, tmp_path / "city")), SkippingClock()
    with EmbeddedChain.open(home / "chain.sqlite") as chain:
        server = serve_chain(chain, port=0)
        with LyingNode(server.url) as one, LyingNode(server.url) as two, LyingNode(server.url) as three:
            urls = f"{one.url} {two.url}, {three.url}"
            settings = Settings(home=home, passphrase=PASSPHRASE, rpc_url=urls, chain_outage_s=OUTAGE_S)
            with open_gateway(settings, clock=clock) as gateway:

                def agree(count: int) -> bool:
                    status = gateway.status()["chain"]
                    return bool(status["nodes"] == {"configured": 3, "needed": 2, "agree": count})

                until(lambda: agree(3) and gateway.commits.withholding.why() is None)
                two.lie = foreign
                until(lambda: agree(2))
                clock.skipped += OUTAGE_S + 1
                until(lambda: gateway.commits.withholding.why() is None)
                one.lie = no_answer
                until(lambda: gateway.status()["work"]["chain"] == "chain.nodes-disagree")
                assert agree(1)
                assert gateway.status()["chain"]["reached"] is False
                clock.skipped += OUTAGE_S + 1
                assert gateway.commits.withholding.why() is not None
                one.lie = two.lie = honest
                until(lambda: agree(3) and gateway.commits.withholding.why() is None)
        server.close()


def foreign(method: str, params: list[Any], ask: Ask) -> Any:
    found = ask(method, *params)
    if method == "eth_getBlockByNumber" and found:
        return found | {"hash": "0x" + "cd" * 32}
    return found


def no_answer(method: str, params: list[Any], ask: Ask) -> Any:
    return b"gone"
