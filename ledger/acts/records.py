"""The interface between the rules on signatures and the records.

The service implements it with the projection (`ledger.acts.projected`), a client with the service's published records
(``api.sdk.published``), so that both use the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeatedCouncil:
    """The council in office. ``threshold`` of the ``members`` must sign; the ``guardian`` may pause. Epoch 0: no council."""

    epoch: int = 0
    members: tuple[str, ...] = ()
    threshold: int = 0
    guardian: str = ""


class Records(Protocol):
    """Lookups in the records; None for what is not recorded. Codes are those of ``contracts.codes``, times unix seconds."""

    def seat(self, address: str) -> Row | None:
        """``department``, ``roles``, ``flags``, ``not_before``, ``not_after`` and ``successor`` of an officer or machine."""

    def council(self) -> SeatedCouncil:
        """The council in office."""

    def department(self, number: int) -> Row | None:
        """``standing`` and ``recovery`` of an admitted department."""

    def asset(self, number: int) -> Row | None:
        """``holder``, ``processor``, ``operator`` and ``grade`` of an asset."""

    def grant(self, grant_id: str) -> Row | None:
        """``id``, ``asset`` (text), ``right``, ``grantee``, ``parent``, ``kind``, ``state`` and ``uses`` of a grant."""

    def service_key(self, department: int, key: str) -> Row | None:
        """``roles``, ``not_before`` and ``removed`` of a service key; ``key`` has the form of the messages."""

    def condition(self, number: int) -> int | None:
        """The status of a condition."""
