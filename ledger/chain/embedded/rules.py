"""The rules of the embedded chain: eth-tester's proof-of-stake chain (Prague) with its own database and chain id."""

from __future__ import annotations

from typing import Protocol

from eth.abc import AtomicDatabaseAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.typing import AccountDetails
from eth.vm.forks.prague import PragueVM
from eth_tester.backends.pyevm.main import PyEVMBackend
from eth_typing import Address

from ledger.chain.embedded.bounded import BoundedVM
from ledger.chain.recursion import bound_recursion

bound_recursion()

GAS_LIMIT = 100_000_000
"""The gas limit of a block, enough for any deployment and for batches of hundreds of grants."""

TRANSACTION_GAS = 30_000_000
"""The gas limit of one transaction, enough for the relayer's largest batch. Its time is limited too (`bounded`)."""

BASE_FEE = 7
"""The base fee of the genesis in wei per gas. It normally does not change: at 7 the EIP-1559 formula no longer decreases,
and it increases only after a block that used more than half its gas. It is not 0, so that only an account with funds can
send, and only the relayer has funds."""

RELAYER_BALANCE = 10**36
"""Wei, enough for 10^27 transactions."""

CHAIN_ID_BITS = 52
"""The bits of a chain id, so that it is exact as a double in every language."""


EMPTY_TRIE_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
"""keccak(rlp(b""))."""

EMPTY_CODE_HASH = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
"""keccak(b"")."""


class KeyValueStore(Protocol):
    """The interface for reading state, implemented by ``ChainStore``."""

    def get(self, key: bytes) -> bytes | None: ...


class CommittedState(BaseDB):
    """The durable state, for reading only."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    def __getitem__(self, key: bytes) -> bytes:
        value = self._store.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def _exists(self, key: bytes) -> bool:
        return self._store.get(key) is not None

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError("reading must not write")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError("the chain only grows")


class DraftState(CommittedState):
    """The durable state with the writes of an unfinished block over it; ``writes`` holds these writes."""

    def __init__(self, store: KeyValueStore) -> None:
        super().__init__(store)
        self.writes: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.writes.get(key)
        return super().__getitem__(key) if value is None else value

    def _exists(self, key: bytes) -> bool:
        return key in self.writes or super()._exists(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.writes[key] = value


class _Nothing:
    def get(self, key: bytes) -> bytes | None:
        del key
        return None


def chain_class(chain_id: int) -> type[MiningChain]:
    """py-evm's chain class as eth-tester configures it: Prague from block 0, constant gas limit, no proof of work."""
    tester = PyEVMBackend(genesis_state=_only(b"\x00" * 19 + b"\x01"))
    configured: type[MiningChain] = type(tester.chain).configure(
        chain_id=chain_id, vm_configuration=((0, BoundedVM),)
    )
    return configured


def genesis(chain_id: int, relayer: bytes, timestamp: int) -> dict[bytes, bytes]:
    """The writes of block 0: the relayer's account (20 bytes) has all funds."""
    draft = DraftState(_Nothing())
    parameters = PyEVMBackend.generate_genesis_params(
        {"gas_limit": GAS_LIMIT, "timestamp": timestamp, "extra_data": b"civic" + chain_id.to_bytes(8)}
    )
    parameters["base_fee_per_gas"] = BASE_FEE
    chain_class(chain_id).from_genesis(AtomicDB(draft), parameters, _only(relayer))
    return draft.writes


def database(state: CommittedState) -> AtomicDatabaseAPI:
    """The state as py-evm's database."""
    return AtomicDB(state)


def _only(account: bytes) -> dict[Address, AccountDetails]:
    return {Address(account): AccountDetails(balance=RELAYER_BALANCE, nonce=0, code=b"", storage={})}


def decode_transaction(raw: bytes) -> SignedTransactionAPI:
    """Decode a transaction of py-evm; raises errors of ``rlp`` and ``eth_utils`` for other bytes."""
    return PragueVM.get_transaction_builder().decode(raw)
