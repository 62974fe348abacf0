"""Whether a file is the one that was signed: hashed once, and known again by what the system says of it.

A file is opened once, and what was opened is hashed, read and watched: whatever later stands under its path does
not matter. A hash is remembered with the device, inode, size and times of the file; when any of them differs, the
file is hashed again. The change time is set by the system at every write, rename, link and change of mode, and no
call sets it back. Whoever writes to the disk below the file system, or sets the clock, is not found out by this;
the hash of the next start, or that of ``civic audit fsck``, finds what they changed.
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
"""Files whose hash is remembered; the one that was asked for longest ago is forgotten first."""

CHUNK = 1 << 20

FINE_NS, COARSE_NS = 20_000_000, 2_000_000_000
"""How old a change time must be before a file is hashed: two writes within one tick of the system's clock get the
same time. The second number is for file systems that keep whole seconds."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the system says of a file. Equal stamps of one open file: it was not written in between."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class CheckedFile:
    """An open file whose content has the SHA-256 that was asked for. Close it."""

    def __init__(self, handle: int, stamp: Stamp) -> None:
        self.handle = handle
        self._stamp = stamp
        self._closed = False

    @property
    def stamp(self) -> Stamp:
        """As it was when it was hashed."""
        return self._stamp

    def give(self, send: Callable[[int], None]) -> None:
        """Send its handle to the process that reads it."""
        send(self.handle)

    def must_be_unchanged(self) -> None:
        """SourceChanged when somebody wrote to the file, renamed or linked it since it was hashed."""
        if _stamp_of(os.fstat(self.handle)) != self._stamp:
            raise SourceChanged("the asset's file was changed while it was read")

    def close(self) -> None:
        """Give the handle back; a second time does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self.handle)


class CheckedParts:
    """The files of one table, each with the SHA-256 that was asked for.

    Only the process that reads them holds them open: here is known what each was when it was sent, and looked at by its
    path. What stands there now is that very file, or the scan ends.
    """

    def __init__(self, known: KnownFiles, parts: Sequence[tuple[Path, str]]) -> None:
        """Each is hashed now where it is not known. SourceChanged for one that is another file or none."""
        self._known = known
        self._parts = tuple(parts)
        self._sent: list[tuple[Path, Stamp]] = []
        for path, sha256 in self._parts:
            self._open(path, sha256).close()

    def give(self, send: Callable[[int], None]) -> None:
        """Send the handle of each, in order, to the process that reads them."""
        for path, sha256 in self._parts:
            file = self._open(path, sha256)
            try:
                send(file.handle)
                self._sent.append((path, file.stamp))
            finally:
                file.close()

    def must_be_unchanged(self) -> None:
        """SourceChanged when one was written to, renamed, linked or exchanged since it was hashed."""
        for path, stamp in self._sent:
            try:
                found = os.lstat(path)
            except OSError:
                raise SourceChanged("a part of the asset's data is gone") from None
            if _stamp_of(found) != stamp:
                raise SourceChanged("a part of the asset's data was changed while it was read")

    def close(self) -> None:
        """Nothing is held."""

    def _open(self, path: Path, sha256: str) -> CheckedFile:
        try:
            return self._known.open(path, sha256)
        except SourceMissing:
            raise SourceChanged("a part of the asset's data is not there") from None


OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What the system says when the process has no room for one more file: it says nothing about a file or a worker."""


class KnownFiles:
    """Files that were hashed already. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int], tuple[Stamp, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._hashing = tuple(threading.Lock() for _ in range(16))

    def open(self, path: Path, sha256: str) -> CheckedFile:
        """The regular file at ``path``, open; SourceChanged unless its content has this SHA-256 (hex). OSError where the
        process has too many files open: that says nothing of the file."""
        try:
            # A pipe or device that was put here must neither be waited for nor read.
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
            # After a start many ask for the same file at once: one hashes, the others find it.
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
    """The SHA-256, in hex, of an open file from its beginning; may raise OSError."""
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
