"""Deploying and calling the contracts, and decoding their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.artifacts import load
from ledger.chain.abi import abi_type
from ledger.chain.call_data import encode_call
from ledger.chain.calls import CONTRACTS, ActFunction, Signatures, arrange
from ledger.chain.client import Address, ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.errors import ChainFault, ContractReverted, revert_reason
from ledger.chain.events import friendly
from ledger.chain.messages import Message, normalise
from ledger.chain.transactions import address_of, contract_address, sign_transaction

GAS_MARGIN = 50_000


class DeploymentFailed(ChainFault):
    """A contract could not be deployed."""

    code = "chain.deployment"


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction's destination and data; ``contract`` and ``function`` are names for messages."""

    contract: str
    function: str
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class ContractError:
    """An error of a contract: its name and its values."""

    name: str
    args: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.args.items())})"


def calldata(
    deployment: Deployment,
    type_name: str,
    message: Message,
    signatures: Sequence[bytes] | Mapping[str, Sequence[bytes]],
    arguments: Mapping[str, Any] | None = None,
) -> Call:
    """The call of a signed message; raises `MessageError` when message, signatures or arguments do not match a function.

    ``signatures`` is a list in the order of the function's parameters, or a mapping by slot (see
    `ledger.chain.calls.arrange`).
    """
    checked = normalise(type_name, message)
    function, named = arrange(type_name, checked, signatures, arguments or {})
    return call_of(deployment, function, checked, named, arguments or {})


def call_of(
    deployment: Deployment,
    function: ActFunction,
    message: Message,
    signatures: Signatures,
    arguments: Mapping[str, Any],
) -> Call:
    """`calldata` for a function and signatures that `arrange` returned."""
    data = encode_call(function, message, signatures, arguments)
    return Call(function.contract, function.name, deployment.address(function.contract), data)


def simulate(
    client: ChainClient, call: Call, sender: Address, block: int | None = None
) -> ContractError | None:
    """Run a call without sending it, on the newest state or that after ``block``. None if it is accepted."""
    try:
        client.call(call.to, call.data, block, sender=sender)
    except ContractReverted as refusal:
        return decode_revert(refusal.data)
    return None


NO_REASON = ContractError("Error", {"reason": revert_reason(b"")})
"""The error of a call that reverted without data: a called address is not a contract, or not the expected one."""


def decode_revert(data: bytes) -> ContractError:
    """Decode revert data; a reason text becomes ``Error(reason=...)``."""
    known = _errors().get(data[:4])
    if known is None:
        return ContractError("Error", {"reason": revert_reason(data)})
    name, inputs = known
    try:
        values = decode([abi_type(i) for i in inputs], data[4:])
    except DecodingError:
        return ContractError("Error", {"reason": revert_reason(data)})
    return ContractError(name, {i["name"]: friendly(i, v) for i, v in zip(inputs, values, strict=True)})


def deploy(
    client: ChainClient,
    relayer_secret: bytes,
    *,
    council: Sequence[Address],
    threshold: int,
    guardian: Address,
    salt: str,
    admission_delay: int = 0,
    shortest_window: int = 86_400,
    timeout: float = 60.0,
) -> Deployment:
    """Deploy the contracts, the parts of the ledger first, and wait until they are mined; raises `DeploymentFailed`.

    No other process may send with this relayer's key at the same time: the parts contain the ledger's address, which is
    computed from the relayer's nonce, and the ledger's constructor refuses parts with another address.

    ``council`` are the members' addresses, ``threshold`` is how many of them must sign, ``guardian`` may pause.
    ``admission_delay`` is in seconds (0 only in development). ``shortest_window`` is the shortest time in seconds for
    disputing a cost statement. ``salt`` is 0x-hex of 32 random bytes. ``timeout`` is in seconds.
    """
    relayer = address_of(relayer_secret)
    nonce = client.nonce(relayer)
    codes = {part: code for name in CONTRACTS for part, code in load(name).creation_codes().items()}
    addresses = {name: contract_address(relayer, nonce + n) for n, name in enumerate(codes)}
    ledger, word = addresses["SharingLedger"], bytes.fromhex(salt[2:])
    parts = ["0x" + "00" * 20, *(addresses[part] for part in load("SharingLedger").parts)]
    arguments = {
        part: encode(["bytes32", "address", "address"], [word, ledger, behind])
        for part, behind in zip(load("SharingLedger").parts, parts, strict=False)
    } | {
        "SharingLedger": _constructor(
            "SharingLedger",
            {
                "members": list(council),
                "threshold": threshold,
                "guardian": guardian,
                "admissionDelay": admission_delay,
                "salt_": word,
                "firstPart_": parts[-1],
            },
        ),
        "AuditAnchor": _constructor("AuditAnchor", {"departments_": ledger}),
        "CostPools": _constructor("CostPools", {"departments_": ledger, "shortestWindow_": shortest_window}),
        "Conditions": _constructor("Conditions", {"ledger_": ledger}),
    }
    blocks = []
    for offset, (name, code) in enumerate(codes.items()):
        data = code + arguments[name]
        try:
            gas = client.estimate_gas(None, data, sender=relayer) * 5 // 4 + GAS_MARGIN
        except ContractReverted as refusal:
            raise DeploymentFailed(f"{name}: {decode_revert(refusal.data)}") from refusal
        raw = sign_transaction(
            relayer_secret, client.chain_id, nonce + offset, None, data, gas, client.fees()
        )
        receipt = client.wait(client.send(raw), timeout)
        if receipt.reverted or receipt.contract_address != addresses[name]:
            raise DeploymentFailed(f"{name}: {decode_revert(receipt.revert_data or b'')}")
        blocks.append(receipt.block_number)
    return Deployment(
        client.chain_id, salt.lower(), {name: addresses[name] for name in CONTRACTS}, min(blocks)
    )


def _constructor(name: str, arguments: Mapping[str, Any]) -> bytes:
    inputs = next(item["inputs"] for item in load(name).abi if item["type"] == "constructor")
    return bytes(encode([abi_type(i) for i in inputs], [arguments[i["name"]] for i in inputs]))


@cache
def _errors() -> Mapping[bytes, tuple[str, Sequence[Mapping[str, Any]]]]:
    found: dict[bytes, tuple[str, Sequence[Mapping[str, Any]]]] = {}
    for contract in CONTRACTS:
        for item in load(contract).abi:
            if item["type"] == "error":
                signature = f"{item['name']}({','.join(abi_type(i) for i in item['inputs'])})"
                found[keccak(signature.encode())[:4]] = (item["name"], item["inputs"])
    return found
