"""Running the EVM without changing the state: calls and gas estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eth.abc import BlockHeaderAPI, ComputationAPI, StateAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import Revert, VMError
from eth.vm.chain_context import ChainContext
from eth.vm.forks.prague import PragueVM
from eth.vm.message import Message
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address
from eth_utils.exceptions import ValidationError

from ledger.chain.embedded.bounded import BoundedState
from ledger.chain.embedded.reader import ChainReader
from ledger.chain.errors import ContractReverted, TransactionRefused

CALL_GAS = 50_000_000
"""The gas limit of a call; py-evm needs tens of seconds to use it."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call. Addresses are 20 bytes; without ``to`` it deploys ``data``. ``value`` is in wei. At ``deadline``
    (`time.monotonic`), which external callers have, CallTooCostly is raised."""

    sender: bytes
    to: bytes | None
    data: bytes
    value: int = 0
    gas: int = CALL_GAS
    deadline: float = math.inf


class Execution:
    """Runs requests on the state after a block, in the context of the header given."""

    def __init__(self, reader: ChainReader, chain_id: int) -> None:
        self._reader = reader
        self._context = ChainContext(chain_id)

    def call(self, state_after: BlockHeaderAPI, context: BlockHeaderAPI, request: CallRequest) -> bytes:
        """The output of the call; raises ``ContractReverted``. ``context`` is the header with block number and time."""
        if request.to is None:
            raise ContractReverted(b"", "a call names a contract; only an estimate deploys")
        with self._reader.sound():
            state = self._state(state_after, context, request.deadline)
            to = Address(request.to)
            message = Message(
                gas=min(request.gas, CALL_GAS),
                to=to,
                sender=Address(request.sender),
                value=request.value,
                data=request.data,
                code=state.get_code(to),
            )
            origin = state.get_transaction_context_class()(gas_price=0, origin=Address(request.sender))
            try:
                outcome = state.computation_class.apply_message(state, message, origin)
            except VMError as error:
                raise ContractReverted(b"", f"the call cannot run: {error}") from error
        return _output(outcome)

    def estimate(self, state_after: BlockHeaderAPI, context: BlockHeaderAPI, request: CallRequest) -> int:
        """A sufficient gas limit for the request as a transaction; raises ``ContractReverted`` when there is none.

        The used gas is tried first, then the used gas with the 1/64 that every inner call holds back (EIP-150), then a
        binary search.
        """
        with self._reader.sound():
            limit = min(request.gas, CALL_GAS)
            outcome = self._transact(state_after, context, request, limit)
            _output(outcome)
            burnt = limit - outcome.get_gas_remaining()
            low, high = burnt - 1, limit
            for guess in (burnt, burnt * 64 // 63 + 2300):
                if low < guess < high:
                    if self._transact(state_after, context, request, guess).is_success:
                        high = guess
                        break
                    low = guess
            while high - low > max(1000, burnt // 100):
                middle = (low + high) // 2
                if self._transact(state_after, context, request, middle).is_success:
                    high = middle
                else:
                    low = middle
            return high

    def _transact(
        self, state_after: BlockHeaderAPI, context: BlockHeaderAPI, request: CallRequest, gas: int
    ) -> ComputationAPI:
        state = self._state(state_after, context.copy(base_fee_per_gas=0), request.deadline)
        sender = Address(request.sender)
        unsigned = PragueVM.create_unsigned_transaction(
            nonce=state.get_nonce(sender),
            gas_price=0,
            gas=gas,
            to=Address(request.to) if request.to else CREATE_CONTRACT_ADDRESS,
            value=request.value,
            data=request.data,
        )
        try:
            return state.apply_transaction(SpoofTransaction(unsigned, from_=sender))  # type: ignore[arg-type]
        except ValidationError as error:
            raise TransactionRefused(str(error), hint="give more gas, or have the sender funded") from error

    def _state(self, state_after: BlockHeaderAPI, context: BlockHeaderAPI, deadline: float) -> StateAPI:
        hashes = PragueVM.get_prev_hashes(context.parent_hash, self._reader.chaindb)
        execution = PragueVM.create_execution_context(context, hashes or (), self._context)
        if deadline == math.inf:
            return PragueVM.get_state_class()(self._reader.database, execution, state_after.state_root)
        bounded = BoundedState(self._reader.database, execution, state_after.state_root)
        bounded.deadline = deadline
        return bounded


def _output(outcome: ComputationAPI) -> bytes:
    if outcome.is_success:
        return bytes(outcome.output)
    if isinstance(outcome.error, Revert):
        raise ContractReverted(bytes(outcome.output))
    raise ContractReverted(b"", f"the EVM stopped: {type(outcome.error).__name__}")
