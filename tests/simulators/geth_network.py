"""Three nodes of go-ethereum on loopback, and what a proof-of-stake network has beside them: one that says whose turn it is.

`Network` speaks the engine API to each `Node`. One node builds a block, the next builds the next, all execute it and take it
as their head. Here there is no vote and no finality.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ledger.chain.client import Fees
from ledger.chain.transactions import address_of, sign_transaction
from tests.simulators.geth_node import UP_S, Node, Payload

GAS_LIMIT = 30_000_000
_BURN = bytes.fromhex("5b600056")
"""Init code with an endless loop: it spends all its gas."""
_BURNS = 3
_BURN_GAS = GAS_LIMIT // _BURNS
TIP = 5 * 10**9
_BURN_FEES = Fees(10**13, TIP)
_FORKS = (
    "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london",
)  # fmt: skip


class Network:
    """Nodes that make a block every ``period`` seconds, in turn. ``funded`` accounts have money from the first block.

    Every method may be called while blocks are made; nothing else happens to the nodes meanwhile.
    """

    def __init__(self, folder: Path, funded: Sequence[str], *, nodes: int = 3, period: float = 1.0) -> None:
        self.period = period
        genesis = folder / "genesis.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.chain_id = 1_000_000 + secrets.randbelow(1 << 30)
        genesis.write_text(json.dumps(_genesis(self.chain_id, funded)))
        self.nodes = [Node(folder / f"node-{number}", genesis) for number in range(nodes)]
        self.blocks: list[Payload] = []
        """The chain, from block 1."""
        self.replaced: list[Payload] = []
        """Blocks that are no longer part of the chain."""
        self._held: set[int] = set()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="consensus", daemon=True)

    @property
    def urls(self) -> str:
        """The URLs of the nodes in the form of ``CIVIC_RPC_URL``."""
        return " ".join(node.url for node in self.nodes)

    @property
    def height(self) -> int:
        return len(self.blocks)

    def __enter__(self) -> Self:
        for number in range(len(self.nodes)):
            self._start(number)
        self._genesis_hash = self.nodes[0].head()[1]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(60)
        for node in self.nodes:
            node.kill()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise the error that stopped the block production, if there is one."""
        if self._failure is not None:
            raise AssertionError("no blocks are made any more") from self._failure

    def wait_for(self, what: Callable[[], object], within_s: float = 60.0) -> None:
        """Wait until the condition holds; AssertionError after this many seconds or if no blocks are produced
        any more."""
        until = time.monotonic() + within_s
        while not what():
            self.check()
            assert time.monotonic() < until
            time.sleep(0.05)

    def wait_blocks(self, count: int) -> None:
        """Wait for this many more blocks."""
        reached = self.height + count
        self.wait_for(lambda: self.height >= reached)

    # -- failures of a network

    def kill(self, number: int) -> None:
        """Kill a node; the others produce its blocks."""
        with self._lock:
            self.nodes[number].kill()

    def restart(self, number: int) -> None:
        """Restart a node without its pool and the state of its last blocks; then it receives the blocks it
        missed."""
        with self._lock:
            self._start(number)
            if number not in self._held:
                self._bring(self.nodes[number])

    def start_alone(self, number: int) -> None:
        """Restart a node that receives no missed blocks until `release`."""
        with self._lock:
            self._held.add(number)
            self._start(number)

    def hold(self, number: int) -> None:
        """A node that answers but receives no new blocks until `release`."""
        with self._lock:
            self._held.add(number)

    def release(self, number: int) -> None:
        with self._lock:
            self._held.discard(number)
            if self.nodes[number].runs:
                self._bring(self.nodes[number])

    @contextmanager
    def still(self) -> Iterator[None]:
        """No block is made meanwhile."""
        with self._lock:
            yield

    def reorganise(self, number: int, count: int = 2) -> list[Payload]:
        """Replace the last ``count`` blocks by one more, made by node ``number``; answers those that were replaced.

        The node goes back first, since geth builds on its head only. Its pool accepts nothing meanwhile, so
        that its blocks are empty: the transactions of the replaced blocks return to the pools of the others.
        """
        with self._lock:
            maker, fork = self.nodes[number], self.height - count
            assert maker.head()[1] == self._hash_at(self.height), (
                "only a node that is at the head knows the blocks"
            )
            maker.ask("miner_setGasPrice", hex(10**18))
            maker.ask("debug_setHead", hex(fork))
            replaced, self.blocks[fork:] = self.blocks[fork:], []
            self.replaced += replaced
            while self.height < fork + count + 1:
                block = maker.build(self._hash_at(self.height), self._time_at(self.height) + 1, 0.0)
                assert not block["transactions"]
                self._take(block, [maker])
            maker.ask("miner_setGasPrice", hex(1))
            for node in self._able():
                self._bring(node)
            return replaced

    # -- inside

    def _start(self, number: int) -> None:
        self.nodes[number].start([one.enode for one in self.nodes if one is not self.nodes[number]])

    def _run(self) -> None:
        turn, due = 0, time.monotonic()
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + self.period, time.monotonic())
                with self._lock:
                    self._make_block(turn)
                turn += 1
        except BaseException as failure:
            self._failure = failure
            raise

    def _make_block(self, turn: int) -> None:
        able = self._able()
        if not able:
            return
        timestamp = max(int(time.time()), self._time_at(self.height) + 1)
        block = able[turn % len(able)].build(self._hash_at(self.height), timestamp)
        self._take(block, able)

    def _take(self, block: Payload, nodes: Sequence[Node]) -> None:
        """Make a block the chain's newest one."""
        for node in nodes:
            assert node.execute(block) == "VALID"
        self.blocks.append(block)
        for node in nodes:
            node.follow(block["blockHash"])

    def _able(self) -> list[Node]:
        return [node for at, node in enumerate(self.nodes) if node.runs and at not in self._held]

    def _bring(self, node: Node) -> None:
        """Send a node its missing blocks and the chain's head."""
        known, _ = node.head()
        known = min(known, self.height)
        while known and node.ask("eth_getBlockByNumber", hex(known), False)["hash"] != self._hash_at(known):
            known -= 1
        for block in self.blocks[known:]:
            node.execute(block)
        until = time.monotonic() + UP_S
        while node.follow(self._hash_at(self.height)) != "VALID":
            assert time.monotonic() < until, "a node does not catch up"
            time.sleep(0.05)

    def _hash_at(self, number: int) -> str:
        return str(self.blocks[number - 1]["blockHash"]) if number else self._genesis_hash

    def _time_at(self, number: int) -> int:
        return int(self.blocks[number - 1]["timestamp"], 16) if number else 0


class Spender:
    """An account that fills blocks at `TIP`: each full one raises the base fee by an eighth (EIP-1559)."""

    def __init__(self, network: Network, key: bytes) -> None:
        self._network, self._key = network, key
        self._chain_id = network.chain_id
        self._nonce = 0

    def spend(self, blocks: int) -> int:
        """Wait for this many blocks; return how many of them were full."""
        first = self._network.height
        while self._network.height < first + blocks:
            node = next(one for one in self._network.nodes if one.runs)
            mined = int(node.ask("eth_getTransactionCount", address_of(self._key), "latest"), 16)
            while self._nonce < mined + 2 * _BURNS:
                raw = sign_transaction(
                    self._key, self._chain_id, self._nonce, None, _BURN, _BURN_GAS, _BURN_FEES
                )
                node.ask("eth_sendRawTransaction", "0x" + raw.hex())
                self._nonce += 1
            self._network.wait_blocks(1)
        made = self._network.blocks[first:]
        return sum(int(block["gasUsed"], 16) > GAS_LIMIT * 9 // 10 for block in made)


def _genesis(chain_id: int, funded: Sequence[str]) -> dict[str, Any]:
    """A chain that is past the merge, Shanghai and Cancun from its first block."""
    config = {"chainId": chain_id} | {f"{fork}Block": 0 for fork in _FORKS}
    config |= {
        "terminalTotalDifficulty": 0,
        "terminalTotalDifficultyPassed": True,
        "shanghaiTime": 0,
        "cancunTime": 0,
    }
    return {
        "config": config,
        "difficulty": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "baseFeePerGas": hex(10**9),
        "alloc": {address.removeprefix("0x"): {"balance": hex(10**24)} for address in funded},
    }
