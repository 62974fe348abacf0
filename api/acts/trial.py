"""Simulates an act on the contract before anything is stored."""

from __future__ import annotations

from dataclasses import dataclass

from api.runtime.chain_states import ChainStates
from api.runtime.errors import RefusedError
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.outbox import SignedAct, simulate_act
from ledger.outbox.denials import REVOCATIONS


@dataclass(frozen=True, slots=True)
class ContractTrial:
    """Simulates acts; ``relayer_address`` is the sender of the simulated transaction."""

    chain: ChainClient
    deployment: Deployment
    states: ChainStates
    relayer_address: str

    def must_be_taken(self, act: SignedAct) -> None:
        """RefusedError ``act.refused`` or ``act.frozen`` if the contract would revert. An admission that is not
        ready yet may wait, and a revocation is accepted even if the chain's time is after its deadline. May raise
        the chain's errors."""
        block = self.states.newest().number
        refused = simulate_act(self.chain, self.deployment, act, self.relayer_address, block)
        may_wait = {"activate": "AdmissionNotReady("}.get(act.function.name)
        if act.type in REVOCATIONS:
            may_wait = "DeadlinePassed("
        if refused is not None and not (may_wait and refused.detail.startswith(may_wait)):
            raise RefusedError(refused.code, refused.detail)
