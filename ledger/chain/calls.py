"""The contract function and the signature slots for a signed message, found by the contracts' ABI.

Every governed act is a function that takes one EIP-712 message as a struct, its signatures, and sometimes unsigned
arguments. The ABI defines the parameters: the struct with the name of the message is the message; ``bytes`` and
``bytes[]`` parameters are signatures, each a *slot*; the others are *arguments*. The given slots and arguments determine
the function (``Terms`` with a ``chain`` of ancestors is a delegation, without it a grant).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from eth_hash.auto import keccak

from contracts.artifacts import eip712_messages, load
from ledger.chain.abi import abi_type
from ledger.chain.messages import Message, MessageError, UnknownMessage

Signatures = Mapping[str, tuple[bytes, ...]]
"""Signatures of 65 bytes by slot, in the order that the contract requires."""

S = TypeVar("S")
"""A signature, or the address of a signer."""

CONTRACTS = ("SharingLedger", "AuditAnchor", "CostPools", "Conditions")
"""The contracts of a deployment, in the order in which they are deployed."""

LATER = frozenset({"Conditions"})
"""Contracts that an older installation may not have, because they were added later."""

_STRUCT = re.compile(r"struct (?:\w+\.)?(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ActFunction:
    """A contract function that takes one type of message."""

    contract: str
    name: str
    type_name: str
    inputs: tuple[Mapping[str, Any], ...]
    message_at: int

    @property
    def slots(self) -> dict[str, bool]:
        """The names of the signature parameters, and whether each is a list.

        ``bytes[]`` is a list, and so is ``bytes`` with the name ``signatures``, which holds 65 bytes for each.
        """
        return {
            i["name"]: i["type"] == "bytes[]" or i["name"] == "signatures"
            for i in self.inputs
            if i["type"] in ("bytes", "bytes[]")
        }

    @property
    def arguments(self) -> frozenset[str]:
        """The names of the parameters that are neither message nor signatures."""
        return frozenset(
            i["name"]
            for n, i in enumerate(self.inputs)
            if n != self.message_at and i["name"] not in self.slots
        )

    @property
    def selector(self) -> bytes:
        """The first four bytes of the call."""
        return keccak(f"{self.name}({','.join(abi_type(i) for i in self.inputs)})".encode())[:4]


def functions_of(type_name: str) -> tuple[ActFunction, ...]:
    """The functions that take messages of this type; raises `UnknownMessage` when there is none."""
    try:
        return _functions()[type_name]
    except KeyError:
        raise UnknownMessage(f"no contract takes a message called {type_name[:60]!r}") from None


def act_types() -> tuple[str, ...]:
    """The message types that contract functions take, in alphabetical order."""
    return tuple(sorted(_functions()))


def arrange(
    type_name: str,
    message: Message,
    signatures: Sequence[S] | Mapping[str, Sequence[S]],
    arguments: Mapping[str, Any],
) -> tuple[ActFunction, Mapping[str, tuple[S, ...]]]:
    """The matching function, and the signatures (or signers) by slot; raises `MessageError` when no function matches.

    A plain list is assigned in the order of the function's parameters: one signature to each single slot, the others to the
    list. With two list slots, one has a known length: one possession for each seat of an admission, two signatures for a
    recovery. For a new council, a proposed admission and its activation, the caller must name the slots.
    """
    fitting = [f for f in functions_of(type_name) if f.arguments == set(arguments)]
    if not fitting:
        known = " or ".join(str(sorted(f.arguments)) for f in functions_of(type_name))
        raise MessageError(f"{type_name} takes the arguments {known}", pointer="/arguments")
    if isinstance(signatures, Mapping):
        named = {slot: tuple(given) for slot, given in signatures.items() if given}
        for function in fitting:
            if set(named) == set(function.slots) and _right_counts(function, named):
                return function, named
        known = " or ".join(str(sorted(f.slots)) for f in fitting)
        raise MessageError(f"{type_name} takes the signatures {known}", pointer="/signatures")
    for function in fitting:
        dealt = _deal(function, message, list(signatures))
        if dealt is not None and (len(fitting) == 1 or function.name == "admit"):
            return function, dealt
    raise MessageError(
        f"the signatures of {type_name} must be named",
        pointer="/signatures",
        hint=f"an object with {' or '.join(str(sorted(f.slots)) for f in fitting)}",
    )


# --------------------------------------------------------------------------- inside


def _right_counts(function: ActFunction, named: Mapping[str, Sequence[S]]) -> bool:
    return all(is_list or len(named[slot]) == 1 for slot, is_list in function.slots.items())


def _deal(function: ActFunction, message: Message, given: list[S]) -> Mapping[str, tuple[S, ...]] | None:
    """Assign to each slot its number of signatures, and the others to the one list of unknown length; None if impossible."""
    known = {"admit": {"possession": len(message.get("seats", ()))}, "startRecovery": {"signatures": 2}}
    counts = {slot: 1 for slot, is_list in function.slots.items() if not is_list}
    counts |= known.get(function.name, {})
    spare = len(given) - sum(counts.values())
    rest = [slot for slot in function.slots if slot not in counts]
    if not all(counts.values()) or len(rest) > 1 or spare < len(rest) or (not rest and spare):
        return None
    queue = iter(given)
    return {slot: tuple(next(queue) for _ in range(counts.get(slot, spare))) for slot in function.slots}


@cache
def _functions() -> Mapping[str, tuple[ActFunction, ...]]:
    found: dict[str, list[ActFunction]] = {}
    for contract in CONTRACTS:
        known = set(eip712_messages(contract))
        for item in load(contract).abi:
            if item["type"] != "function" or item["stateMutability"] not in ("nonpayable", "payable"):
                continue
            at = _message_at(item["inputs"], known)
            if at is not None:
                name = _struct_name(item["inputs"][at])
                assert name is not None
                function = ActFunction(contract, item["name"], name, tuple(item["inputs"]), at)
                found.setdefault(name, []).append(function)
    return {name: tuple(functions) for name, functions in found.items()}


def _message_at(inputs: Sequence[Mapping[str, Any]], known: set[str]) -> int | None:
    """The index of the first struct that is a message: the contracts take the signed message before re-supplied structs."""
    for at, parameter in enumerate(inputs):
        if _struct_name(parameter) in known:
            return at
    return None


def _struct_name(parameter: Mapping[str, Any]) -> str | None:
    found = _STRUCT.fullmatch(str(parameter.get("internalType", "")))
    return found[1] if found else None
