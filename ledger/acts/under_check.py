"""The input of the rules on signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.acts.authority import SignerRules
from ledger.chain.client import Address
from ledger.chain.messages import Message


@dataclass(frozen=True, slots=True)
class ActUnderCheck:
    """An act with the signers of each slot (EIP-55 addresses), and the checks that its rule uses."""

    rules: SignerRules
    message: Message
    arguments: Mapping[str, Any]
    signers: Mapping[str, tuple[Address, ...]]

    @property
    def everyone(self) -> list[Address]:
        """The signers of every slot, in order."""
        return [signer for slot in self.signers.values() for signer in slot]
