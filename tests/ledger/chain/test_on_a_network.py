"""Three real nodes that agree block by block: how a client of one and of all sees each kind of network failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.chain.client import ChainClient, Fees
from ledger.chain.rpc import RpcChain
from ledger.chain.several import discover_nodes
from ledger.chain.transactions import address_of, sign_transaction
from tests.simulators.geth_network import Network

pytestmark = [pytest.mark.drill, pytest.mark.needs("geth"), pytest.mark.timeout(1200)]

KEY = bytes(31) + b"\x2a"
FEES = Fees(10**11, 10**9)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("network"), [address_of(KEY)], period=0.5) as network:
        network.wait_blocks(1)
        yield network


def pay(chain: ChainClient) -> str:
    """Send a transaction of the funded account."""
    nonce = chain.nonce(address_of(KEY))
    return chain.send(sign_transaction(KEY, chain.chain_id, nonce, address_of(KEY), b"", 21_000, FEES))


def heads(network: Network) -> set[tuple[int, str]]:
    with network.still():
        return {node.head() for node in network.nodes if node.runs}


def test_all_nodes_have_the_chain_that_was_made(network: Network) -> None:
    chain = discover_nodes(network.urls)
    sent = pay(chain)
    assert chain.wait(sent).succeeded
    [head] = heads(network)
    assert head[0] >= 2
    assert (
        chain.logs(0, chain.head().number) == []
    )  # Every header has its hash and follows the one before it.


def test_a_node_that_died_comes_back_with_what_it_missed(network: Network) -> None:
    chain = discover_nodes(network.urls)
    for number in range(3):
        network.kill(number)
        sent = pay(chain)
        network.wait_blocks(2)
        assert chain.wait(sent).succeeded
        network.start_alone(number)
        assert network.nodes[number].head()[0] < network.height - 2, "without what it had not written"
        network.release(number)
        [_] = heads(network)
        assert network.nodes[number].ask("eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_isolated_node_answers_from_an_old_block(network: Network) -> None:
    chain = discover_nodes(network.urls)
    network.hold(1)
    before = network.nodes[1].head()
    sent = pay(chain)
    network.wait_blocks(3)
    assert network.nodes[1].head() == before
    assert network.nodes[1].ask("eth_getTransactionReceipt", sent) is None
    assert chain.wait(sent).succeeded
    assert chain.head().number >= before[0] + 3
    network.release(1)
    [_] = heads(network)


def test_transactions_of_replaced_blocks_are_mined_again(network: Network) -> None:
    chain = discover_nodes(network.urls)
    with network.still():
        known = chain.head()
    sent = pay(chain)
    mined = chain.wait(sent).block_number
    network.wait_for(lambda: network.height >= mined + 1)
    with network.still():
        replaced = network.reorganise(2, 1 + network.height - mined)
        assert any(block["transactions"] for block in replaced)
        assert chain.receipt(sent) is None
        assert chain.block(known.number) == known
    assert chain.wait(sent).succeeded
    [_] = heads(network)


def test_transaction_sent_to_one_node_reaches_all(network: Network) -> None:
    chain = RpcChain.discover(network.nodes[0].url)
    with network.still():
        sent = pay(chain)
        network.wait_for(
            lambda: all(node.ask("eth_getTransactionByHash", sent) is not None for node in network.nodes)
        )


def test_nothing_is_made_while_the_network_stands_still(network: Network) -> None:
    with network.still():
        before = heads(network)
        assert heads(network) == before
    network.wait_blocks(1)
    assert heads(network) != before
