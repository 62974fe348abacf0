"""What a process that holds keys or personal data keeps in memory stays there.

Without it a crash, or a signal of the same user, writes every key into a core file, and another process of that user
reads it from ``/proc/PID/mem``. Only the superuser can look at such a process, and a limit of zero alone would not
hold where the kernel hands core files to a program.
"""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """From here on this process leaves no core file, and no other process of its user may look into it (Linux).

    A process that it starts leaves no core file either; whether it may be looked into it must say itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
