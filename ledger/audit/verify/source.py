"""Access to a bundle's files: a directory, or one ustar file in the only allowed form."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ledger.audit.verify.verdict import tampered
from ledger.visible import visible

_BLOCK = 512
_PIECE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*", re.ASCII)


class BundleFiles(Protocol):
    """Read access to the files of a bundle by name."""

    def sizes(self) -> dict[str, int]:
        """The names of all files, with their lengths in bytes."""

    def read(self, name: str) -> bytes:
        """All bytes of one file."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of one file in blocks of a megabyte: a forged file may be too large for memory."""

    def stamp(self, name: str) -> str:
        """A text that changes when the file is written: length, times of change, inode."""


def open_files(path: Path) -> BundleFiles:
    """Open a bundle's directory or single file; raises `Tampered`."""
    if path.is_dir():
        return _Directory(path)
    if path.is_file():
        return _TarFile(path)
    raise tampered("bundle.missing", f"there is no bundle at {path}")


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def sizes(self) -> dict[str, int]:
        found = {}
        for folder, folders, files in os.walk(self._root):
            for name in files + [name for name in folders if (Path(folder) / name).is_symlink()]:
                path = Path(folder) / name
                if path.is_symlink() or not path.is_file():  # reading a pipe or a device would block
                    raise tampered(
                        "bundle.malformed", "a bundle holds plain files, no links, pipes or devices", name
                    )
                inside = path.relative_to(self._root).as_posix()
                if not _NAME.fullmatch(inside):
                    raise tampered("bundle.extra", "a file that does not belong here", visible(inside))
                found[inside] = path.stat().st_size
        return found

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def blocks(self, name: str) -> Iterator[bytes]:
        with (self._root / name).open("rb") as file:
            while block := file.read(_PIECE):
                yield block

    def stamp(self, name: str) -> str:
        return stamp_of(self._root / name)


class _TarFile:
    """A tar file. Each header must equal that of `tar_header`, so owners, times and padding cannot hold data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        end, last = path.stat().st_size, ""
        with path.open("rb") as file:
            at = 0
            while True:
                header = file.read(_BLOCK)
                if header == bytes(_BLOCK):
                    break
                name, size = _read_header(header, path.name)
                at += _BLOCK
                padded = -(-size // _BLOCK) * _BLOCK
                if name in self._places or at + padded > end:
                    raise tampered("bundle.malformed", "the archive is cut off or holds a file twice", name)
                if name < last:
                    raise tampered("bundle.malformed", "the archive's files are not in order", name)
                last = name
                self._places[name] = (at, size)
                file.seek(at + size)
                if any(file.read(padded - size)):
                    raise tampered("bundle.malformed", "the padding behind a file was changed", name)
                at += padded
            if file.read(_BLOCK + 1) != bytes(_BLOCK):
                raise tampered("bundle.malformed", "the end of the archive was changed", path.name)

    def sizes(self) -> dict[str, int]:
        return {name: size for name, (_, size) in self._places.items()}

    def read(self, name: str) -> bytes:
        at, size = self._places[name]
        with self._path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def blocks(self, name: str) -> Iterator[bytes]:
        at, size = self._places[name]
        with self._path.open("rb") as file:
            file.seek(at)
            while size and (block := file.read(min(_PIECE, size))):
                size -= len(block)
                yield block

    def stamp(self, name: str) -> str:
        return f"{stamp_of(self._path)} {self._places[name]}"


def stamp_of(path: Path) -> str:
    """A file's length, times of change and inode as text; it is the same until the file is written."""
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def tar_header(name: str, size: int) -> bytes:
    """The 512-byte ustar header of one file: mode 0644, no owner, time 0."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _read_header(header: bytes, archive: str) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        name, size = info.name, info.size
        same = bool(_NAME.fullmatch(name)) and size >= 0 and tar_header(name, size) == header
    except (tarfile.HeaderError, UnicodeError, ValueError) as error:
        raise tampered("bundle.malformed", f"not a bundle: {error}", archive) from error
    if not same:
        raise tampered("bundle.malformed", "a header of the archive was changed", archive)
    return name, size
