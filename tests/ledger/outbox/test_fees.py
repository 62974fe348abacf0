"""Fees of transactions: replacements pay more, by geth's rule, at the same nonce, below the operator's limit;
chains without a base fee, and without fees."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from ledger.audit.formats.checkpoint import Head
from ledger.audit.formats.merkle import EMPTY_ROOT
from ledger.audit.outside.anchor import AnchorUnavailable
from ledger.audit.outside.anchoring import ChainAnchor
from ledger.chain.client import Fees
from ledger.chain.errors import FeeCeilingReached
from ledger.chain.limits import GWEI
from ledger.chain.rpc import RpcChain
from ledger.chain.transactions import address_of, fees_of
from ledger.outbox import ActNotifier
from ledger.store.engine import reader
from ledger.store.tables.outbox import OutboxTransactionRow
from tests.simulators.anvil import Anvil
from tests.simulators.local_server import LocalServer, QuietHandler
from tests.simulators.strict_pool import StrictPool

pytestmark = pytest.mark.needs("anvil")

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first account of Foundry's public test mnemonic."""


@pytest.fixture
def node() -> Iterator[RpcChain]:
    with Anvil() as anvil:
        yield RpcChain.discover(anvil.url)


def tell(url: str, method: str, *params: Any) -> None:
    """Call a method of a development node that other nodes do not have."""
    line = HTTPConnection(urlsplit(url).netloc, timeout=10)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    line.request("POST", "/", body, {"Content-Type": "application/json"})
    assert "error" not in json.load(line.getresponse())
    line.close()


def transactions(city: Any) -> list[tuple[int, Fees]]:
    """Nonce and fees of every transaction that was signed, in order."""
    with reader(city.engine).connect() as connection:
        rows = connection.execute(
            select(OutboxTransactionRow.nonce, OutboxTransactionRow.raw).order_by(
                OutboxTransactionRow.signed_at
            )
        ).all()
    return [(nonce, fees_of(bytes(raw))) for nonce, raw in rows]


def stuck(city: Any, node: RpcChain, act: Any, **options: Any) -> tuple[ActNotifier, Any]:
    """A relayer whose act waits in the pool of a node that mines nothing."""
    tell(node.url, "evm_setAutomine", False)
    notifier = ActNotifier(city.engine)
    relayer = city.relayer(notifier, stuck_after_s=0.0, **options)
    relayer.step()
    return notifier, relayer


def recorded(city: Any, node: RpcChain, notifier: ActNotifier, relayer: Any, act: str) -> None:
    tell(node.url, "evm_mine")
    follower = city.follower(notifier=notifier)
    for _ in range(3):
        relayer.step()
        follower.step()
    assert notifier.find(act).state == "recorded"


@pytest.mark.parametrize("bump", [10, 60])
def test_a_stuck_act_is_replaced_at_its_nonce_and_mined_once(
    bump: int, node: RpcChain, make_city: Callable[..., Any], tools: Any
) -> None:
    pool = StrictPool(node, KEY, bump)
    city = make_city(pool, KEY)
    city.follow()
    accepted = city.accept(city.grant(tools.AIR, 9))
    before = node.mined_nonce(address_of(KEY))
    notifier, relayer = stuck(city, node, accepted.id)
    for _ in range(6):
        relayer.step()
    signed = transactions(city)
    assert {nonce for nonce, _ in signed} == {before}
    for (_, old), (_, new) in itertools.pairwise(signed):
        assert new.max_fee * 10 > old.max_fee * 11
        assert new.max_priority * 10 >= old.max_priority * 11
    assert min(fees.max_priority for _, fees in signed) >= 1
    assert pool.taken[before] != b""
    assert fees_of(pool.taken[before]).max_fee > signed[0][1].max_fee
    recorded(city, node, notifier, relayer, accepted.id)
    assert node.mined_nonce(address_of(KEY)) == before + 1


def test_restart_keeps_waiting_acts(node: RpcChain, make_city: Callable[..., Any], tools: Any) -> None:
    pool = StrictPool(node, KEY)
    city = make_city(pool, KEY)
    city.follow()
    first = city.accept(city.grant(tools.AIR, 9))
    before = node.mined_nonce(address_of(KEY))
    stuck(city, node, first.id)
    notifier = ActNotifier(city.engine)
    again = city.relayer(notifier, stuck_after_s=0.0)
    for _ in range(3):
        again.step()
    assert {nonce for nonce, _ in transactions(city)} == {before}
    recorded(city, node, notifier, again, first.id)


def test_act_above_the_fee_ceiling_waits_and_is_reported(
    node: RpcChain, make_city: Callable[..., Any], tools: Any
) -> None:
    pool = StrictPool(node, KEY)
    city = make_city(pool, KEY)
    city.follow()
    accepted = city.accept(city.grant(tools.AIR, 9))
    notifier, relayer = stuck(city, node, accepted.id, most_fee=5 * GWEI)
    pool.asked = Fees(80 * GWEI, 2 * GWEI)
    for _ in range(4):
        relayer.step()
    assert isinstance(relayer.failure, FeeCeilingReached)
    assert max(fees.max_fee for _, fees in transactions(city)) <= 5 * GWEI
    allowed = city.relayer(notifier, stuck_after_s=0.0, most_fee=100 * GWEI)
    for _ in range(2):
        allowed.step()
    assert transactions(city)[-1][1].max_fee >= 80 * GWEI
    recorded(city, node, notifier, allowed, accepted.id)


def test_only_one_anchor_is_pending(node: RpcChain, make_city: Callable[..., Any], tools: Any) -> None:
    pool = StrictPool(node, KEY)
    city = make_city(pool, KEY)
    city.follow()
    anchor = ChainAnchor(pool, city.deployment, KEY, tools.secret("7:machine"), timeout_s=0.3)
    city.must(city.act("OpenLog", {"origin": anchor.origin, "operator": 7, "quorum": 0}, "mayor"))
    city.follow()
    before = node.mined_nonce(address_of(KEY))
    tell(node.url, "evm_setAutomine", False)
    for _ in range(3):
        with pytest.raises(AnchorUnavailable):
            anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), [])
    assert node.nonce(address_of(KEY)) == before + 1
    tell(node.url, "evm_mine")
    assert anchor.submit(Head(0, EMPTY_ROOT), city.log.checkpoint(), []) == anchor.find(city.log.size)
    assert node.mined_nonce(address_of(KEY)) == before + 1


class Changed(LocalServer):
    """A proxy in front of a node that changes its answers."""

    def __init__(self, node: str) -> None:
        change = self.change

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                line = HTTPConnection(urlsplit(node).netloc, timeout=20)
                line.request("POST", "/", body, {"Content-Type": "application/json"})
                answer = json.load(line.getresponse())
                line.close()
                asked = json.loads(body)
                change(asked["method"], asked["params"], answer)
                text = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.serve(Handler)

    def change(self, method: str, params: list[Any], answer: dict[str, Any]) -> None:
        raise NotImplementedError


class WithoutBaseFee(Changed):
    """Its newest block, which is read for the fee, has no base fee, as on chains without EIP-1559.

    The other blocks keep it, because their hashes are checked, and anvil hashes it.
    """

    def change(self, method: str, params: list[Any], answer: dict[str, Any]) -> None:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            answer["result"].pop("baseFeePerGas", None)


class WithoutPrice(Changed):
    """It suggests a fee of zero."""

    def change(self, method: str, params: list[Any], answer: dict[str, Any]) -> None:
        if method in ("eth_gasPrice", "eth_maxPriorityFeePerGas"):
            answer["result"] = "0x0"


def test_a_chain_without_a_base_fee_takes_the_older_transactions(
    node: RpcChain, make_city: Callable[..., Any], tools: Any
) -> None:
    with WithoutBaseFee(node.url) as older:
        chain = RpcChain.discover(older.url)
        fees = chain.fees()
        assert fees.legacy
        assert fees.max_fee > 0
        assert fees.raised(fees).max_fee * 10 > fees.max_fee * 11
        city = make_city(chain, KEY)
        city.follow()
        accepted = city.accept(city.grant(tools.AIR, 9))
        notifier, relayer = stuck(city, node, accepted.id)
        for _ in range(2):
            relayer.step()
        assert {fees.legacy for _, fees in transactions(city)} == {True}
        recorded(city, node, notifier, relayer, accepted.id)


def test_chain_without_fees_needs_no_balance(make_city: Callable[..., Any], tools: Any) -> None:
    """A consortium's chain: no base fee, and nodes with a gas price of zero (Besu: min-gas-price 0)."""
    with Anvil("--base-fee", "0", "--gas-price", "0") as anvil, WithoutPrice(anvil.url) as free:
        chain = RpcChain.discover(free.url)
        assert chain.fees() == Fees(0)
        poor = bytes(31) + b"\x07"
        assert chain.balance(address_of(poor)) == 0
        city = make_city(chain, poor)
        city.follow()
        city.must(city.grant(tools.AIR, 9))
        accepted = city.accept(city.grant(tools.AIR, 9, salt=2))
        notifier = ActNotifier(city.engine)
        recorded(city, RpcChain.discover(anvil.url), notifier, city.relayer(notifier), accepted.id)
