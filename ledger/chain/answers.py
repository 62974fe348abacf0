"""The answers of nodes as models. Only this module parses answers; it raises ValueError or TypeError for malformed ones.

A node may send any bytes. Parsed values have the expected form, and their numbers fit dates and database columns. Unknown
members are ignored. Source: ethereum/execution-apis.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from eth_utils.address import to_checksum_address
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from ledger.chain.client import BlockRef, Log, Receipt

_MOST_NUMBER = (1 << 63) - 1
"""The largest block number, and the largest of other integers that are stored in a database."""
_MOST_TIME = 253_402_300_799
"""The last second of year 9999, the largest time of Python's ``datetime``."""
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)


def quantity(text: Any) -> int:
    """A 0x-hex number of at most 256 bits."""
    if not isinstance(text, str) or _QUANTITY.fullmatch(text) is None:
        raise ValueError("no number")
    return int(text, 16)


def number(text: Any, most: int = _MOST_NUMBER) -> int:
    """A 0x-hex number of at most ``most``."""
    found = quantity(text)
    if found > most:
        raise ValueError("the number is too large")
    return found


def data(text: Any) -> bytes:
    """0x-hex bytes of any length."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError("no bytes")
    return bytes.fromhex(text[2:])


def word(text: Any) -> bytes:
    """A storage word of 32 bytes; some nodes omit its leading zeros."""
    found = data(text)
    if len(found) > 32:
        raise ValueError("more than a word")
    return found.rjust(32, b"\x00")


def _sized(size: int) -> Callable[[Any], bytes]:
    def read(text: Any) -> bytes:
        found = data(text)
        if len(found) != size:
            raise ValueError(f"not {size} bytes")
        return found

    return read


_Quantity = Annotated[int, BeforeValidator(quantity)]
_Number = Annotated[int, BeforeValidator(number)]
_Time = Annotated[int, BeforeValidator(lambda text: number(text, _MOST_TIME))]
_Data = Annotated[bytes, BeforeValidator(data)]
_Hash = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
_Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$"), AfterValidator(to_checksum_address)]
_Bytes8 = Annotated[bytes, BeforeValidator(_sized(8))]
_Bytes20 = Annotated[bytes, BeforeValidator(_sized(20))]
_Bytes32 = Annotated[bytes, BeforeValidator(_sized(32))]
_Bytes256 = Annotated[bytes, BeforeValidator(_sized(256))]
_T = TypeVar("_T")
_Many = Annotated[tuple[_T, ...], Field(strict=False)]
"""A JSON list as a tuple."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, alias_generator=to_camel)


class Block(_Answer):
    """The members of a block that identify it."""

    number: _Number
    hash: _Hash
    parent_hash: _Hash
    timestamp: _Time

    @property
    def ref(self) -> BlockRef:
        return BlockRef(self.number, self.hash, self.parent_hash, self.timestamp)


class Header(Block):
    """A block with all members of which its hash is computed, and the hashes of its transactions."""

    sha3_uncles: _Bytes32
    miner: _Bytes20
    state_root: _Bytes32
    transactions_root: _Bytes32
    receipts_root: _Bytes32
    logs_bloom: _Bytes256
    difficulty: _Quantity
    gas_limit: _Number
    gas_used: _Number
    extra_data: _Data
    mix_hash: _Bytes32
    nonce: _Bytes8
    base_fee_per_gas: _Quantity | None = None
    withdrawals_root: _Bytes32 | None = None
    blob_gas_used: _Number | None = None
    excess_blob_gas: _Number | None = None
    parent_beacon_block_root: _Bytes32 | None = None
    requests_hash: _Bytes32 | None = None
    transactions: _Many[_Hash]

    def fields(self) -> dict[str, Any]:
        """By JSON-RPC's names, as `ledger.chain.block_hashes` takes them."""
        return self.model_dump(by_alias=True)


class LogEntry(_Answer):
    """An event in a receipt."""

    address: _Address
    topics: Annotated[_Many[_Hash], Field(max_length=4)]
    data: _Data


class MinedReceipt(_Answer):
    """The receipt of a transaction, with all members of which the receipts root is computed."""

    type: _Number | None = None
    status: _Number | None = None
    root: _Bytes32 | None = None
    transaction_hash: _Hash
    block_hash: _Hash
    block_number: _Number
    gas_used: _Number
    cumulative_gas_used: _Number
    logs: _Many[LogEntry]

    def fields(self) -> dict[str, Any]:
        """By JSON-RPC's names, as `ledger.chain.block_hashes` takes them."""
        return self.model_dump(by_alias=True)


class _PlacedLog(LogEntry):
    block_number: _Number
    block_hash: _Hash
    transaction_hash: _Hash
    log_index: _Number

    @property
    def log(self) -> Log:
        return Log(
            self.address,
            self.topics,
            self.data,
            self.block_number,
            self.block_hash,
            self.transaction_hash,
            self.log_index,
        )


class _Outcome(_Answer):
    transaction_hash: _Hash
    status: _Number
    block_number: _Number
    block_hash: _Hash
    gas_used: _Number
    logs: _Many[_PlacedLog]
    contract_address: _Address | None = None


class Transaction(_Answer):
    """The members of a transaction that are needed to run it again."""

    sender: _Address = Field(alias="from")
    to: _Address | None = None
    input: str = Field(pattern=r"^0x([0-9a-fA-F]{2})*$")
    value: str = Field(pattern=r"^0x[0-9a-fA-F]{1,64}$")
    gas: str = Field(pattern=r"^0x[0-9a-fA-F]{1,16}$")

    def request(self) -> dict[str, str]:
        """The parameter of ``eth_call``."""
        return self.model_dump(by_alias=True, exclude_none=True)


class _Fee(_Answer):
    base_fee_per_gas: _Quantity | None = None


_RECEIPTS = TypeAdapter(_Many[MinedReceipt])


def block_ref(found: Any) -> BlockRef | None:
    return None if found is None else Block.model_validate(found).ref


def header(found: Any) -> Header | None:
    return None if found is None else Header.model_validate(found)


def provable_block(found: Any) -> Mapping[str, Any] | None:
    """Check the form of a block and return it as the node sent it."""
    if found is not None:
        Header.model_validate(found)
    return found  # type: ignore[no-any-return]


def receipts(found: Any) -> tuple[MinedReceipt, ...]:
    """All receipts of a block; empty when the node does not have them."""
    return () if found is None else _RECEIPTS.validate_python(found)


def a_receipt(found: Any) -> MinedReceipt:
    return MinedReceipt.model_validate(found)


def provable_receipts(found: Any) -> tuple[Mapping[str, Any], ...]:
    """Check the form of receipts and return them as the node sent them."""
    receipts(found)
    return tuple(found)


def provable_receipt(found: Any) -> Mapping[str, Any]:
    MinedReceipt.model_validate(found)
    return found  # type: ignore[no-any-return]


def base_fee(found: Any) -> int | None:
    """The base fee in wei; None for a chain without one (before EIP-1559, or a network that does not use it)."""
    return _Fee.model_validate(found).base_fee_per_gas


def receipt(found: Any) -> Receipt | None:
    """The receipt without revert data; None while the transaction is not mined."""
    if found is None or (isinstance(found, dict) and found.get("blockHash") is None):
        return None
    read = _Outcome.model_validate(found)
    return Receipt(
        tx_hash=read.transaction_hash,
        status=read.status,
        block_number=read.block_number,
        block_hash=read.block_hash,
        gas_used=read.gas_used,
        logs=tuple(one.log for one in read.logs),
        contract_address=read.contract_address if read.status else None,
        revert_data=None,
    )


def transaction(found: Any) -> Transaction:
    return Transaction.model_validate(found)


def known(found: Any) -> bool:
    """Whether the node knows the queried object."""
    return found is not None


def anything(found: Any) -> Any:
    return found
