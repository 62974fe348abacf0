"""All mutants, compiled together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from .mutants import MUTANTS
from .rules_beside import ANCHORS, CLOSING, MONEY
from .rules_grants import DERIVATION, LIFE, RECORDING
from .rules_handover import HAND_OVER
from .rules_offices import BITS, COUNCIL, PEOPLE
from .rules_second import SECOND
from .switch import Broken, compiled

RULES: Final = (
    *RECORDING,
    *LIFE,
    *BITS,
    *DERIVATION,
    *COUNCIL,
    *PEOPLE,
    *ANCHORS,
    *CLOSING,
    *MONEY,
    *HAND_OVER,
    *SECOND,
)
ALL: Final[tuple[Broken, ...]] = (*MUTANTS, *RULES)


@cache
def creation_codes(contract: str, folder: Path) -> Mapping[str, bytes]:
    """A contract with all its mutants, and its parts; compiled once and kept in ``folder``."""
    return compiled(contract, ALL, folder)
