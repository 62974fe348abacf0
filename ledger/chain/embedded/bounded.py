"""The EVM with a clock: for callers from outside, whose code may loop as long as its gas lasts."""

from __future__ import annotations

import time

from eth.abc import ComputationAPI, MessageAPI, StateAPI, TransactionContextAPI
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.gas_meter import GasMeter, allow_negative_refund_strategy

from ledger.chain.errors import CallTooCostly

_EVERY = 64
"""Steps between two looks at the clock."""

_CHEAP = frozenset(number.to_bytes(20) for number in range(1, 5))
_PRECOMPILES = frozenset(number.to_bytes(20) for number in range(1, 0x20))
"""In Python all but the first four take minutes for the gas of a call, in one step; no contract of ours needs them."""


class _Meter(GasMeter):
    def __init__(self, gas: int, deadline: float) -> None:
        super().__init__(gas, allow_negative_refund_strategy)
        self._deadline = deadline
        self._steps = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        self._steps += 1
        if self._steps % _EVERY == 0 and time.monotonic() > self._deadline:
            raise CallTooCostly("the call did not end in the time that one call has")
        super().consume_gas(amount, reason)


class BoundedComputation(PragueComputation):
    """A computation that ends at the deadline of its state, and runs no precompile that could outlast it."""

    state: BoundedState

    def _configure_gas_meter(self) -> GasMeter:
        return _Meter(self.msg.gas, self.state.deadline)

    @classmethod
    def apply_computation(
        cls,
        state: StateAPI,
        message: MessageAPI,
        transaction_context: TransactionContextAPI,
        parent_computation: ComputationAPI | None = None,
    ) -> ComputationAPI:
        if message.code_address in _PRECOMPILES - _CHEAP:
            raise CallTooCostly("this precompile is not run for callers from outside")
        if isinstance(state, BoundedState) and time.monotonic() > state.deadline:
            raise CallTooCostly("the call did not end in the time that one call has")
        return super().apply_computation(state, message, transaction_context, parent_computation)


class BoundedState(PragueState):
    """A state whose computations end at ``deadline`` (`time.monotonic`)."""

    computation_class = BoundedComputation
    deadline = float("inf")
