"""The committed build artifacts of ``contracts/src``; running needs no compiler.

``load("SharingLedger")`` returns ABI and creation code; ``eip712_types()`` and ``eip712_domain(name)`` return the types and
domains for signing. ``python -m contracts.build --check`` checks that the artifacts are those of the sources.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path(__file__).resolve().parent / "artifacts"


class ArtifactMissing(LookupError):
    """There is no artifact of this contract."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: ABI, creation code, size of the deployed code in bytes, and the first slot of each state variable."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    parts: dict[str, bytes]
    """The creation code of the contracts that must be deployed before it, in this order."""
    deployed_size: int
    storage: dict[str, int]
    """The slots, for reading storage without a call: ``_grants[id]`` is at keccak256(id || storage["_grants"])."""

    def creation_codes(self) -> dict[str, bytes]:
        """The creation code of the parts and of the contract, by name, in the order of deployment."""
        return {**self.parts, self.name: self.bytecode}


@cache
def load(name: str) -> Artifact:
    """The artifact of a contract such as ``SharingLedger``. Raises ``ArtifactMissing``."""
    path = DIRECTORY / f"{name}.json"
    if not name.isidentifier() or not path.is_file():
        raise ArtifactMissing(f"there is no artifact of a contract {name!r} in {DIRECTORY}")
    document = json.loads(path.read_text("utf-8"))
    return Artifact(
        name,
        document["abi"],
        _code(document["bytecode"]),
        {part: _code(text) for part, text in document["parts"].items()},
        document["deployedSize"],
        document["storage"],
    )


def _code(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@cache
def _eip712() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DIRECTORY / "eip712.json").read_text("utf-8"))
    return document


def eip712_types() -> dict[str, list[dict[str, str]]]:
    """The EIP-712 struct types of all contracts, with ``EIP712Domain``: name -> [{"name", "type"}]."""
    types: dict[str, list[dict[str, str]]] = _eip712()["types"]
    return types


def eip712_domain(name: str) -> dict[str, str]:
    """The constant part (``name``, ``version``) of a contract's domain; chain id, address and salt depend on the deployment."""
    domains = _eip712()["domains"]
    if name not in domains:
        raise ArtifactMissing(f"there is no EIP-712 domain of a contract {name!r}")
    domain: dict[str, str] = domains[name]
    return domain


def eip712_messages(name: str) -> list[str]:
    """The types of signed messages that a contract accepts."""
    messages: list[str] = _eip712()["messages"][name]
    return messages
