"""Protection of the memory of processes with keys or personal data.

Without it, a crash or a signal by the same user writes all keys to a core file, and another process of that user can read them
from ``/proc/PID/mem``. With it only the superuser can read the memory. A core limit of zero would not be sufficient, because
the kernel may pass core files to a program.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Prevent core files of this process, and access to its memory by other processes of its user (Linux).

    Child processes write no core files either, but must call this function themselves to protect their memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
