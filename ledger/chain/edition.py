"""The edition of an installation's contracts.

Contracts of the first edition have another signature domain, other events and another storage layout. For them this version
reads service keys and anchors the log; it accepts no acts and releases no data (docs/decisions/0011, docs/upgrading.md).
"""

from __future__ import annotations

from dataclasses import replace

from eth_hash.auto import keccak

from ledger.chain.client import ChainClient
from ledger.chain.deployment import FIRST_EDITION, Deployment
from ledger.chain.errors import ChainError, ContractReverted
from ledger.chain.messages import domain_separator

_ASKED = keccak(b"domainSeparator()")[:4]
LEDGER = "SharingLedger"


class FirstEdition(ChainError):
    """The contracts of this installation are of the first edition. Acts and releases need the second edition."""

    code = "contracts.first-edition"

    def __init__(self) -> None:
        super().__init__(
            "the contracts of this installation are of the first edition: its log is served, nothing else",
            hint="this home stays as the archive of its log; begin a new one with civic init, where acts are signed"
            " again: docs/upgrading.md",
        )


def with_edition(client: ChainClient, deployment: Deployment) -> Deployment:
    """The deployment with its edition, which is detected by the domain separator of the ledger contract."""
    old = replace(deployment.domain(LEDGER), version=str(FIRST_EDITION))
    try:
        separator = client.call(deployment.address(LEDGER), _ASKED)
    except ContractReverted:
        return deployment
    return replace(deployment, edition=FIRST_EDITION) if separator == domain_separator(old) else deployment


def must_be_second(deployment: Deployment) -> None:
    """Raise `FirstEdition` for contracts of the first edition."""
    if deployment.edition == FIRST_EDITION:
        raise FirstEdition
