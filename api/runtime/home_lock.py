"""The lock of a home directory: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.runtime.settings import HomeError


class HomeLocked(HomeError):
    """Another process serves this home directory."""

    code = "home.locked"


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Hold the lock of the home directory; HomeLocked if another process has it."""
    handle = os.open(home / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise HomeLocked(
                f"another service runs on {home}", hint="stop it first, or name another --home"
            ) from held
        yield
    finally:
        os.close(handle)
