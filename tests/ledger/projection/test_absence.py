"""A node's silence proves nothing: events, heads and blocks that a node omits are requested again, and nothing is
lost or reverted because of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.audit.formats.events import read_event
from ledger.audit.log.search import Query
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainError, UnknownBlock
from ledger.chain.rpc import RpcChain
from ledger.chain.several import open_nodes
from ledger.outbox import ActNotifier
from ledger.outbox.transactions import open_transactions
from ledger.projection import queries
from ledger.projection.follower import Follower
from ledger.store.engine import reader
from tests.simulators.lying_node import Ask, Fault, LyingNode, behind, by_turns, honest


@pytest.fixture
def node(city: Any) -> Iterator[LyingNode]:
    """A node of the city's chain that can be set to lie."""
    server = serve_chain(city.chain, port=0)
    with LyingNode(server.url) as liar:
        yield liar
    server.close()


@pytest.fixture
def follower(city: Any, node: LyingNode) -> Follower:
    return Follower(city.writer, city.engine, RpcChain(node.url, city.chain.chain_id), city.deployment)


def follow(follower: Follower, rounds: int = 12) -> None:
    """Run this many rounds like the thread does: temporary errors are retried."""
    for _ in range(rounds):
        try:
            follower.step()
        except ChainError as error:
            follower.work.failure = error
        else:
            follower.work.failure = None


def logged(city: Any, kind: str) -> list[Any]:
    return [read_event(hit.leaf) for hit in city.log.search(Query(type_prefix=kind), limit=500).hits]


def until(state: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not state():
        assert time.monotonic() < end
        time.sleep(0.05)


def granted(city: Any) -> int:
    return len(logged(city, "chain:grant:granted"))


def index_behind(method: str, params: list[Any], ask: Ask) -> Any:
    """The index of logs and receipts is one block behind the head: it has nothing of the newest block."""
    newest = ask("eth_getBlockByNumber", "latest", False)
    found = ask(method, *params)
    if method == "eth_getLogs":
        return [log for log in found if log["blockHash"] != newest["hash"]]
    if method == "eth_getBlockReceipts":
        return [one for one in found if one["blockHash"] != newest["hash"]]
    return found


def without_logs(method: str, params: list[Any], ask: Ask) -> Any:
    """All receipts are there, without their logs."""
    found = ask(method, *params)
    if method == "eth_getLogs":
        return []
    if method == "eth_getBlockReceipts":
        return [one | {"logs": []} for one in found]
    return found | {"logs": []} if method == "eth_getTransactionReceipt" and found else found


def with_empty_bloom(method: str, params: list[Any], ask: Ask) -> Any:
    """A header that denies that there are logs."""
    found = without_logs(method, params, ask)
    if method.startswith("eth_getBlockBy") and found:
        return found | {"logsBloom": "0x" + "00" * 256}
    return found


@pytest.mark.parametrize("lie", [index_behind, without_logs, with_empty_bloom])
def test_events_omitted_by_a_node_are_read_later(
    lie: Callable[..., Any], city: Any, tools: Any, node: LyingNode, follower: Follower
) -> None:
    follow(follower)
    node.lie = lie
    for _ in range(3):
        city.must(city.grant(tools.AIR, 9))
        follow(follower, 2)
    revoked = city.grant(tools.AIR, 9)
    city.must(revoked)
    city.must(city.revocation(tools.grant_id(revoked), "7:steward"))
    follow(follower, 2)
    node.lie = honest
    follow(follower)
    assert granted(city) == 4
    with reader(city.engine).connect() as connection:
        found = queries.grant(connection, tools.grant_id(revoked))
        assert found is not None
        assert found.status == "revoked"


def test_omitted_events_are_reported(city: Any, tools: Any, node: LyingNode, follower: Follower) -> None:
    follow(follower)
    node.lie = without_logs
    city.must(city.grant(tools.AIR, 9))
    follow(follower, 2)
    assert isinstance(follower.failure, ChainError)
    assert follower.failure.code == "chain.unproven"


def test_a_node_without_block_receipts_is_read_by_transaction(
    city: Any, tools: Any, node: LyingNode, follower: Follower
) -> None:
    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        if method == "eth_getBlockReceipts":
            return Fault(-32601, "the method eth_getBlockReceipts does not exist")
        return ask(method, *params)

    node.lie = lie
    city.must(city.grant(tools.AIR, 9))
    follow(follower)
    assert granted(city) == 1


def test_lagging_node_reverts_nothing(city: Any, tools: Any, node: LyingNode, follower: Follower) -> None:
    """A load balancer in front of two nodes, one a block behind: a lower head whose block is known is not a
    reorganisation."""
    follow(follower)
    node.lie = by_turns(honest, behind(1))
    for _ in range(3):
        city.must(city.grant(tools.AIR, 9))
        follow(follower, 8)
    node.lie = by_turns(behind(2), honest, behind(1))
    follow(follower, 9)
    node.lie = honest
    follow(follower)
    assert logged(city, "chain:reorg") == []
    assert granted(city) == 3


def test_lower_unknown_head_is_waited_for(city: Any, tools: Any, node: LyingNode, follower: Follower) -> None:
    """Another block at a lower height replaces nothing yet, because its chain may never become longer."""
    follow(follower)
    city.must(city.grant(tools.AIR, 9))
    follow(follower)
    head = city.chain.head().number

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        found = behind(1)(method, params, ask)
        if method == "eth_getBlockByNumber" and found and int(found["number"], 16) == head - 1:
            return found | {"hash": "0x" + "ab" * 32}
        return found

    node.lie = lie
    follow(follower, 3)
    assert follower.failure is not None
    assert getattr(follower.failure, "code", "") == "chain.went_back"
    node.lie = honest
    follow(follower)
    assert logged(city, "chain:reorg") == []
    assert granted(city) == 1


@pytest.mark.parametrize("away", ["0x" + "ab" * 32, None])
def test_one_faulty_node_of_three_reverts_nothing(city: Any, tools: Any, away: str | None) -> None:
    """One node lies about every block or has none of them; the two others are followed."""
    server = serve_chain(city.chain, port=0)
    with LyingNode(server.url) as liar, LyingNode(server.url) as second, LyingNode(server.url) as third:
        chain = open_nodes(f"{liar.url} {second.url},{third.url}", city.chain.chain_id)
        follower = Follower(city.writer, city.engine, chain, city.deployment)
        follow(follower)

        def lie(method: str, params: list[Any], ask: Ask) -> Any:
            found = ask(method, *params)
            if method == "eth_getBlockByNumber" and found:
                return away and found | {"hash": away}
            return found if method == "eth_chainId" else None

        liar.lie = lie
        for _ in range(3):
            city.must(city.grant(tools.AIR, 9))
            follow(follower, 3)
            assert follower.failure is None
        assert (granted(city), logged(city, "chain:reorg")) == (3, [])
        second.lie = lie  # Two of three: if they agreed, theirs would be the chain.
        city.must(city.grant(tools.AIR, 9))
        follow(follower, 3)
        assert follower.failure is not None
        assert (granted(city), logged(city, "chain:reorg")) == (3, [])
        second.lie = honest
        follow(follower, 3)
        assert granted(city) == 4
    server.close()


def test_unknown_chain_reverts_nothing(city: Any, tools: Any, node: LyingNode, follower: Follower) -> None:
    follow(follower)

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        found = ask(method, *params)
        return found | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" and found else found

    node.lie = lie
    follow(follower, 3)
    assert getattr(follower.failure, "code", "") == "chain.replaced"
    assert logged(city, "chain:reorg") == []


def test_missing_block_makes_the_answer_an_error(city: Any, node: LyingNode) -> None:
    """Fewer blocks than requested are not an answer."""
    chain, head = RpcChain(node.url, city.chain.chain_id), city.chain.head().number
    for one in (city.chain, chain):
        assert one.logs(head, head) is not None
        with pytest.raises(UnknownBlock):
            one.logs(head - 1, head + 1)
    node.lie = behind(1)
    with pytest.raises(UnknownBlock):
        chain.logs(head - 1, head)


def state_of(notifier: ActNotifier, accepted: Any) -> str:
    record = notifier.find(accepted.id)
    assert record is not None
    return record.state


def test_block_of_an_unrecorded_mined_act_is_read_again(
    city: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    city.follow()
    notifier = ActNotifier(city.engine)
    relayer, follower = city.relayer(notifier), city.follower(notifier=notifier)
    document = city.grant(tools.AIR, 9)
    accepted = city.accept(document)
    until(lambda: relayer.step() and state_of(notifier, accepted) == "mined")
    # The block is skipped without its events.
    honest_read = city.chain.segment
    with monkeypatch.context() as lies:
        lies.setattr(city.chain, "segment", lambda *asked: _emptied(honest_read(*asked)))
        while follower.step():
            pass
    assert granted(city) == 0
    later = city.grant(tools.AIR, 1)
    city.must(later)
    follower = city.follower(notifier=notifier)
    for _ in range(6):
        follower.step()
    assert state_of(notifier, accepted) == "recorded"
    assert granted(city) == 2
    with reader(city.engine).connect() as connection:
        assert queries.grant(connection, tools.grant_id(document)) is not None
        assert queries.grant(connection, tools.grant_id(later)) is not None


def _emptied(segment: Any) -> Any:
    from dataclasses import replace

    return replace(segment, logs=())


def test_a_refusal_counts_when_its_block_is_deep_enough(city: Any, tools: Any) -> None:
    """A block may accept what the block that it replaced refused."""
    city.follow()
    notifier = ActNotifier(city.engine)
    accepted = city.accept(city.grant(tools.AIR, 9))
    suspended = {"asset": tools.AIR, "reason": "0x" + "00" * 32, "salt": 1}
    city.must(city.act("SuspendAsset", suspended, "7:cdo"))
    relayer = city.relayer(notifier, confirmations=2)
    until(lambda: relayer.step() and mined(city, accepted))
    relayer.step()
    assert state_of(notifier, accepted) == "submitted"
    for sequence in (40, 41):
        city.must(city.registration(7, sequence))
    relayer.step()
    assert state_of(notifier, accepted) == "failed"


def mined(city: Any, accepted: Any) -> bool:
    with reader(city.engine).connect() as connection:
        sent = open_transactions(connection, city.deployment)
    return any(one.digest == accepted.id and city.chain.receipt(one.tx_hash) for one in sent)
