"""The acceptance of transactions, and the accepted transactions that are not mined yet.

Acceptance is strict so that an acknowledged transaction is mined: nonces without gaps, funds for all pending transactions of
the sender, and a fee that covers a doubled base fee. An accepted transaction can then fail only by reverting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth.abc import SignedTransactionAPI
from eth.exceptions import UnrecognizedTransactionType
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from ledger.chain.embedded import rules
from ledger.chain.embedded.state import Account
from ledger.chain.errors import InvalidTransaction, TransactionRefused, WrongChain

CAPACITY = 20_000
"""The most waiting transactions; about five minutes of mining."""

MAX_BYTES = 256 * 1024
"""The most bytes of one transaction: twice the limit of other nodes, for large batches."""

_KINDS = (None, 1, 2)


@dataclass(slots=True)
class _Sender:
    """The waiting transactions of one account: their number, the next nonce, and their maximum cost in wei."""

    waiting: int = 0
    next_nonce: int = 0
    owed: int = 0


class Pool:
    """Accepted transactions in order. Not thread-safe."""

    def __init__(self, raw_transactions: Sequence[bytes] = ()) -> None:
        self._waiting: dict[bytes, SignedTransactionAPI] = {}
        self._senders: dict[bytes, _Sender] = {}
        for raw in raw_transactions:
            self.add(rules.decode_transaction(raw))

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._waiting

    def transactions(self) -> list[SignedTransactionAPI]:
        """In the order they were accepted."""
        return list(self._waiting.values())

    def get(self, tx_hash: bytes) -> SignedTransactionAPI | None:
        """A waiting transaction; None if unknown."""
        return self._waiting.get(tx_hash)

    def next_nonce(self, sender: bytes, account: Account) -> int:
        """The nonce after this sender's last waiting transaction."""
        known = self._senders.get(sender)
        return account.nonce if known is None else max(account.nonce, known.next_nonce)

    def check(self, transaction: SignedTransactionAPI, account: Account, base_fee: int) -> None:
        """Raise ``TransactionRefused`` unless the next blocks can mine it; ``account`` is the sender's."""
        if len(self._waiting) >= CAPACITY:
            raise TransactionRefused("too many transactions wait", hint="send again in a few seconds")
        expected = self.next_nonce(transaction.sender, account)
        if transaction.nonce != expected:
            wrong = "low" if transaction.nonce < expected else "high"
            raise TransactionRefused(
                f"nonce too {wrong}: the next one of {_hex(transaction.sender)} is {expected}, "
                f"not {transaction.nonce}",
                hint="ask for the nonce again and sign anew",
            )
        if transaction.gas > rules.TRANSACTION_GAS:
            raise TransactionRefused(
                f"gas {transaction.gas} is above a transaction's limit of {rules.TRANSACTION_GAS}",
                hint="split the batch",
            )
        if transaction.max_fee_per_gas < 2 * base_fee:
            raise TransactionRefused(
                f"max fee {transaction.max_fee_per_gas} wei per gas: at least {2 * base_fee} is needed",
                hint="use gas_price() of the chain",
            )
        if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
            raise TransactionRefused("the priority fee is above the maximum fee", hint="sign with less")
        known = self._senders.get(transaction.sender)
        if _cost(transaction) + (known.owed if known else 0) > account.balance:
            raise TransactionRefused(
                f"insufficient funds of {_hex(transaction.sender)} for gas * price + value",
                hint="on this chain the relayer pays: send through it",
            )

    def add(self, transaction: SignedTransactionAPI) -> None:
        """Add an accepted transaction."""
        sender = self._senders.setdefault(transaction.sender, _Sender())
        sender.waiting += 1
        sender.next_nonce = transaction.nonce + 1
        sender.owed += _cost(transaction)
        self._waiting[transaction.hash] = transaction

    def remove(self, tx_hash: bytes) -> None:
        """Remove a mined or refused transaction."""
        transaction = self._waiting.pop(tx_hash)
        sender = self._senders[transaction.sender]
        sender.waiting -= 1
        sender.owed -= _cost(transaction)
        if not sender.waiting:
            del self._senders[transaction.sender]


def decode(raw: bytes, chain_id: int) -> SignedTransactionAPI:
    """Decode a transaction that is signed for this chain; raises ``InvalidTransaction`` or ``WrongChain``."""
    if not raw or len(raw) > MAX_BYTES:
        raise InvalidTransaction(f"a signed transaction has 1 to {MAX_BYTES} bytes, not {len(raw)}")
    try:
        transaction = rules.decode_transaction(raw)
        if transaction.type_id not in _KINDS:
            raise InvalidTransaction(
                f"transactions of type {transaction.type_id} are not taken", hint="sign type 2 (EIP-1559)"
            )
        if transaction.chain_id is None:
            raise InvalidTransaction(
                "the transaction names no chain and could be replayed", hint="sign with a chain id (EIP-155)"
            )
        if transaction.chain_id != chain_id:
            raise WrongChain(
                f"signed for chain {transaction.chain_id}, this is {chain_id}", hint="sign for this chain"
            )
        transaction.validate()
        assert isinstance(transaction.sender, bytes)
    except (
        RLPException,
        ValidationError,
        BadSignature,
        UnrecognizedTransactionType,
        ValueError,
        TypeError,
    ) as error:
        raise InvalidTransaction(
            f"not a signed transaction: {error}", hint="send the raw signed bytes"
        ) from error
    return transaction


def _cost(transaction: SignedTransactionAPI) -> int:
    return transaction.value + transaction.gas * transaction.max_fee_per_gas


def _hex(address: bytes) -> str:
    return "0x" + address.hex()
