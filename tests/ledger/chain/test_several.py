"""Several nodes of one chain: fewer than half of them may lie, lag, drip or be absent without effect; with more, no
progress is made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from ledger.chain.client import Agreement, ChainClient
from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainUnreachable, NodesDisagree, TransactionRefused, UnknownBlock, WrongChain
from ledger.chain.node_urls import node_urls
from ledger.chain.several import discover_nodes, open_nodes
from ledger.chain.transactions import address_of
from tests.simulators.bad_server import BadServer
from tests.simulators.lying_node import Ask, Fault, Lie, LyingNode, behind, honest

GONE, GONE_TOO = "http://127.0.0.1:1", "http://127.0.0.1:2"
PROMPT_S = 4.0
"""Far below the time limit of one node for one answer."""


QUESTION = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}


@dataclass
class Ring:
    """A chain with a contract that counted to five, and three of its nodes that lie as configured."""

    chain: EmbeddedChain
    counter: str
    plain: list[str]
    liars: list[LyingNode]

    def through(self, *each: Lie | str) -> ChainClient:
        """A client of nodes with these lies, or of the given addresses."""
        urls = []
        for liar, one in zip(self.liars, each, strict=False):
            liar.lie = honest if isinstance(one, str) else one
            urls.append(one if isinstance(one, str) else liar.url)
        return open_nodes(", ".join(urls), self.chain.chain_id)

    def looks_as_it_is(self, seen: ChainClient) -> None:
        """Every request is answered as the chain itself answers it, and in time."""
        chain, counter, head, began = self.chain, self.counter, self.chain.head(), time.monotonic()
        assert seen.head() == head
        assert seen.block(head.number - 1) == chain.block(head.number - 1)
        assert seen.segment(1, head.number, [counter]) == chain.segment(1, head.number, [counter])
        assert len(seen.logs(1, head.number, [counter])) == 5
        for block in (None, head.number - 2):
            assert seen.storage(counter, 0, block) == chain.storage(counter, 0, block)
        assert seen.call(counter, b"") == chain.call(counter, b"")
        assert seen.code(counter) == chain.code(counter)
        assert seen.evidence(head.number).block["hash"] == head.hash
        assert time.monotonic() - began < PROMPT_S


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    from tests.ledger.chain.conftest import RELAYER_KEY, Bytecode, Sender

    path = tmp_path_factory.mktemp("ring") / "chain.sqlite"
    with ExitStack() as stack:
        chain = stack.enter_context(
            EmbeddedChain.create(path, random_chain_id(), address_of(RELAYER_KEY), clock=SimulatedClock())
        )
        sender = Sender(chain, RELAYER_KEY)
        counter = sender.deploy(Bytecode().counter)
        for count in range(5):
            sender.send(counter, bytes([count]))
        servers = [serve_chain(chain, port=0) for _ in range(3)]
        for server in servers:
            stack.callback(server.close)
        liars = [stack.enter_context(LyingNode(server.url)) for server in servers]
        yield Ring(chain, counter, [server.url for server in servers], liars)


def newest(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Lie:
    """Lies about the newest block, under its name and its number."""

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        found = ask(method, *params)
        if method == "eth_getBlockByNumber" and found and found["number"] == ask("eth_blockNumber"):
            return change(found)
        return found

    return lie


another = newest(lambda block: block | {"hash": "0x" + "ab" * 32})
far_ahead = newest(lambda block: block | {"number": hex(10**9)})
late_by_clock = newest(lambda block: block | {"timestamp": hex(2**33)})


def foreign(method: str, params: list[Any], ask: Ask) -> Any:
    """A node without the chain's blocks and state."""
    found = ask(method, *params)
    if method == "eth_getBlockByNumber" and found:
        return found | {"hash": "0x" + "cd" * 32}
    return found if method == "eth_chainId" else "0x77"


def malformed(method: str, params: list[Any], ask: Ask) -> Any:
    return ask(method, *params) if method == "eth_chainId" else {"number": [], "hash": 7}


def no_json(method: str, params: list[Any], ask: Ask) -> Any:
    return b"\xff" * 1000


def refuses(method: str, params: list[Any], ask: Ask) -> Any:
    return Fault(-32000, "header not found")


def without_receipts(method: str, params: list[Any], ask: Ask) -> Any:
    return [] if method == "eth_getBlockReceipts" else ask(method, *params)


def in_state(method: str, params: list[Any], ask: Ask) -> Any:
    """A node that agrees about every block and invents their contents."""
    if method in ("eth_call", "eth_getStorageAt", "eth_getBalance"):
        return "0x" + "77" * 32
    if method == "eth_getTransactionReceipt":
        found = ask(method, *params)
        return found and found | {"status": "0x0"}
    return "0xffffff" if method == "eth_getTransactionCount" else ask(method, *params)


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize(
    "bad",
    [honest, another, far_ahead, late_by_clock, foreign, behind(1), behind(3), malformed, no_json, refuses,
     without_receipts, in_state, GONE],
    ids=["honest", "another", "far ahead", "late by its clock", "foreign", "one behind", "three behind", "malformed",
         "no json", "refuses", "without receipts", "in state", "gone"],
)  # fmt: skip
def test_one_faulty_node_of_three_has_no_effect(bad: Lie | str, place: int, ring: Ring) -> None:
    each: list[Lie | str] = [honest, honest]
    each.insert(place, bad)
    ring.looks_as_it_is(ring.through(*each))


@pytest.mark.parametrize("mood", ["drips its head", "drips its body", "never answers", "answers endlessly"])
def test_dripping_node_delays_nobody(mood: str, ring: Ring) -> None:
    with BadServer(mood) as dripping:
        ring.looks_as_it_is(ring.through(dripping.url, honest, honest))


def test_blocks_are_asked_of_another_node_when_one_is_slow(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that answers its head at once and receipts late."""

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        if method == "eth_getBlockReceipts":
            time.sleep(PROMPT_S + 1)
        return ask(method, *params)

    monkeypatch.setattr("ledger.chain.several.PATIENCE_S", 0.3)
    ring.looks_as_it_is(ring.through(lie, honest, honest))


def far_ahead_and_then_silent(method: str, params: list[Any], ask: Ask) -> Any:
    """A node that claims a head far above the others' and does not answer for the blocks below it."""
    if method == "eth_getBlockByNumber":
        time.sleep(0 if params[0] == "latest" else PROMPT_S + 1)
    return far_ahead(method, params, ask)


def silent_but_for_its_head(method: str, params: list[Any], ask: Ask) -> Any:
    """A node that repeats the head of the quickest node and answers nothing else."""
    if method != "eth_chainId" and params[:1] != ["latest"]:
        time.sleep(PROMPT_S + 1)
    return ask(method, *params)


def faulty_but_for_its_head(method: str, params: list[Any], ask: Ask) -> Any:
    known = method == "eth_chainId" or params[:1] == ["latest"]
    return ask(method, *params) if known else Fault(-32603, "internal error")


def behind_for(seconds: float) -> Lie:
    """A correct node that receives the newest block a little later than the others."""
    one_behind, until = behind(1), time.monotonic() + seconds

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        return (one_behind if time.monotonic() < until else honest)(method, params, ask)

    return lie


def test_unproven_head_delays_nobody(ring: Ring) -> None:
    seen, began = ring.through(far_ahead_and_then_silent, honest, behind(1)), time.monotonic()
    assert seen.head() == ring.chain.block(ring.chain.head().number - 1)
    assert time.monotonic() - began < PROMPT_S / 2


@pytest.mark.parametrize("bad", [silent_but_for_its_head, faulty_but_for_its_head])
def test_a_node_that_tells_its_head_only_does_not_use_that_the_others_differ_by_a_block(
    bad: Lie, ring: Ring
) -> None:
    chain = ring.chain
    newest_one = chain.evidence(chain.head().number).block["transactions"][-1]
    seen, began = ring.through(bad, honest, behind_for(0.4)), time.monotonic()
    assert seen.storage(ring.counter, 0) == chain.storage(ring.counter, 0)
    assert seen.receipt(newest_one) == chain.receipt(newest_one)
    assert time.monotonic() - began < PROMPT_S


def test_node_that_was_slow_with_blocks_is_asked_last(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.chain.several.PATIENCE_S", 1.0)
    seen, chain = ring.through(silent_but_for_its_head, honest, honest), ring.chain
    last = seen.head().number
    seen.segment(1, last)
    began = time.monotonic()
    for first in range(1, last):
        assert seen.segment(first, last) == chain.segment(first, last)
    assert time.monotonic() - began < 1.0


def test_consistent_blocks_of_another_chain_are_refused(
    ring: Ring, tmp_path: Path, sender_on: Any, relayer_key: bytes, bytecode: Any
) -> None:
    """A node that claims the same head as the others, with a different chain behind it."""
    chain_id, owner = ring.chain.chain_id, address_of(relayer_key)
    with EmbeddedChain.create(tmp_path / "own", chain_id, owner, clock=SimulatedClock()) as own:
        sender = sender_on(own, relayer_key)
        assert sender.deploy(bytecode.counter) == ring.counter
        for _ in range(ring.chain.head().number - 1):
            sender.send(ring.counter, b"made up")
        server = serve_chain(own, port=0)
        true = ring.liars[0]

        def lie(method: str, params: list[Any], ask: Ask) -> Any:
            if params and params[0] == "latest":
                return json.load(urlopen(Request(true.url, json.dumps(QUESTION).encode())))["result"]
            return ask(method, *params)

        with LyingNode(server.url, lie) as liar:
            seen = open_nodes(" ".join([liar.url, *ring.plain[1:]]), chain_id)
            true.lie = honest
            ring.looks_as_it_is(seen)
            assert seen.agreement == Agreement(3, 2, 3)
        server.close()


@pytest.mark.parametrize(
    "each", [(honest, GONE, GONE_TOO), (honest, GONE), (honest, foreign), (honest, foreign, GONE)]
)
def test_no_progress_without_a_majority(each: tuple[Lie | str, ...], ring: Ring) -> None:
    seen, head = ring.through(*each), ring.chain.head()
    began = time.monotonic()
    for ask in (
        seen.head,
        lambda: seen.block(head.number),
        lambda: seen.segment(1, head.number),
        lambda: seen.storage(ring.counter, 0),
        lambda: seen.storage(ring.counter, 0, head.number),
    ):
        with pytest.raises(NodesDisagree) as refused:
            ask()
        assert refused.value.code == "chain.nodes-disagree"
    assert time.monotonic() - began < PROMPT_S


def test_no_answering_node_is_unreachable(ring: Ring) -> None:
    with pytest.raises(ChainUnreachable) as refused:
        ring.through(GONE, GONE_TOO).head()
    assert refused.value.code == "chain.unreachable"


@pytest.mark.parametrize(
    ("each", "below"),
    [((behind(3), honest, behind(2)), 2), ((honest, behind(1), another), 1), ((another, honest), 1)],
)
def test_the_head_is_the_highest_block_that_more_than_half_have(
    each: tuple[Lie, ...], below: int, ring: Ring
) -> None:
    seen, chain = ring.through(*each), ring.chain
    common = chain.block(chain.head().number - below)
    assert seen.head() == common
    assert seen.storage(ring.counter, 0) == chain.storage(ring.counter, 0, common.number)
    for ask in (lambda: seen.block(common.number + 1), lambda: seen.segment(1, common.number + 1)):
        with pytest.raises((UnknownBlock, NodesDisagree)):
            ask()


def test_the_head_is_below_a_fork(ring: Ring) -> None:
    """Each of three nodes has different newest blocks."""

    def forked(mark: str) -> Lie:
        def lie(method: str, params: list[Any], ask: Ask) -> Any:
            found = ask(method, *params)
            last = int(ask("eth_blockNumber"), 16)
            if method == "eth_getBlockByNumber" and found and int(found["number"], 16) > last - 2:
                return found | {"hash": "0x" + mark * 32}
            return found

        return lie

    seen = ring.through(forked("a1"), forked("b2"), forked("c3"))
    assert seen.head() == ring.chain.block(ring.chain.head().number - 2)


def test_transaction_is_sent_to_all_and_the_majority_decides_its_outcome(
    ring: Ring, sender_on: Any, relayer_key: bytes, bytecode: Any
) -> None:
    before = [liar.asked["eth_sendRawTransaction"] for liar in ring.liars]
    sender = sender_on(ring.through(in_state, honest, honest), relayer_key)
    receipt = sender.send(sender.deploy(bytecode.counter))
    assert receipt == ring.chain.receipt(receipt.tx_hash)
    until = time.monotonic() + PROMPT_S
    while [liar.asked["eth_sendRawTransaction"] for liar in ring.liars] != [count + 2 for count in before]:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_why_a_transaction_was_reverted_is_known_when_one_node_cannot_tell(
    ring: Ring, sender_on: Any, relayer_key: bytes, bytecode: Any
) -> None:
    sender = sender_on(ring.through(in_state, *ring.plain[1:]), relayer_key)
    refused = sender.send(sender.deploy(bytecode.refuser), b"no")
    assert (refused.reverted, refused.revert_data) == (True, b"no")


def lies_of_sending(method: str, params: list[Any], ask: Ask) -> Any:
    if method == "eth_sendRawTransaction":
        return Fault(-32000, "nonce too low")
    return None if method == "eth_getTransactionByHash" else ask(method, *params)


@pytest.mark.parametrize("each", [(lies_of_sending, honest, honest), (lies_of_sending, honest, GONE)])
def test_transaction_refused_by_one_node_is_accepted(
    each: tuple[Lie | str, ...], ring: Ring, sender_on: Any, relayer_key: bytes
) -> None:
    sender = sender_on(ring.through(*each), relayer_key)
    assert sender.send(sender.address).succeeded


def test_transaction_refused_by_a_majority_is_refused(ring: Ring, sender_on: Any, relayer_key: bytes) -> None:
    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        return "0x" + "99" * 32 if method == "eth_sendRawTransaction" else ask(method, *params)

    sender = sender_on(ring.through(lie, *ring.plain[1:]), relayer_key)
    with pytest.raises(TransactionRefused):
        sender.chain.send(sender.sign(sender.address, nonce=0))


def test_a_node_of_another_chain_is_refused(ring: Ring, embedded: EmbeddedChain) -> None:
    other = serve_chain(embedded, port=0)
    with pytest.raises(WrongChain):
        ring.through(honest, other.url, honest)
    with pytest.raises(WrongChain):
        discover_nodes(f"{ring.plain[0]} {other.url}")
    other.close()


def test_setup_uses_the_first_answering_node(ring: Ring) -> None:
    found = discover_nodes(f"{GONE},{','.join(ring.plain)}")
    assert (found.chain_id, found.head()) == (ring.chain.chain_id, ring.chain.head())
    with pytest.raises(ChainUnreachable):
        discover_nodes(f"{GONE} {GONE_TOO}")


def test_how_many_agree_is_known(ring: Ring) -> None:
    seen, liars = ring.through(honest, honest, honest), ring.liars

    def agree(count: int) -> None:
        until = time.monotonic() + PROMPT_S
        while seen.agreement != Agreement(3, 2, count):
            assert time.monotonic() < until, seen.agreement
            try:
                seen.head()
            except NodesDisagree:
                time.sleep(0.05)

    agree(3)
    for liars[1].lie in (another, behind(1), refuses, no_json):
        agree(2)
    liars[2].lie = foreign
    agree(1)
    liars[1].lie = honest
    agree(2)
    assert ring.through(honest).agreement is None


def test_one_url_or_several_are_named() -> None:
    assert node_urls("http://a:1/x,y") == ("http://a:1/x,y",)
    assert node_urls(" http://a, https://u:p@b/k \n http://c,") == ("http://a", "https://u:p@b/k", "http://c")
    assert node_urls("") == ()
    for twice in ("http://a http://a/", "http://u:p@a,http://A"):
        with pytest.raises(ValueError, match="twice"):
            node_urls(twice)
