"""A limit on recursion that C code can bear.

py-evm and web3 import py_ecc, which sets Python's recursion limit to 100,000 for the whole process. From then on
a JSON document of nested brackets, sent by anybody, overflows the C stack and kills the process instead of raising
``RecursionError``. Whoever imports one of them calls ``bound_recursion`` after it.
"""

from __future__ import annotations

import sys

RECURSION_LIMIT = 12_000
"""Python frames. The deepest calls that a block's gas allows (about 750 levels, EIP-150) use half of this, and a
stack of 8 MB holds three times as much."""


def bound_recursion() -> None:
    """Set the limit back where it was raised beyond what the stack can hold."""
    if sys.getrecursionlimit() > RECURSION_LIMIT:
        sys.setrecursionlimit(RECURSION_LIMIT)
