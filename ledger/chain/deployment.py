"""The addresses of the contracts, and the digests that officers sign for them. It needs only Keccak-256 from the chain
packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ledger.chain.calls import CONTRACTS, LATER, functions_of
from ledger.chain.client import Address
from ledger.chain.messages import Domain, Message, MessageError, digest

FIRST_EDITION, SECOND_EDITION = 1, 2


class ContractMissing(MessageError):
    """The installation does not have this contract, because it was deployed before the contract was added."""

    code = "act.contract-missing"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The addresses of the contracts by name.

    ``salt`` (0x and 64 hex digits) is part of every EIP-712 domain. ``block`` is the first block with the contracts.
    ``edition`` is read by `ledger.chain.edition` and is not stored.
    """

    chain_id: int
    salt: str
    addresses: Mapping[str, Address]
    block: int
    edition: int = SECOND_EDITION

    def domain(self, contract: str) -> Domain:
        """The EIP-712 domain of one of `CONTRACTS`; raises `ContractMissing`."""
        return Domain.of(contract, self.chain_id, self.address(contract).lower(), self.salt)

    def address(self, contract: str) -> Address:
        """The address of one of `CONTRACTS`; raises `ContractMissing`."""
        found = self.addresses.get(contract)
        if found is None:
            raise ContractMissing(
                f"this installation was deployed without the contract {contract}",
                hint="it takes its messages once a new deployment has it",
            )
        return found

    def domain_for(self, type_name: str) -> Domain:
        """The domain under which messages of this type are signed; raises `UnknownMessage` or `ContractMissing`."""
        return self.domain(functions_of(type_name)[0].contract)

    def to_json(self) -> dict[str, Any]:
        """The JSON form for the configuration file and for clients."""
        document = asdict(self) | {"addresses": dict(self.addresses)}
        del document["edition"]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Deployment:
        """The inverse of `to_json`."""
        return cls(
            int(document["chain_id"]),
            str(document["salt"]),
            {
                name: str(document["addresses"][name])
                for name in CONTRACTS
                if name not in LATER or name in document["addresses"]
            },
            int(document["block"]),
        )


def act_digest(deployment: Deployment, type_name: str, message: Message) -> bytes:
    """The EIP-712 digest (32 bytes) that officers sign for this deployment."""
    return digest(deployment.domain_for(type_name), type_name, message)
