"""EIP-712: the messages that officers and machines sign, and their digests.

The types come from ``contracts/artifacts/eip712.json``, which the contracts' build writes, so this module and the contracts
always have the same types. The module is pure and imports neither web3 nor eth-account.

A message is a JSON object. Integers are JSON integers, and beyond 2**53 - 1, where another language's JSON cannot hold
them, also decimal text; ``bytes32`` and ``bytes`` are 0x and lower-case hex; ``address`` is 0x-hex, in lower case or with
its checksum (EIP-55); structs are objects; arrays are lists.
The whole message is checked before hashing: an unknown, missing or out-of-range member raises `MessageError` with its JSON
pointer. Source of the encoding: EIP-712, "Definition of hashStruct" and "encodeData".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from eth_hash.auto import keccak

from contracts.artifacts import eip712_domain, eip712_types
from ledger.errors import LedgerError
from ledger.ids import IdError, parse_address

Message = Mapping[str, Any]

_INTEGER = re.compile(r"(u?)int(\d{1,3})", re.ASCII)
_FIXED = re.compile(r"bytes(\d{1,2})", re.ASCII)
_ARRAY = re.compile(r"(.+)\[\]", re.ASCII)
_DECIMAL = re.compile(r"0|-?[1-9]\d{0,77}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
MAX_JSON_INTEGER = 2**53 - 1
"""The largest integer that all JSON readers represent exactly (RFC 7493, 2.2)."""
MAX_ITEMS = 1_000
"""The most items of an array; a longer batch would not fit into a block."""
MAX_TEXT = 10_000


class MessageError(LedgerError):
    """A message is not of its type; ``pointer`` is the RFC 6901 JSON pointer of the offending member."""

    code = "act.message"

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message, hint=hint)
        self.pointer = pointer


class UnknownMessage(MessageError):
    """There is no message type of this name."""

    code = "act.unknown"


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain: one deployment of one contract on one chain. ``salt`` is 0x-hex of 32 random bytes."""

    name: str
    version: str
    chain_id: int
    contract: str
    salt: str

    @classmethod
    def of(cls, name: str, chain_id: int, contract: str, salt: str) -> Domain:
        """The domain of the contract with this ``name`` at the address ``contract``."""
        fixed = eip712_domain(name)
        return cls(fixed["name"], fixed["version"], chain_id, contract, salt)


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a struct: its name and Solidity type."""

    name: str
    type: str


def type_names() -> tuple[str, ...]:
    """Every message type, in alphabetical order."""
    return tuple(sorted(_types()))


def fields(type_name: str) -> tuple[Field, ...]:
    """The members of a type in the order of hashing; raises `UnknownMessage`."""
    try:
        return _types()[type_name]
    except KeyError:
        raise UnknownMessage(f"there is no message called {type_name[:60]!r}") from None


def digest(domain: Domain, type_name: str, message: Message) -> bytes:
    """The 32 bytes to sign: keccak(0x1901 || domain separator || struct hash). Raises `MessageError`."""
    return keccak(b"\x19\x01" + domain_separator(domain) + struct_hash(type_name, message))


def struct_hash(type_name: str, message: Message) -> bytes:
    """hashStruct of EIP-712, 32 bytes. Raises `MessageError`."""
    return _hash(type_name, normalise(type_name, message))


def record_id(type_name: str, message: Message) -> str:
    """The struct hash as 0x-hex. It is the id of the record that a message creates on chain, such as a grant of ``Terms``."""
    return "0x" + struct_hash(type_name, message).hex()


def normalise(type_name: str, message: Message) -> dict[str, Any]:
    """The message with every value in its canonical form (integers as int, hex in lower case); raises `MessageError`."""
    return _struct(type_name, message, "")


@lru_cache(maxsize=64)
def domain_separator(domain: Domain) -> bytes:
    """hashStruct of the domain, 32 bytes; the domain type has all five members."""
    head = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    values = {"chain": domain.chain_id, "contract": domain.contract, "salt": domain.salt}
    return keccak(
        keccak(head)
        + keccak(domain.name.encode())
        + keccak(domain.version.encode())
        + _word("uint256", _value("uint256", values["chain"], "/domain/chainId"))
        + _word("address", _value("address", values["contract"], "/domain/verifyingContract"))
        + _word("bytes32", _value("bytes32", values["salt"], "/domain/salt"))
    )


@cache
def type_hash(type_name: str) -> bytes:
    """keccak of encodeType: the type, followed by the referenced structs in alphabetical order."""
    names = [type_name, *sorted(_referred(type_name) - {type_name})]
    text = "".join(f"{name}({','.join(f'{f.type} {f.name}' for f in fields(name))})" for name in names)
    return keccak(text.encode())


def check_value(kind: str, value: object, pointer: str) -> Any:
    """A value of an elementary Solidity type in its canonical form; raises `MessageError` with ``pointer``."""
    return _value(kind, value, pointer)


# --------------------------------------------------------------------------- checking


def _struct(type_name: str, message: object, pointer: str) -> dict[str, Any]:
    members = fields(type_name)
    if not isinstance(message, Mapping):
        raise MessageError(f"{type_name} is a JSON object", pointer=pointer)
    known = {member.name for member in members}
    for name in message:
        if name not in known:
            raise MessageError(
                f"{type_name} has no member of this name",
                pointer=f"{pointer}/{name}",
                hint=f"it has {sorted(known)}",
            )
    for name in known:
        if name not in message:
            raise MessageError(f"{type_name} needs this member", pointer=f"{pointer}/{name}")
    return {m.name: _value(m.type, message[m.name], f"{pointer}/{m.name}") for m in members}


def _value(kind: str, value: object, pointer: str) -> Any:
    if array := _ARRAY.fullmatch(kind):
        if not isinstance(value, list | tuple):
            raise MessageError("a list is expected", pointer=pointer)
        if len(value) > MAX_ITEMS:
            raise MessageError(f"a list has at most {MAX_ITEMS} items", pointer=pointer)
        return [_value(array[1], item, f"{pointer}/{i}") for i, item in enumerate(value)]
    if kind in _types():
        return _struct(kind, value, pointer)
    if integer := _INTEGER.fullmatch(kind):
        return _integer(bool(integer[1]), int(integer[2]), value, pointer)
    if kind == "bool":
        if not isinstance(value, bool):
            raise MessageError("true or false is expected", pointer=pointer)
        return value
    if not isinstance(value, str):
        raise MessageError("text is expected", pointer=pointer)
    if kind == "string":
        return _text(value, pointer)
    return _hex(kind, value, pointer)


def _integer(unsigned: bool, bits: int, value: object, pointer: str) -> int:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
        if abs(value) <= MAX_JSON_INTEGER:
            raise MessageError("a number up to 2**53 - 1 is a JSON integer, not text", pointer=pointer)
    if not isinstance(value, int) or isinstance(value, bool):
        raise MessageError("an integer is expected", pointer=pointer)
    low, high = (0, 1 << bits) if unsigned else (-(1 << bits - 1), 1 << bits - 1)
    if not low <= value < high:
        raise MessageError(
            f"an integer of {bits} bits with{'out' if unsigned else ''} a sign is expected", pointer=pointer
        )
    return value


def _text(value: str, pointer: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MessageError("the text has half a surrogate pair", pointer=pointer) from None
    if len(value) > MAX_TEXT:
        raise MessageError(f"a text has at most {MAX_TEXT} characters", pointer=pointer)
    return value


def _hex(kind: str, value: str, pointer: str) -> str:
    if not (_ADDRESS if kind == "address" else _HEX).fullmatch(value):
        raise MessageError(
            "0x and 40 hex digits are expected"
            if kind == "address"
            else "0x and an even number of lower-case hex digits are expected",
            pointer=pointer,
        )
    fixed = _FIXED.fullmatch(kind)
    size = int(fixed[1]) if fixed else None
    if size is not None and len(value) != 2 + 2 * size:
        raise MessageError(f"0x and {2 * size} hex digits are expected", pointer=pointer)
    if kind == "address" and value != value.lower():
        try:
            parse_address(value)
        except IdError as other:
            raise MessageError(
                "the address does not have its checksum (EIP-55)", pointer=pointer, hint=other.hint
            ) from other
    return value.lower()


# --------------------------------------------------------------------------- hashing


def _hash(type_name: str, message: Message) -> bytes:
    words = b"".join(_word(member.type, message[member.name]) for member in fields(type_name))
    return keccak(type_hash(type_name) + words)


def _word(kind: str, value: Any) -> bytes:
    """encodeData of one member: 32 bytes."""
    if array := _ARRAY.fullmatch(kind):
        return keccak(b"".join(_word(array[1], item) for item in value))
    if kind in _types():
        return _hash(kind, value)
    if kind == "string":
        return keccak(str(value).encode())
    if kind == "bytes":
        return keccak(bytes.fromhex(value[2:]))
    if kind == "address":
        return bytes(12) + bytes.fromhex(value[2:])
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:]).ljust(32, b"\0")
    return (int(value) % (1 << 256)).to_bytes(32)


def _referred(type_name: str) -> set[str]:
    found = {type_name}
    for member in fields(type_name):
        inner = member.type.removesuffix("[]")
        if inner in _types() and inner not in found:
            found |= _referred(inner)
    return found


@cache
def _types() -> Mapping[str, tuple[Field, ...]]:
    return {
        name: tuple(Field(member["name"], member["type"]) for member in members)
        for name, members in eip712_types().items()
        if name != "EIP712Domain"
    }
