"""The harness's chain on the embedded chain: blocks in a file, 30 M gas and 4 s a transaction, a relayer that pays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts_harness import GAS_LIMIT, START, Abi, Chain, Contract, Key

from ledger.chain.embedded import EmbeddedChain, SimulatedClock
from ledger.chain.errors import ContractReverted
from ledger.chain.transactions import sign_transaction

CHAIN_ID = (1 << 40) + 18
"""The same on every run, so that signatures, and the gas of calldata, are the same each time."""


class EmbeddedCityChain(Chain):
    """Like ``Chain``; the folder holds the chain's file and, during a rewind, copies of it."""

    def __init__(self, folder: Path) -> None:
        self._key = Key("relayer")
        self._clock = SimulatedClock(START + 1)
        self._copies = (folder / f"chain-{number}.sqlite" for number in itertools.count(1))
        self.relayer = self._key.address
        self.chain_id = CHAIN_ID
        self.now = START + 1
        self._chain = EmbeddedChain.create(
            next(self._copies), CHAIN_ID, self.relayer, clock=self._clock, background=False
        )

    def close(self) -> None:
        self._chain.close()

    @contextmanager
    def rewound(self) -> Iterator[None]:
        copy, now = next(self._copies), self.now
        self._chain.snapshot(copy)
        try:
            yield
        finally:
            self._chain.close()
            self._chain.path.unlink()
            self.now = now
            self._clock.set(now)
            self._chain = EmbeddedChain.open(copy, clock=self._clock, background=False)

    def settle(self) -> None:
        """Do nothing: the cost of a rewind is the same at every block."""

    def nonce(self) -> int:
        return self._chain.nonce(self.relayer)

    def code_size(self, address: str) -> int:
        return len(self._chain.code(address))

    def storage(self, contract: Contract, slot: int) -> bytes:
        return self._chain.storage(contract.address, slot)

    def _transact(self, request: dict[str, Any]) -> Any:
        self._clock.set(self.now)
        fees = self._chain.fees()
        data = bytes.fromhex(request["data"][2:])
        raw = sign_transaction(
            self._key.private.secret, CHAIN_ID, self.nonce(), request.get("to"), data, GAS_LIMIT, fees
        )
        hashed = self._chain.send(raw)
        block = self._chain.mine()
        receipt = self._chain.receipt(hashed)
        if block is None or receipt is None:
            raise AssertionError("the chain refuses the transaction")
        if block.timestamp != self.now:
            raise AssertionError(f"mined at {block.timestamp}, not at {self.now}")
        self.now += 1
        if receipt.reverted:
            raise AssertionError("the transaction failed, and the same call did not")
        return {
            "gas_used": receipt.gas_used,
            "logs": [{"topics": log.topics, "data": log.data} for log in receipt.logs],
            "block_number": receipt.block_number,
            "contract_address": receipt.contract_address,
        }

    def _call(self, abi: Abi, request: dict[str, Any]) -> bytes:
        self._clock.set(self.now)
        data = bytes.fromhex(request["data"][2:])
        try:
            if "to" in request:
                return self._chain.call(request["to"], data, sender=self.relayer)
            self._chain.estimate_gas(None, data, sender=self.relayer)
        except ContractReverted as refusal:
            raise abi.error(refusal.data) from None
        return b""
