"""Values of the contracts that mean "none", and the limits that the contracts set."""

from __future__ import annotations

NOTHING = "0x" + "00" * 32
"""The zero hash: in a hash or an id it means "none"."""

MAX_ANCESTORS = 256
"""The most ancestors of a delegated grant."""

GWEI = 10**9
MOST_FEE = 500 * GWEI
"""The default maximum fee in wei per gas, as protection against a mistake."""
