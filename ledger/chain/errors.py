"""The errors of the chain. Every error has a stable ``code`` and states the next step."""

from __future__ import annotations

from ledger.errors import LedgerError

_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


class ChainError(LedgerError):
    """Root of the chain's errors."""

    code = "chain.error"


class ContractReverted(ChainError):
    """A contract refused. ``data`` is the ABI-encoded error; empty if there is none."""

    code = "chain.reverted"

    def __init__(self, data: bytes, message: str = "") -> None:
        super().__init__(message or f"the contract refused: {revert_reason(data)}")
        self.data = data


class ChainUnreachable(ChainError):
    """The node did not answer before the timeout, or the embedded chain was closed."""

    code = "chain.unreachable"


class NodesDisagree(ChainUnreachable):
    """Not more than half of the configured nodes give the same answer, so the state of the chain is unknown."""

    code = "chain.nodes-disagree"


class ChainFault(ChainError):
    """The node returned an error that is not a revert. ``rpc_code`` is the number of the JSON-RPC error."""

    code = "chain.fault"

    def __init__(self, message: str, *, rpc_code: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rpc_code = rpc_code


class ChainLocked(ChainError):
    """Another process has this embedded chain open."""

    code = "chain.locked"


class ChainCorrupt(ChainError):
    """The chain's file is damaged: a stored value is missing or does not have the hash in its key."""

    code = "chain.corrupt"


class ChainMissing(ChainError):
    """There is no chain at this path."""

    code = "chain.missing"


class ChainExists(ChainError):
    """There is already a chain at this path; it is not overwritten."""

    code = "chain.exists"


class ChainStorageFailed(ChainError):
    """The chain's file could not be written or read, for example because the disk is full. Nothing was stored."""

    code = "chain.storage_failed"


class WrongChain(ChainError):
    """The chain reached is not the configured one."""

    code = "chain.wrong_chain"


class ClockDrift(ChainError):
    """The machine's clock is in doubt, or too far behind the last block. No block is mined."""

    code = "chain.clock_drift"


class UnknownBlock(ChainError):
    """There is no block with this number or hash."""

    code = "chain.unknown_block"


class ChainUnproven(ChainError):
    """A node's data about a block do not have the block's hash: data are missing or false."""

    code = "chain.unproven"


class ChainWentBack(ChainError):
    """The newest block is before a block that was read already. The node may be late, so nothing is undone and nothing is
    decided with its state. A reorganisation is recognised when the new chain is as long."""

    code = "chain.went_back"


class ChainNotBack(ChainError):
    """The operator stated that the chain was restored to an older block, but its newest block is not older than the last
    block read, or is not the stated one."""

    code = "chain.not_restored"


class ChainReplaced(ChainError):
    """None of the blocks that were read before is in the chain: it is another chain with the same id, not a
    reorganisation."""

    code = "chain.replaced"


class InvalidTransaction(ChainError):
    """The bytes are not a signed transaction for this chain."""

    code = "chain.invalid_transaction"


class TransactionRefused(ChainError):
    """A well-formed transaction that this chain will never mine: used nonce, no funds, too much gas."""

    code = "chain.transaction_refused"


class FeeTooLow(TransactionRefused):
    """The fee is below the node's minimum, or less than a tenth above that of a transaction with the same nonce."""

    code = "chain.fee_too_low"


class FeeCeilingReached(ChainError):
    """The chain's fees are above the operator's maximum (``CIVIC_MOST_FEE_GWEI``). Waiting acts continue to wait."""

    code = "chain.fee_ceiling"


class CallTooCostly(ChainError):
    """A call uses more time or other resources than one caller is allowed."""

    code = "chain.call_too_costly"


class TransactionPending(ChainError):
    """The transaction was not mined within the time given; it may still be."""

    code = "chain.transaction_pending"


def revert_reason(data: bytes) -> str:
    """The text of Solidity's ``Error(string)`` or ``Panic(uint256)``; otherwise the selector in hex.

    ``ledger.chain.contracts`` decodes custom errors with the contract's ABI.
    """
    if not data:
        return "no reason given"
    if data[:4] == _ERROR_STRING and len(data) >= 68:
        length = int.from_bytes(data[36:68])
        return data[68 : 68 + length].decode("utf-8", "replace")
    if data[:4] == _PANIC and len(data) >= 36:
        return f"Panic(0x{int.from_bytes(data[4:36]):02x})"
    return f"custom error 0x{data[:4].hex()}"
