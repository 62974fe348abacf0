"""The harness's chain without a block per transaction: every act runs on the pending block, several times faster.

A state machine sends thousands of acts, most of which it expects to be refused. ``apply_transaction`` answers at once
with logs and revert data, so that nothing is asked twice; time stands still until ``travel``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from contracts_harness import Abi, Chain, Contract, Event, Receipt
from eth.vm.spoof import SpoofTransaction
from eth_utils import to_canonical_address

GAS = 14_000_000
ACTS_A_BLOCK = 8
"""py-evm hashes the whole pending block again for every transaction in it."""


class PendingChain(Chain):
    """An eth-tester backend whose blocks are mined only when time passes."""

    def __init__(self) -> None:
        super().__init__()
        self._key = self.tester.backend.account_keys[0]
        self._failure = b""
        self._unmined = 0
        self.history: list[tuple[int, Event]] = []
        """(time, event) of everything that ever happened."""

    def send(self, contract: Contract, function: str, *arguments: Any) -> Receipt:
        """A transaction; ``Reverted`` when it fails. It runs at the time that ``now`` said before."""
        time = self.now
        receipt = super().send(contract, function, *arguments)
        self.history.extend((time, event) for event in receipt.events)
        return receipt

    def call_raw(self, contract: Contract, data: bytes) -> None:
        """A transaction with this call data, of which the ABI knows nothing."""
        assert self._transact({"to": contract.address, "data": "0x" + data.hex()})["status"]

    def words(self, contract: Contract, slots: Sequence[int]) -> list[int]:
        """Slots as they are stored, all in one look at the state."""
        state = self.tester.backend.chain.get_vm().state
        address = to_canonical_address(contract.address)
        return [int(state.get_storage(address, slot)) for slot in slots]

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Everything that happens inside is undone at the end."""
        backend = self.tester.backend
        # Going back re-executes the block gone back to: let it be an empty one.
        self._mine()
        self._mine()
        snapshot, length, now = backend.take_snapshot(), len(self.history), self.now
        try:
            yield
        finally:
            backend.revert_to_snapshot(snapshot)
            del self.history[length:]
            self.now, self._unmined = now, 0

    def _transact(self, request: dict[str, Any]) -> Any:
        self._stamp()
        chain = self.tester.backend.chain
        header = chain.get_block().header
        _, receipt, computation = chain.apply_transaction(self._signed(request))
        self._failure = computation.output if computation.is_error else b""
        logs = [] if computation.is_error else receipt.logs
        self.now += 1
        self._unmined += 1
        if self._unmined == ACTS_A_BLOCK:
            self._mine()
        return {
            "status": computation.is_success,
            "gas_used": receipt.gas_used - header.gas_used,
            "block_number": header.block_number,
            "contract_address": "0x" + computation.msg.storage_address.hex(),
            "logs": [
                {"topics": [topic.to_bytes(32, "big") for topic in log.topics], "data": bytes(log.data)}
                for log in logs
            ],
        }

    def _mine(self) -> None:
        """Close the pending block, a second after its last act."""
        self._stamp()
        self.tester.backend.mine_blocks()
        self.now += 1
        self._unmined = 0

    def _raise(self, abi: Abi, request: dict[str, Any]) -> None:
        raise abi.error(self._failure)

    def _call(self, abi: Abi, request: dict[str, Any]) -> bytes:
        self._stamp()
        state = self.tester.backend.chain.get_vm().state
        before = state.snapshot()
        # Nobody checks the relayer's own signature here: it is not made.
        computation = state.apply_transaction(
            SpoofTransaction(self._unsigned(request), from_=to_canonical_address(self.relayer))
        )
        state.revert(before)
        if computation.is_error:
            raise abi.error(computation.output)
        return bytes(computation.output)

    def _signed(self, request: dict[str, Any]) -> Any:
        return self._unsigned(request).as_signed_transaction(self._key)

    def _unsigned(self, request: dict[str, Any]) -> Any:
        chain = self.tester.backend.chain
        return chain.create_unsigned_transaction(
            nonce=chain.get_vm().state.get_nonce(to_canonical_address(self.relayer)),
            gas_price=10**9 + 7,
            gas=GAS,
            to=to_canonical_address(request["to"]) if "to" in request else b"",
            value=0,
            data=bytes.fromhex(request["data"].removeprefix("0x")),
        )
