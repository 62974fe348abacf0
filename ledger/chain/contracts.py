"""Our contracts as the rest of the ledger sees them: a deployment, its domains, its calls and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.artifacts import eip712_domain, load
from ledger.chain.calls import CONTRACTS, ActFunction, Signatures, arrange, encode_call, functions_of
from ledger.chain.client import Address, ChainClient
from ledger.chain.errors import ChainFault, ContractReverted, revert_reason
from ledger.chain.events import EventDecoder, abi_type, friendly
from ledger.chain.messages import Domain, Message, digest, normalise
from ledger.chain.transactions import Fees, address_of, contract_address, sign_transaction

GAS_MARGIN = 50_000


class DeploymentFailed(ChainFault):
    """A contract could not be deployed."""

    code = "chain.deployment"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where our contracts stand. ``salt`` (0x and 64 hex digits) is in every domain; ``block`` is the first of ours."""

    chain_id: int
    salt: str
    addresses: Mapping[str, Address]
    block: int

    def domain(self, contract: str) -> Domain:
        """The EIP-712 domain of ``SharingLedger``, ``AuditAnchor`` or ``CostPools``."""
        fixed = eip712_domain(contract)
        return Domain(
            fixed["name"], fixed["version"], self.chain_id, self.addresses[contract].lower(), self.salt
        )

    def domain_for(self, type_name: str) -> Domain:
        """The domain under which messages of this type are signed; `UnknownMessage`."""
        return self.domain(functions_of(type_name)[0].contract)

    def decoder(self) -> EventDecoder:
        """A decoder for this deployment's events."""
        return EventDecoder(self.addresses)

    def to_json(self) -> dict[str, Any]:
        """For the home directory's configuration and for clients."""
        return asdict(self) | {"addresses": dict(self.addresses)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Deployment:
        """The inverse of `to_json`."""
        return cls(
            int(document["chain_id"]),
            str(document["salt"]),
            {name: str(document["addresses"][name]) for name in CONTRACTS},
            int(document["block"]),
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction's destination and data; ``function`` names it for people."""

    contract: str
    function: str
    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class ContractError:
    """What a contract said when it refused: the name of its error and the values it carries."""

    name: str
    args: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.args.items())})"


def act_digest(deployment: Deployment, type_name: str, message: Message) -> bytes:
    """The 32 bytes that officers sign for this deployment."""
    return digest(deployment.domain_for(type_name), type_name, message)


def calldata(
    deployment: Deployment,
    type_name: str,
    message: Message,
    signatures: Sequence[bytes] | Mapping[str, Sequence[bytes]],
    arguments: Mapping[str, Any] | None = None,
) -> Call:
    """The call that carries a signed message; `MessageError` when message, signatures or arguments do not fit.

    ``signatures`` is a list in the order of the function's parameters, or an object by slot (see
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
    """As `calldata`, for what has been arranged already."""
    data = encode_call(function, message, signatures, arguments)
    return Call(function.contract, function.name, deployment.addresses[function.contract], data)


def simulate(client: ChainClient, call: Call, sender: Address) -> ContractError | None:
    """What the contract would say to this call now: None when it would take it."""
    try:
        client.call(call.to, call.data, sender=sender)
    except ContractReverted as refusal:
        return decode_revert(refusal.data)
    return None


def decode_revert(data: bytes) -> ContractError:
    """The error behind revert data; a reason in words becomes ``Error(reason=...)``."""
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
    """Deploy the three contracts and wait until they stand; `DeploymentFailed` when one does not.

    ``council`` are the members' addresses, ``threshold`` how many of them an act needs, ``guardian`` may pause,
    ``admission_delay`` is in seconds (0 only in development), ``shortest_window`` the least time in seconds in
    which a cost statement may be disputed, ``salt`` 0x-hex of 32 random bytes.
    """
    relayer = address_of(relayer_secret)
    nonce = client.nonce(relayer)
    addresses = {name: contract_address(relayer, nonce + n) for n, name in enumerate(CONTRACTS)}
    arguments: dict[str, dict[str, Any]] = {
        "SharingLedger": {
            "members": list(council),
            "threshold": threshold,
            "guardian": guardian,
            "admissionDelay": admission_delay,
            "salt_": bytes.fromhex(salt[2:]),
        },
        "AuditAnchor": {"departments_": addresses["SharingLedger"], "salt": bytes.fromhex(salt[2:])},
        "CostPools": {"departments_": addresses["SharingLedger"], "shortestWindow_": shortest_window},
    }
    blocks = []
    for offset, name in enumerate(CONTRACTS):
        data = load(name).bytecode + _constructor(name, arguments[name])
        try:
            gas = client.estimate_gas(None, data, sender=relayer) * 5 // 4 + GAS_MARGIN
        except ContractReverted as refusal:
            raise DeploymentFailed(f"{name}: {decode_revert(refusal.data)}") from refusal
        raw = sign_transaction(
            relayer_secret, client.chain_id, nonce + offset, None, data, gas, Fees(client.gas_price())
        )
        receipt = client.wait(client.send(raw), timeout)
        if receipt.reverted or receipt.contract_address != addresses[name]:
            raise DeploymentFailed(f"{name}: {decode_revert(receipt.revert_data or b'')}")
        blocks.append(receipt.block_number)
    return Deployment(client.chain_id, salt.lower(), addresses, min(blocks))


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
