"""A machine whose clock a test sets while a real service runs on it.

A small library (``set_clock.c``) is preloaded before the C library, in the service's process only, and moves
the wall clock; the monotonic clock is unchanged. The service has no setting for it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("set_clock.c")


@dataclass(frozen=True)
class MachineClock:
    """The clock of one machine; ``environment`` is the environment of a process on it."""

    library: Path
    file: Path

    @classmethod
    def made(cls, folder: Path) -> MachineClock:
        """Compile the library into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "set_clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
        clock = cls(library, folder / "moved")
        clock.set(0)
        return clock

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "SET_CLOCK": str(self.file)}

    def set(self, seconds: int) -> None:
        """Set the clock this many seconds ahead of the right time; negative: behind."""
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)
