"""Events of the contracts: logs are decoded into frozen values with the ABI in the build's artifacts.

The values of an event fit JSON: unsigned integers are ints, ``bytes32`` and ``bytes`` 0x-hex in lower case,
addresses as 0x-hex with the EIP-55 checksum, structs as dicts, arrays as lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.artifacts import load
from ledger.chain.abi import abi_type
from ledger.chain.client import Address, Hash32, Log, TxHash
from ledger.chain.errors import ChainFault
from ledger.ids import checksummed

ENTRIES = UUID("6f2d0c7e-6a5b-5d0e-9a53-3c1f6f0b7d11")
"""The UUID namespace for the ids of audit entries of events."""


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded event and its position on the chain. ``block_time`` is in unix seconds."""

    name: str
    contract: str
    args: Mapping[str, Any]
    block_number: int
    block_hash: Hash32
    block_time: int
    tx_hash: TxHash
    log_index: int


def entry_id(chain_id: int, tx_hash: TxHash, log_index: int) -> UUID:
    """The id of the audit entry of an event: UUIDv5 over chain, transaction and log index."""
    return uuid5(ENTRIES, f"{chain_id}:{tx_hash}:{log_index}")


class UnknownEvent(ChainFault):
    """A log that is not in the ABI: there are other contracts at these addresses."""

    code = "chain.unknown_event"


class EventDecoder:
    """Decodes logs of one deployment; ``contracts`` maps the contract's name to its address."""

    def __init__(self, contracts: Mapping[str, Address]) -> None:
        self._names = {address: name for name, address in contracts.items()}
        self._shapes = {name: shapes(name) for name in contracts}

    @property
    def addresses(self) -> list[Address]:
        """The addresses whose logs are decoded."""
        return list(self._names)

    def decode(self, log: Log, block_time: int) -> Event:
        """Decode one log; raises `UnknownEvent` when it is of another contract or not in the ABI."""
        contract = self._names.get(log.address)
        shape = self._shapes.get(contract, {}).get(log.topics[0] if log.topics else "") if contract else None
        if contract is None or shape is None:
            raise UnknownEvent(
                f"block {log.block_number}, log {log.log_index}: no event of {contract or log.address}"
            )
        return Event(
            shape.name,
            contract,
            shape.read(log.topics[1:], log.data),
            log.block_number,
            log.block_hash,
            block_time,
            log.tx_hash,
            log.log_index,
        )


@dataclass(frozen=True, slots=True)
class EventShape:
    """One event of an ABI: its members in order, and which of them are indexed (topics)."""

    name: str
    topic: Hash32
    members: tuple[tuple[str, Mapping[str, Any], bool], ...]
    """name, ABI parameter, whether it is indexed"""
    plain_types: tuple[str, ...]

    def read(self, topics: Sequence[Hash32], data: bytes) -> dict[str, Any]:
        """The arguments by name."""
        try:
            plain = iter(decode(self.plain_types, data))
        except DecodingError as error:
            raise UnknownEvent(f"the data of {self.name} do not decode: {error}") from error
        indexed = iter(topics)
        found: dict[str, Any] = {}
        for name, parameter, is_topic in self.members:
            if is_topic:
                word = bytes.fromhex(next(indexed)[2:])
                found[name] = friendly(parameter, decode((abi_type(parameter),), word)[0])
            else:
                found[name] = friendly(parameter, next(plain))
        return found


@cache
def shapes(contract: str) -> Mapping[Hash32, EventShape]:
    """The events of a contract, by topic."""
    return {shape.topic: shape for shape in _shapes(load(contract).abi)}


def _shapes(abi: Sequence[Mapping[str, Any]]) -> Iterable[EventShape]:
    for item in abi:
        if item["type"] == "event":
            inputs = item["inputs"]
            signature = f"{item['name']}({','.join(abi_type(i) for i in inputs)})"
            yield EventShape(
                item["name"],
                "0x" + keccak(signature.encode()).hex(),
                tuple((i["name"], i, bool(i["indexed"])) for i in inputs),
                # Strings are decoded as bytes first: invalid UTF-8 must not stop the follower.
                tuple(abi_type(i).replace("string", "bytes") for i in inputs if not i["indexed"]),
            )


def friendly(parameter: Mapping[str, Any], value: Any) -> Any:
    """A decoded value in the form of the module's docstring."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        inner = {**parameter, "type": kind[:-2]}
        return [friendly(inner, item) for item in value]
    if kind == "tuple":
        return {c["name"]: friendly(c, item) for c, item in zip(parameter["components"], value, strict=True)}
    if kind == "address":
        return checksummed(bytes.fromhex(value[2:]))
    if kind == "string":
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value
