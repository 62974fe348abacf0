"""A recursion limit that is safe for the C stack.

py-evm and web3 import py_ecc, which sets Python's recursion limit to 100,000 for the whole process. With that limit, a JSON
document of nested brackets from any sender overflows the C stack and ends the process instead of raising
``RecursionError``. Modules that import one of them call ``bound_recursion`` afterwards.
"""

from __future__ import annotations

import sys

RECURSION_LIMIT = 12_000
"""The limit in Python frames. The deepest EVM calls within a block's gas (about 750 levels, EIP-150) use half of it, and a
stack of 8 MB is enough for three times as many."""


def bound_recursion() -> None:
    """Lower the recursion limit to `RECURSION_LIMIT` if it is higher."""
    if sys.getrecursionlimit() > RECURSION_LIMIT:
        sys.setrecursionlimit(RECURSION_LIMIT)
