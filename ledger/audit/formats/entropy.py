"""Random bytes for salts, nonces and ids, read from the operating system 4 KiB at a time.

Each read from the system releases the interpreter's lock. Under load a thread may wait milliseconds to get the lock
back, so one read per salt would be slow. A forked child discards the inherited bytes, so two processes never use
the same ones.
"""

from __future__ import annotations

import os

BLOCK = 16
_BLOCKS_PER_READ = 256

_blocks: list[bytes] = []


def random_block() -> bytes:
    """16 bytes (128 bits) from the system's generator; no two calls return the same bytes of it."""
    while True:
        try:
            return _blocks.pop()
        except IndexError:
            data = os.urandom(BLOCK * _BLOCKS_PER_READ)
            _blocks.extend(data[i : i + BLOCK] for i in range(0, len(data), BLOCK))


os.register_at_fork(after_in_child=_blocks.clear)
