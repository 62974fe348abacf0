"""Files that people hand over: act files, trust files, receipts, key files. None is longer than it can mean to be.

A file costs its maker nothing, however long it says it is (a sparse one has no blocks), and would fill the reader's memory.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

MOST_BYTES = 64 << 20
"""An act file of the largest batch has a tenth of that."""


def read_small(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file; OSError (EFBIG) when it has more than ``most``."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The same as UTF-8 text; UnicodeDecodeError otherwise."""
    return read_small(path, most).decode("utf-8")
