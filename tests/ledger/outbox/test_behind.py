"""A node that is restarted at an old block: its nonces are used already, and its contracts give old
answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.merkle import EMPTY_ROOT
from ledger.audit.outside.anchor import AnchorUnavailable
from ledger.audit.outside.anchoring import ChainAnchor, anchored_head
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainWentBack
from ledger.chain.reached import Reached
from ledger.chain.rpc import RpcChain
from ledger.outbox import ActNotifier, Relayer
from ledger.outbox.transactions import open_transactions
from ledger.projection.follower import Follower
from ledger.store.engine import reader
from tests.simulators.lying_node import LyingNode, from_yesterday, honest


@pytest.fixture
def node(city: Any) -> Iterator[LyingNode]:
    server = serve_chain(city.chain, port=0)
    with LyingNode(server.url) as liar:
        yield liar
    server.close()


@pytest.fixture
def chain(city: Any, node: LyingNode) -> RpcChain:
    return RpcChain(node.url, city.chain.chain_id)


def test_no_act_is_signed_with_the_nonce_of_a_node_that_is_behind(
    city: Any, tools: Any, node: LyingNode, chain: RpcChain
) -> None:
    reached, notifier = Reached(), ActNotifier(city.engine)
    follower = Follower(city.writer, city.engine, chain, city.deployment, notifier=notifier, reached=reached)
    relayer = Relayer(
        city.writer, city.engine, chain, city.deployment, city.relayer_key, notifier=notifier, reached=reached
    )
    while follower.step():
        pass
    node.lie = from_yesterday(2, city.chain.head().number)
    act = city.accept(city.grant(tools.AIR, 9)).id
    with pytest.raises(ChainWentBack):
        relayer.step()
    with reader(city.engine).connect() as connection:
        assert open_transactions(connection, city.deployment) == []
    node.lie = honest
    until = time.monotonic() + 10
    while notifier.find(act).state != "recorded":
        relayer.step()
        follower.step()
        assert time.monotonic() < until


def test_no_head_is_anchored_on_a_node_that_is_behind(
    city: Any, tools: Any, node: LyingNode, chain: RpcChain
) -> None:
    reached = Reached(city.deployment.block)
    anchor = ChainAnchor(
        chain, city.deployment, city.relayer_key, tools.secret("7:machine"), timeout_s=1.0, reached=reached
    )
    city.must(city.act("OpenLog", {"origin": anchor.origin, "operator": 7, "quorum": 0}, "mayor"))
    city.follow()
    newest = city.chain.head().number
    reached.note(newest)
    sent = node.asked["eth_sendRawTransaction"]
    node.lie = from_yesterday(newest - 1, newest)
    with pytest.raises(AnchorUnavailable, match="was read before"):
        anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), [])
    assert node.asked["eth_sendRawTransaction"] == sent
    node.lie = honest
    assert anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), []).block_number > newest


def test_block_before_the_contracts_gives_no_anchor_answer(
    city: Any, node: LyingNode, chain: RpcChain
) -> None:
    node.lie = from_yesterday(0, city.chain.head().number)
    with pytest.raises(ChainWentBack):
        anchored_head(chain, city.deployment, "0x" + "11" * 32)
