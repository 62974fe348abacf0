"""Copying one file durably, with its SHA-256 computed from the very bytes that are written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from api.operator.backups.manifest import CHUNK

Copied = Callable[[int], None]
"""Is called with the bytes that were copied since the last call."""


def copied(source: int, target: Path, report: Copied = lambda _: None) -> tuple[int, str]:
    """Write what an open file holds to a new file of its owner alone, and sync it; returns its bytes and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with _new(target) as file:
        while part := os.read(source, CHUNK):
            file.write(part)
            digest.update(part)
            size += len(part)
            report(len(part))
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def written(data: bytes, target: Path) -> tuple[int, str]:
    """Write a new file of its owner alone, and sync it; returns its bytes and SHA-256."""
    with _new(target) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return len(data), hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> tuple[int, str]:
    """The bytes and the SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            digest.update(part)
            size += len(part)
    return size, digest.hexdigest()


def sync_folders(folder: Path) -> None:
    """Sync a directory and every directory below it: their names survive a power failure."""
    for inner, _, _ in os.walk(folder):
        handle = os.open(inner, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_folder(folder: Path) -> None:
    """Sync one directory."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _new(target: Path) -> BinaryIO:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(target, flags, 0o600), "wb")
