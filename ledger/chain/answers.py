"""What a node sends, read. ValueError, TypeError, LookupError or AttributeError when it is something else.

A node, or whatever answers in its place, may send anything: what goes on from here has the form that it should have, and
numbers that dates and databases can hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eth_utils.address import to_checksum_address

from ledger.chain.client import Address, BlockRef, Log, Receipt

_MOST_NUMBER = (1 << 63) - 1
"""The highest number of a block, and of whatever else a database takes down."""
_MOST_TIME = 253_402_300_799
"""The last second that a date can name."""
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


def block_ref(found: Any) -> BlockRef | None:
    if found is None:
        return None
    return BlockRef(
        number=number(found["number"]),
        hash=_hash(found["hash"]),
        parent_hash=_hash(found["parentHash"]),
        timestamp=number(found["timestamp"], _MOST_TIME),
    )


def base_fee(block: Any) -> int:
    return quantity(block.get("baseFeePerGas") or "0x0")


def receipt(found: Any) -> Receipt | None:
    """Without what a contract said when it reverted."""
    if found is None or found.get("blockHash") is None:
        return None
    status, created = number(found["status"]), found.get("contractAddress")
    return Receipt(
        tx_hash=_hash(found["transactionHash"]),
        status=status,
        block_number=number(found["blockNumber"]),
        block_hash=_hash(found["blockHash"]),
        gas_used=number(found["gasUsed"]),
        logs=tuple(logs(found["logs"])),
        contract_address=_address(created) if created and status else None,
        revert_data=None,
    )


def logs(found: Any) -> list[Log]:
    return [_log(log) for log in found]


def _log(found: Any) -> Log:
    return Log(
        address=_address(found["address"]),
        topics=tuple(_hash(topic) for topic in found["topics"]),
        data=data(found["data"]),
        block_number=number(found["blockNumber"]),
        block_hash=_hash(found["blockHash"]),
        tx_hash=_hash(found["transactionHash"]),
        log_index=number(found["logIndex"]),
    )


def an_object(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def objects(found: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(an_object(one) for one in found)


def with_transactions(found: Any) -> Mapping[str, Any] | None:
    if found is None:
        return None
    for one in an_object(found)["transactions"]:
        _hash(one)
    return an_object(found)


def anything(found: Any) -> Any:
    return found


def number(text: Any, most: int = _MOST_NUMBER) -> int:
    number = quantity(text)
    if number > most:
        raise ValueError("the number is too large")
    return number


def quantity(text: Any) -> int:
    if _QUANTITY.fullmatch(text) is None:
        raise ValueError("no number")
    return int(text, 16)


def _hash(text: Any) -> str:
    if _HASH.fullmatch(text) is None:
        raise ValueError("no hash")
    return str(text).lower()


def word(text: Any) -> bytes:
    word = data(text)
    if len(word) > 32:
        raise ValueError("more than a word")
    return word.rjust(32, b"\x00")


def data(text: Any) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError("no bytes")
    return bytes.fromhex(text[2:])


def _address(text: Any) -> Address:
    return str(to_checksum_address(text))
