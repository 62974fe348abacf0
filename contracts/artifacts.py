"""What was built from ``contracts/src``, read from the committed files: no compiler is needed to run.

``load("SharingLedger")`` gives ABI and creation code; ``eip712_types()`` and ``eip712_domain(name)`` give what an
officer's tool signs. ``python -m contracts.build --check`` proves that these files belong to the sources.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path(__file__).resolve().parent / "artifacts"


class ArtifactMissing(LookupError):
    """No such contract among the artifacts."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: ABI, creation code, bytes once deployed, and the first slot of each state variable."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    parts: dict[str, bytes]
    """Creation code of what has to be deployed before it, in this order."""
    deployed_size: int
    storage: dict[str, int]
    """For reading a slot without a call: ``_grants[id]`` lies at keccak256(id || storage["_grants"])."""

    def creation_codes(self) -> dict[str, bytes]:
        """Of its parts and of the contract itself, by name, in the order of deployment."""
        return {**self.parts, self.name: self.bytecode}


@cache
def load(name: str) -> Artifact:
    """``SharingLedger``, ``AuditAnchor`` or ``CostPools``. Raises ``ArtifactMissing`` for another name."""
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
    """Every EIP-712 struct type of every contract: name -> [{"name", "type"}], ``EIP712Domain`` included."""
    types: dict[str, list[dict[str, str]]] = _eip712()["types"]
    return types


def eip712_domain(name: str) -> dict[str, str]:
    """The fixed part (``name``, ``version``) of a contract's domain; chain id, address and salt are its own."""
    domains = _eip712()["domains"]
    if name not in domains:
        raise ArtifactMissing(f"there is no EIP-712 domain of a contract {name!r}")
    domain: dict[str, str] = domains[name]
    return domain


def eip712_messages(name: str) -> list[str]:
    """The types that a contract takes a signature over."""
    messages: list[str] = _eip712()["messages"][name]
    return messages
