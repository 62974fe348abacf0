"""A node that is behind does not have the newest grants: because of its answers no use is dropped or recorded
twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger import releases
from ledger.chain.embedded.serve import serve_chain
from ledger.chain.errors import ChainError, ChainWentBack
from ledger.chain.reached import Reached
from ledger.chain.rpc import RpcChain
from ledger.grants.use_recorder import RecordingBacklog, UseRecorder
from ledger.projection import queries
from ledger.releases import Charges
from ledger.store.engine import reader
from tests.simulators.lying_node import Ask, LyingNode, behind, from_yesterday, honest


@pytest.fixture
def node(city: Any) -> Iterator[LyingNode]:
    server = serve_chain(city.chain, port=0)
    with LyingNode(server.url) as liar:
        yield liar
    server.close()


@pytest.fixture
def grant(city: Any, tools: Any) -> str:
    """A grant in the newest block that was used twice."""
    document = city.grant(tools.AIR, 9)
    city.must(document)
    city.follow()
    with city.engine.begin() as connection:
        releases.raise_to(connection, tools.grant_id(document), Charges(2, city.moment()))
    return str(tools.grant_id(document))


@pytest.fixture
def recorder(city: Any, tools: Any, node: LyingNode) -> UseRecorder:
    """The recorder of a service that has followed the chain up to its current head."""
    reached = Reached(city.deployment.block)
    reached.note(city.chain.head().number)
    return UseRecorder(
        city.writer,
        city.engine,
        city.log,
        RpcChain(node.url, city.chain.chain_id),
        city.deployment,
        city.relayer(),
        tools.secret("7:machine"),
        clock=city.clock,
        reached=reached,
    )


def recorded(city: Any, grant: str) -> int:
    with reader(city.engine).connect() as connection:
        found = queries.grant(connection, grant)
    assert found is not None
    return found.uses


def batches(city: Any) -> int:
    with reader(city.engine).connect() as connection:
        return len(queries.events(connection, name="Used").items)


def goes_on(city: Any, recorder: UseRecorder, grant: str) -> None:
    """The node has caught up: the total is recorded once."""
    assert recorder.step() == 1
    assert recorder.step() == 0, "it is on its way"
    relayer = city.relayer()
    for _ in range(3):
        relayer.step()
        city.chain.mine()
        city.follow()
    assert (recorded(city, grant), batches(city)) == (2, 1)
    assert recorder.step() == 0
    assert recorder.behind() == RecordingBacklog()


def test_node_older_than_the_grant_loses_no_use(
    city: Any, grant: str, recorder: UseRecorder, node: LyingNode
) -> None:
    newest = city.chain.head().number
    for block in (newest - 1, 0):
        node.lie = from_yesterday(block, newest)
        with pytest.raises(ChainWentBack):
            recorder.step()
    node.lie = honest
    goes_on(city, recorder, grant)


def test_state_is_read_at_the_block_of_the_head(
    city: Any, grant: str, recorder: UseRecorder, node: LyingNode
) -> None:
    """A load balancer: one node answers the head, and another, a block behind, answers the calls of the
    contract."""
    old = behind(1)

    def lie(method: str, params: list[Any], ask: Ask) -> Any:
        return old(method, params, ask) if method == "eth_call" else ask(method, *params)

    node.lie = lie
    with pytest.raises(ChainError):
        recorder.step()
    node.lie = honest
    goes_on(city, recorder, grant)
