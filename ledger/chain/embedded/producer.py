"""Building a block: from transactions to all writes of the block. This module stores nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI
from eth.exceptions import Revert
from eth_utils.exceptions import ValidationError

from ledger.chain.embedded import rules
from ledger.chain.embedded.bounded import BoundedVM
from ledger.chain.embedded.store import ChainStore, Commit
from ledger.chain.errors import CallTooCostly

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Draft:
    header: BlockHeaderAPI
    transactions: list[SignedTransactionAPI] = field(default_factory=list)
    receipts: list[ReceiptAPI] = field(default_factory=list)
    reverts: dict[bytes, bytes] = field(default_factory=dict)
    refusals: dict[bytes, str] = field(default_factory=dict)


class BlockProducer:
    """Executes transactions on top of the newest block. Not thread-safe."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store
        self._chain_class = rules.chain_class(store.chain_id)
        self._still = self._chain_class(rules.database(rules.CommittedState(store)))

    def header_after(self, parent: BlockHeaderAPI, timestamp: int) -> BlockHeaderAPI:
        """The header of an empty block on ``parent``, which is the context of a call now."""
        return self._still.create_header_from_parent(parent, timestamp=timestamp)

    def produce(
        self,
        transactions: Iterable[SignedTransactionAPI],
        timestamp: int,
        enough: Callable[[], bool],
    ) -> Commit:
        """The writes of the next block, or only refusals when no transaction can be mined.

        Transactions are taken in order until the block's gas is used or ``enough()`` returns true. A transaction that takes
        too long is refused; the block then contains refusals only, and the transactions before it are mined in the next
        block. Every block starts from a new chain object on the committed state, so errors in an earlier block have no
        effect.
        """
        state = rules.DraftState(self._store)
        chain = self._chain_class(rules.database(state))
        parent = chain.get_canonical_head()
        draft = _Draft(chain.create_header_from_parent(parent, timestamp=timestamp))
        vm = chain.get_vm(draft.header)
        assert isinstance(vm, BoundedVM)
        for transaction in transactions:
            if draft.header.gas_used + transaction.gas > draft.header.gas_limit:
                break
            vm.begin_transaction()
            try:
                receipt, computation = vm.apply_transaction(draft.header, transaction)
            except ValidationError as error:
                _LOG.warning("transaction 0x%s cannot be mined: %s", transaction.hash.hex(), error)
                draft.refusals[transaction.hash] = str(error)
                continue
            except CallTooCostly as error:  # its state is incomplete
                _LOG.warning("transaction 0x%s is not mined: %s", transaction.hash.hex(), error)
                return Commit(state={}, refusals={**draft.refusals, transaction.hash: error.message})
            draft.header = vm.add_receipt_to_header(draft.header, receipt)
            draft.transactions.append(transaction)
            draft.receipts.append(receipt)
            if computation.is_error:
                reverted = isinstance(computation.error, Revert)
                draft.reverts[transaction.hash] = bytes(computation.output) if reverted else b""
            if enough():
                break
        if not draft.transactions:
            return Commit(state={}, refusals=draft.refusals)
        filled = vm.set_block_transactions_and_withdrawals(
            vm.get_block(), draft.header, draft.transactions, draft.receipts
        )
        block = vm.mine_block(filled).block
        chain.chaindb.persist_block(block)
        return Commit(
            state=state.writes,
            mined=[transaction.hash for transaction in draft.transactions],
            reverts=draft.reverts,
            refusals=draft.refusals,
        )
