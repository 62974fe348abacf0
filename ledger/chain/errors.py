"""What can go wrong with a chain. Every error has a stable ``code`` and says what to do next."""

from __future__ import annotations

from ledger.errors import LedgerError

_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


class ChainError(LedgerError):
    """Root of the chain's errors."""

    code = "chain.error"


class ContractReverted(ChainError):
    """A contract refused. ``data`` is the ABI-encoded error, empty when the contract gave none."""

    code = "chain.reverted"

    def __init__(self, data: bytes, message: str = "") -> None:
        super().__init__(message or f"the contract refused: {revert_reason(data)}")
        self.data = data


class ChainUnreachable(ChainError):
    """No answer from the node in time, or the embedded chain has been closed."""

    code = "chain.unreachable"


class NodesDisagree(ChainUnreachable):
    """No more than half of the configured nodes say the same, or answer at all: there is no chain to go by."""

    code = "chain.nodes-disagree"


class ChainFault(ChainError):
    """The node answered with an error that is no revert: ``rpc_code`` is the JSON-RPC error's number."""

    code = "chain.fault"

    def __init__(self, message: str, *, rpc_code: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rpc_code = rpc_code


class ChainLocked(ChainError):
    """Another process has this embedded chain open."""

    code = "chain.locked"


class ChainCorrupt(ChainError):
    """The chain's file is damaged: a stored value does not hash to its key, or is missing."""

    code = "chain.corrupt"


class ChainMissing(ChainError):
    """There is no chain at this path."""

    code = "chain.missing"


class ChainExists(ChainError):
    """There already is a chain at this path; a genesis is never written over it."""

    code = "chain.exists"


class ChainStorageFailed(ChainError):
    """The chain's file could not be written or read: a full disk, a lost mount. Nothing of it was kept."""

    code = "chain.storage_failed"


class WrongChain(ChainError):
    """The chain reached is not the configured one."""

    code = "chain.wrong_chain"


class ClockDrift(ChainError):
    """The machine's clock is in doubt, or stands behind the last block by more than is allowed; no block is mined."""

    code = "chain.clock_drift"


class UnknownBlock(ChainError):
    """No block of this number or hash."""

    code = "chain.unknown_block"


class ChainUnproven(ChainError):
    """What a node says of a block does not add up to the block's hash: something is left out, or made up."""

    code = "chain.unproven"


class ChainWentBack(ChainError):
    """The newest block is an older one than was read before. Nothing is taken back for it, and nothing decided by it: it may
    be a node that is behind. A reorganisation is one once its chain is as long."""

    code = "chain.went_back"


class ChainNotBack(ChainError):
    """It is stated that the chain was restored to an older block, and its newest block is none: it is not older than the
    last that was read, or another one than was stated."""

    code = "chain.not_restored"


class ChainReplaced(ChainError):
    """None of the blocks that were read before is in the chain: it is another chain under the same number, not a
    reorganisation."""

    code = "chain.replaced"


class InvalidTransaction(ChainError):
    """The bytes are not a signed transaction of this chain."""

    code = "chain.invalid_transaction"


class TransactionRefused(ChainError):
    """A well-formed transaction that this chain will never mine: used nonce, no funds, too much gas."""

    code = "chain.transaction_refused"


class FeeTooLow(TransactionRefused):
    """The node asks for more: than it takes at all, or than what it has under the same nonce pays, and a tenth."""

    code = "chain.fee_too_low"


class FeeCeilingReached(ChainError):
    """The chain asks for more than the operator allows (``CIVIC_MOST_FEE_GWEI``); what waits, waits on."""

    code = "chain.fee_ceiling"


class CallTooCostly(ChainError):
    """A call takes more time, or more of something else, than one caller may have."""

    code = "chain.call_too_costly"


class TransactionPending(ChainError):
    """The transaction was not mined within the time given; it may still be."""

    code = "chain.transaction_pending"


def revert_reason(data: bytes) -> str:
    """In words: Solidity's ``Error(string)`` or ``Panic(uint256)``; else the selector in hex.

    Custom errors are told apart by their contract's ABI, in ``ledger.chain.contracts``.
    """
    if not data:
        return "no reason given"
    if data[:4] == _ERROR_STRING and len(data) >= 68:
        length = int.from_bytes(data[36:68])
        return data[68 : 68 + length].decode("utf-8", "replace")
    if data[:4] == _PANIC and len(data) >= 36:
        return f"Panic(0x{int.from_bytes(data[4:36]):02x})"
    return f"custom error 0x{data[:4].hex()}"
