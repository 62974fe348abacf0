"""Reading small files from other people (act files, trust files, receipts, key files) with a size limit.

A file of any length costs its maker nothing (a sparse file has no blocks), but would fill the reader's memory.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

MOST_BYTES = 64 << 20
"""The most bytes of a file, ten times an act file with the largest batch."""


def read_small(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a file; raises OSError (EFBIG) when it has more than ``most`` bytes."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a UTF-8 file; raises as `read_small`, and UnicodeDecodeError."""
    return read_small(path, most).decode("utf-8")
