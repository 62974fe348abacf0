"""Whether a contract would take an act: it is tried before anything is stored."""

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
    """The chain that is asked; ``relayer_address`` is who carries acts to it."""

    chain: ChainClient
    deployment: Deployment
    states: ChainStates
    relayer_address: str

    def must_be_taken(self, act: SignedAct) -> None:
        """RefusedError ``act.refused`` or ``act.frozen`` when the contract would revert; an admission that is not ready yet
        may wait, and a revocation holds here also when the chain's time is ahead of its deadline. May raise the chain's
        errors."""
        block = self.states.newest().number
        refused = simulate_act(self.chain, self.deployment, act, self.relayer_address, block)
        may_wait = {"activate": "AdmissionNotReady("}.get(act.function.name)
        if act.type in REVOCATIONS:
            may_wait = "DeadlinePassed("
        if refused is not None and not (may_wait and refused.detail.startswith(may_wait)):
            raise RefusedError(refused.code, refused.detail)
