"""What is reverted when the operator states that a chain was restored, and that a mistaken statement does no
lasting harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.audit.formats.events import read_event
from ledger.audit.log.search import Query
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainReplaced
from ledger.chain.reached import Reached
from ledger.chain.rpc import RpcChain
from ledger.lost.holds import held_targets
from ledger.projection import queries
from ledger.projection.follower import CursorMoved, Follower
from ledger.store.engine import reader
from tests.simulators.lying_node import Ask, LyingNode, behind, honest


@pytest.fixture
def node(city: Any) -> Iterator[LyingNode]:
    server = serve_chain(city.chain, port=0)
    with LyingNode(server.url) as liar:
        yield liar
    server.close()


@pytest.fixture
def revoked(city: Any, tools: Any) -> str:
    """A grant that was given and revoked, in the two newest blocks."""
    document = city.grant(tools.AIR, 9)
    city.must(document)
    city.must(city.revocation(tools.grant_id(document), "7:steward"))
    return str(tools.grant_id(document))


def following(city: Any, node: LyingNode, reached: Reached | None = None) -> Follower:
    chain = RpcChain(node.url, city.chain.chain_id)
    follower = Follower(city.writer, city.engine, chain, city.deployment, reached=reached)
    assert follower.catch_up(60)
    return follower


def logged(city: Any, kind: str) -> list[Any]:
    return [read_event(hit.leaf) for hit in city.log.search(Query(type_prefix=kind), limit=500).hits]


def status(city: Any, grant: str) -> str | None:
    with reader(city.engine).connect() as connection:
        found = queries.grant(connection, grant)
    return None if found is None else found.status


def test_revocation_is_held_and_a_mistaken_statement_is_harmless(
    city: Any, node: LyingNode, revoked: str
) -> None:
    reached = Reached()
    follower = following(city, node, reached)
    newest = city.chain.head()
    assert follower.went_back() is None
    node.lie = behind(1)
    found = follower.went_back()
    assert found is not None
    assert (found.head.number, found.kept.number, found.read.block_hash) == (
        newest.number - 1,
        newest.number - 1,
        newest.hash,
    )
    assert follower.go_back(found) == 1
    assert status(city, revoked) == "active", "by the chain alone"
    with reader(city.engine).connect() as connection:
        assert held_targets(connection) == {"grant": {revoked: ""}}
    [stated] = logged(city, "log:chain:restored")
    assert (stated.facts["read"], stated.facts["block_hash"]) == (newest.number, found.head.hash)
    assert reached.head_of(follower._client).number == newest.number - 1
    with pytest.raises(CursorMoved):
        follower.go_back(found)

    node.lie = honest  # It was only behind.
    assert follower.catch_up(60)
    assert status(city, revoked) == "revoked"
    with reader(city.engine).connect() as connection:
        assert held_targets(connection) == {}
    assert len(logged(city, "chain:grant:revoked")) == 2, "once more, after the compensating entry"


def test_restored_chain_is_reverted_to_the_common_block(city: Any, node: LyingNode, revoked: str) -> None:
    follower = following(city, node)
    newest, old = city.chain.head().number, behind(1)

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        found = old(method, params, ask)
        if method == "eth_getBlockByNumber" and found and int(found["number"], 16) == newest - 1:
            return found | {"hash": "0x" + "ab" * 32}
        return found

    node.lie = lie
    found = follower.went_back()
    assert found is not None
    assert (found.head.number, found.kept.number) == (newest - 1, newest - 2)
    assert follower.go_back(found) == 2
    assert status(city, revoked) is None
    with reader(city.engine).connect() as connection:
        assert held_targets(connection) == {"grant": {revoked: ""}}, "whoever gives it again gives nothing"


def test_another_chain_is_not_accepted_as_restored(city: Any, node: LyingNode, revoked: str) -> None:
    follower = following(city, node)
    old = behind(1)

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        found = old(method, params, ask)
        return found | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" and found else found

    node.lie = lie
    with pytest.raises(ChainReplaced):
        follower.went_back()
    assert logged(city, "log:chain") == []
