"""File permissions: everything that an installation and its commands write is for the owner alone, directories
0700, files 0600.

This includes tiles and trust files: an operator who publishes a file gives access to it deliberately. A profile's
receipts and a log's tiles say who read what.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def set_private_umask() -> None:
    """Make this process, and those it starts, write for their owner alone, whatever the shell's umask is."""
    os.umask(OTHERS)


def restrict_to_owner(home: Path) -> tuple[int, int]:
    """Remove the permissions of group and others from everything under ``home``. Returns how many files were
    changed, and how many could not be, because they belong to another user. Symbolic links and their targets are
    not changed."""
    closed = foreign = 0
    for path in open_to_others(home):
        try:
            path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~OTHERS)
        except PermissionError:
            foreign += 1
        else:
            closed += 1
    return closed, foreign


def open_to_others(home: Path) -> Iterator[Path]:
    """Everything under ``home`` that group or others may use, without symbolic links. A file that goes away meanwhile is
    passed over."""
    for path in _everything(home):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISLNK(mode) and mode & OTHERS:
            yield path


def emptied_directory(folder: Path) -> None:
    """Create an empty directory of this user alone. The targets of its links are not changed."""
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _everything(home: Path) -> Iterator[Path]:
    yield home
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            yield Path(folder, name)
