"""Numbers of the contracts that mean "none" or "no limit", and the limits that the contracts set."""

from __future__ import annotations

NOTHING = "0x" + "00" * 32
"""In a hash or an id: there is none."""

MAX_ANCESTORS = 256
"""The most grants above a delegated one."""

GWEI = 10**9
MOST_FEE = 500 * GWEI
"""Wei per gas that nobody pays by mistake."""
