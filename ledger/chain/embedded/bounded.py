"""An EVM with a time limit, because foreign code in calls and transactions may loop as long as its gas lasts."""

from __future__ import annotations

import time
from collections.abc import Callable

from eth.abc import ComputationAPI, MessageAPI, StateAPI, TransactionContextAPI
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.gas_meter import GasMeter, allow_negative_refund_strategy

from ledger.chain.errors import CallTooCostly

_EVERY = 64
"""The number of steps between two checks of the time."""

_CHEAP = frozenset(number.to_bytes(20) for number in range(1, 5))
_PRECOMPILES = frozenset(number.to_bytes(20) for number in range(1, 0x20))
"""The precompiled contracts. In Python all but the first four can take minutes in one step within a call's gas; our
contracts do not use them."""

TRANSACTION_SECONDS = 4.0
"""The processor time limit of one transaction in seconds. The largest deployment takes a hundredth of a second."""


class _Meter(GasMeter):
    def __init__(self, gas: int, state: BoundedState) -> None:
        super().__init__(gas, allow_negative_refund_strategy)
        self._state = state
        self._steps = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        self._steps += 1
        if self._steps % _EVERY == 0:
            self._state.must_have_time()
        super().consume_gas(amount, reason)


class BoundedComputation(PragueComputation):
    """A computation that ends at the deadline of its state and refuses slow precompiled contracts."""

    state: BoundedState

    def _configure_gas_meter(self) -> GasMeter:
        return _Meter(self.msg.gas, self.state)

    @classmethod
    def apply_computation(
        cls,
        state: StateAPI,
        message: MessageAPI,
        transaction_context: TransactionContextAPI,
        parent_computation: ComputationAPI | None = None,
    ) -> ComputationAPI:
        if message.code_address in _PRECOMPILES - _CHEAP:
            raise CallTooCostly("this chain does not run this precompile")
        if isinstance(state, BoundedState):
            state.must_have_time()
        return super().apply_computation(state, message, transaction_context, parent_computation)


class BoundedState(PragueState):
    """A state whose computations raise CallTooCostly at ``deadline``, measured by ``elapsed`` in seconds."""

    computation_class = BoundedComputation
    deadline = float("inf")
    elapsed: Callable[[], float] = staticmethod(time.monotonic)

    def must_have_time(self) -> None:
        if self.elapsed() > self.deadline:
            raise CallTooCostly("it did not end in the time that one call or transaction has")


class _MiningState(BoundedState):
    """A state with a limit on processor time, so that a busy machine does not refuse transactions."""

    elapsed = staticmethod(time.thread_time)


class BoundedVM(PragueVM):
    """Runs the transactions of blocks."""

    _state_class = _MiningState

    def begin_transaction(self) -> None:
        """Start the time limit (`TRANSACTION_SECONDS`) of the next transaction."""
        state = self.state
        assert isinstance(state, BoundedState)
        state.deadline = state.elapsed() + TRANSACTION_SECONDS
