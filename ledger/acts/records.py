"""What the rules on signatures ask of the records, and the answer of the projection.

A client answers the same from what the service publishes (``api.sdk.published``), so that both judge by one set of rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeatedCouncil:
    """The council in office: ``threshold`` of the ``members`` sign, the ``guardian`` may pause. Epoch 0: there is none."""

    epoch: int = 0
    members: tuple[str, ...] = ()
    threshold: int = 0
    guardian: str = ""


class Records(Protocol):
    """What is on record; None where nothing is. Numbers are those of ``contracts.codes``, times unix seconds."""

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
        """``roles``, ``not_before`` and ``removed`` of a service key; ``key`` as messages have it."""

    def condition(self, number: int) -> int | None:
        """The status of a condition."""
