"""An act before the rules: its message, who signed which slot, and the bench that judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.acts.authority import SignerRules
from ledger.chain.client import Address
from ledger.chain.messages import Message


@dataclass(frozen=True, slots=True)
class ActUnderCheck:
    """An act, who signed each slot, and the bench that judges them."""

    bench: SignerRules
    message: Message
    arguments: Mapping[str, Any]
    signers: Mapping[str, tuple[Address, ...]]

    @property
    def everyone(self) -> list[Address]:
        """The signers of every slot, in order."""
        return [signer for slot in self.signers.values() for signer in slot]
