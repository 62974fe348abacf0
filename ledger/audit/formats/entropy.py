"""Random bytes for salts, nonces and ids, taken from the system 4 KiB at a time.

Asking the system lets go of the interpreter's lock; under load a thread may wait milliseconds to get it back, for
every salt of every call. A forked child drops what it inherited, so no two processes hand out the same bytes.
"""

from __future__ import annotations

import os

BLOCK = 16
_AT_ONCE = 256

_blocks: list[bytes] = []


def random_block() -> bytes:
    """16 bytes (128 bits) from the system's generator, handed out once."""
    while True:
        try:
            return _blocks.pop()
        except IndexError:
            data = os.urandom(BLOCK * _AT_ONCE)
            _blocks.extend(data[i : i + BLOCK] for i in range(0, len(data), BLOCK))


os.register_at_fork(after_in_child=_blocks.clear)
