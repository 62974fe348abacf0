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


class InvalidTransaction(ChainError):
    """The bytes are not a signed transaction of this chain."""

    code = "chain.invalid_transaction"


class TransactionRefused(ChainError):
    """A well-formed transaction that this chain will never mine: used nonce, no funds, too much gas."""

    code = "chain.transaction_refused"


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
