"""The check that a file is the signed one: it is hashed once, and recognised later by its metadata.

A file is opened once, and the open file is hashed, read and checked; a later file at its path has no effect. A hash is stored
with the device, inode, size and times of the file; when one of them differs, the file is hashed again. The system sets the
change time at every write, rename, link and change of mode, and no call can set it back. Writes below the file system, or with
a changed system clock, are not detected here, but by the hash at the next start or of ``civic audit fsck``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from access_policy.privacy.source import SourceChanged, SourceMissing

MOST_KNOWN = 16_384
"""The most files whose hash is stored; the least recently used one is removed first."""

CHUNK = 1 << 20

FINE_NS, COARSE_NS = 20_000_000, 2_000_000_000
"""The least age of a change time before a file is hashed, because two writes in one tick of the system's clock have the same
time. The second number is for file systems with times in whole seconds."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The metadata of a file. Two equal stamps of an open file mean that it was not written in between."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class CheckedFile:
    """An open file whose content has the expected SHA-256. The caller must close it."""

    def __init__(self, handle: int, stamp: Stamp) -> None:
        self.handle = handle
        self._stamp = stamp
        self._closed = False

    @property
    def stamp(self) -> Stamp:
        """The stamp at the time of hashing."""
        return self._stamp

    def give(self, send: Callable[[int], None]) -> None:
        """Send the file handle to the process that reads it."""
        send(self.handle)

    def must_be_unchanged(self) -> None:
        """Raise SourceChanged when the file was written, renamed or linked since it was hashed."""
        if _stamp_of(os.fstat(self.handle)) != self._stamp:
            raise SourceChanged("the asset's file was changed while it was read")

    def close(self) -> None:
        """Close the handle. A second call does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self.handle)


class CheckedParts:
    """The files of one table, each with the expected SHA-256.

    Only the process that reads them keeps them open. This object stores the stamp of each file when it was sent, and compares
    it with the file at its path; when it differs, the scan ends.
    """

    def __init__(self, known: KnownFiles, parts: Sequence[tuple[Path, str]]) -> None:
        """Hash the files that are not known yet. Raises SourceChanged for a missing or different file."""
        self._known = known
        self._parts = tuple(parts)
        self._sent: list[tuple[Path, Stamp]] = []
        for path, sha256 in self._parts:
            self._open(path, sha256).close()

    def give(self, send: Callable[[int], None]) -> None:
        """Send the handles of all files, in order, to the process that reads them."""
        for path, sha256 in self._parts:
            file = self._open(path, sha256)
            try:
                send(file.handle)
                self._sent.append((path, file.stamp))
            finally:
                file.close()

    def must_be_unchanged(self) -> None:
        """Raise SourceChanged when a file was written, renamed, linked or exchanged since it was hashed."""
        for path, stamp in self._sent:
            try:
                found = os.lstat(path)
            except OSError:
                raise SourceChanged("a part of the asset's data is gone") from None
            if _stamp_of(found) != stamp:
                raise SourceChanged("a part of the asset's data was changed while it was read")

    def close(self) -> None:
        """Nothing to close."""

    def _open(self, path: Path, sha256: str) -> CheckedFile:
        try:
            return self._known.open(path, sha256)
        except SourceMissing:
            raise SourceChanged("a part of the asset's data is not there") from None


OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Error numbers of a process without resources for another file; they do not concern the file or the worker."""


class KnownFiles:
    """A cache of the hashes of files. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int], tuple[Stamp, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._hashing = tuple(threading.Lock() for _ in range(16))

    def open(self, path: Path, sha256: str) -> CheckedFile:
        """Open the regular file at ``path``. Raises SourceChanged unless its content has this SHA-256 (hex), and OSError when
        the process has too many open files."""
        try:
            # A pipe or device at this path must not block the process and is not read.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SourceMissing("the asset's file is not there") from None
        except OSError as refused:
            if refused.errno in OUT_OF_RESOURCES:
                raise
            raise SourceChanged("the asset's file cannot be opened") from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SourceChanged("the path of the asset's file is not a regular file")
            stamp, found = self._digest(handle)
            if found != sha256:
                raise SourceChanged("the asset's file is not the one that was signed")
            return CheckedFile(handle, stamp)
        except BaseException:
            os.close(handle)
            raise

    def _digest(self, handle: int) -> tuple[Stamp, str]:
        stamp = _stamp_of(os.fstat(handle))
        known = self._remembered(stamp)
        if known is not None:
            return stamp, known
        with self._hashing[stamp.inode % len(self._hashing)]:
            # After a start many calls need the same file: one of them hashes it, the others wait for the result.
            known = self._remembered(stamp) or self._hashed(handle, stamp)
        return stamp, known

    def _hashed(self, handle: int, stamp: Stamp) -> str:
        _wait_for_tick(stamp)
        try:
            found = digest_of(handle)
        except OSError:
            raise SourceChanged("the asset's file cannot be read") from None
        if _stamp_of(os.fstat(handle)) != stamp:
            raise SourceChanged("the asset's file was changed while it was hashed")
        with self._lock:
            self._known[stamp.device, stamp.inode] = stamp, found
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return found

    def _remembered(self, stamp: Stamp) -> str | None:
        place = stamp.device, stamp.inode
        with self._lock:
            known = self._known.get(place)
            if known is None or known[0] != stamp:
                return None
            self._known.move_to_end(place)
            return known[1]


def digest_of(handle: int) -> str:
    """The SHA-256 (hex) of an open file from its beginning; may raise OSError."""
    sha, offset = hashlib.sha256(), 0
    while chunk := os.pread(handle, CHUNK, offset):
        sha.update(chunk)
        offset += len(chunk)
    return sha.hexdigest()


def _stamp_of(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _wait_for_tick(stamp: Stamp) -> None:
    needed = FINE_NS if stamp.changed_ns % 1_000_000_000 else COARSE_NS
    age = time.time_ns() - stamp.changed_ns
    if 0 <= age < needed:
        time.sleep((needed - age) / 1e9)
