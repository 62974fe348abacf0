"""The manifest of a backup: every file with its size and SHA-256, and what the home was at that moment.

A backup is a directory with the files of a home and ``manifest.json``. Nothing in it is trusted before it is checked: it may
come from a damaged disk or from somebody else.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from languages.texts import in_both
from ledger.audit.verify.strict import read_once
from ledger.errors import LedgerError
from ledger.small_files import read_small

FORMAT = "civic-backup/1"
NAME = "manifest.json"
MOST_BYTES = 512 << 20
"""The most bytes of a manifest: three million files."""
CHUNK = 1 << 20
DATABASE, CHAIN, MARK = "ledger.sqlite", "chain.sqlite", "high-water"
SINGLE = frozenset({"civic.json", "trust.json", "retention.json", "spent-nonces", DATABASE, CHAIN, MARK})
"""The files of a backup that are in no folder."""
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_IN_FOLDER = re.compile(rf"(?:keys/{_PART}|data/{_PART}/{_PART})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAMED = 10


class BackupInvalid(LedgerError):
    """The manifest is missing, has another form, or names what no backup has."""

    code = "backup.invalid"


class BackupVersion(LedgerError):
    """The backup has the form or the tables of another version of the program."""

    code = "backup.version"


class BackupDamaged(LedgerError):
    """Files of the backup are not those of its manifest."""

    code = "backup.damaged"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a backup: its path with slashes, its bytes and its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup states about itself. ``log`` has size and root, ``chain`` the newest block; None where the backup has
    no copy of them. ``installation`` names chain and contracts; ``database_url`` is empty where the backup has the database; else it names the one to be dumped."""

    civic: str
    revision: str | None
    taken_at: str
    home: str
    installation: str
    mark: str
    epoch: int
    log: Mapping[str, Any] | None
    chain: Mapping[str, Any] | None
    database_url: str
    files: tuple[FileEntry, ...]

    def to_bytes(self) -> bytes:
        """The file ``manifest.json``."""
        document = {"format": FORMAT} | asdict(self) | {"files": [asdict(one) for one in self.files]}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


_KINDS: Mapping[str, tuple[type, ...]] = {
    "civic": (str,),
    "revision": (str, type(None)),
    "taken_at": (str,),
    "home": (str,),
    "installation": (str,),
    "mark": (str,),
    "epoch": (int,),
    "log": (dict, type(None)),
    "chain": (dict, type(None)),
    "database_url": (str,),
    "files": (list,),
}


def read_manifest(backup: Path) -> tuple[Manifest, str]:
    """The manifest of a backup, and its SHA-256. Raises `BackupInvalid` and `BackupVersion`."""
    place = backup / NAME
    try:
        _must_be_regular(place)
        data = read_small(place, MOST_BYTES)
        document = read_once(data)
    except (OSError, ValueError) as unreadable:
        raise BackupInvalid(
            f"{place} cannot be read: {unreadable}", hint=in_both("name the directory of one backup")
        ) from unreadable
    if not isinstance(document, dict) or not isinstance(document.get("format"), str):
        raise _malformed(place, "it is no manifest of a backup")
    if document.pop("format") != FORMAT:
        raise BackupVersion(
            f"{place} has another format than {FORMAT}",
            hint=in_both("restore it with the version of civic that made it"),
        )
    return _manifest(place, document), hashlib.sha256(data).hexdigest()


def _manifest(place: Path, document: dict[str, Any]) -> Manifest:
    if document.keys() != _KINDS.keys():
        raise _malformed(place, "it has other members than a manifest")
    for name, kinds in _KINDS.items():
        value = document[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise _malformed(place, f"its member {name} has another type")
    files = tuple(_entry(place, one) for one in document.pop("files"))
    if len({one.path for one in files}) != len(files):
        raise _malformed(place, "it names a file twice")
    for name, members in (("log", {"size": int, "root": str}), ("chain", {"block": int, "hash": str})):
        stated = document[name]
        if stated is not None and (
            stated.keys() != members.keys()
            or any(type(stated[member]) is not kind for member, kind in members.items())
        ):
            raise _malformed(place, f"its member {name} has another form")
    return Manifest(files=files, **document)


def _entry(place: Path, one: object) -> FileEntry:
    if not isinstance(one, dict) or one.keys() != {"path", "size", "sha256"}:
        raise _malformed(place, "an item of its files has other members")
    path, size, sha256 = one["path"], one["size"], one["sha256"]
    if not isinstance(path, str) or not is_file_of_backup(path):
        raise _malformed(place, f"no backup has a file {str(path)[:120]!r}")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise _malformed(place, f"the size or digest of {path} has another form")
    return FileEntry(path, size, sha256)


def is_file_of_backup(path: str) -> bool:
    """Whether a backup may have a file at this path: it then lies in the backup, and in the home."""
    return path in SINGLE or _IN_FOLDER.fullmatch(path) is not None


def _malformed(place: Path, why: str) -> BackupInvalid:
    return BackupInvalid(f"{place}: {why}", hint=in_both("nothing was restored: take another backup"))


def must_have_its_files(backup: Path, manifest: Manifest) -> None:
    """Raise `BackupDamaged` when a file is missing, is not regular, has another size, or is not in the manifest."""
    known = {one.path for one in manifest.files}
    faults = [f"{path}: the manifest does not name it" for path in _everything(backup) if path not in known]
    for one in manifest.files:
        try:
            with opened(backup, one.path) as handle:
                size = os.fstat(handle).st_size
            if size != one.size:
                faults.append(f"{one.path}: it has {size} bytes, the manifest says {one.size}")
        except OSError as failed:
            faults.append(f"{one.path}: {failed.strerror}")
    damaged_if(backup, faults)


def damaged_if(backup: Path, faults: Sequence[str]) -> None:
    """Raise `BackupDamaged` that names the first faults, if there are any."""
    if faults:
        more = "" if len(faults) <= _NAMED else f"; {len(faults) - _NAMED} more"
        raise BackupDamaged(
            f"{backup}: {'; '.join(faults[:_NAMED])}{more}",
            hint=in_both("nothing was restored: take another backup"),
        )


@contextmanager
def opened(backup: Path, path: str) -> Iterator[int]:
    """A regular file of a backup, open for reading; no part of its path below the backup may be a link. Raises OSError."""
    *folders, name = path.split("/")
    folder = os.open(backup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for one in folders:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(one, flags, dir_fd=folder)
            os.close(folder)
            folder = below
        # Not blocking: a pipe has no reader.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        yield handle
    finally:
        os.close(handle)


def _must_be_regular(place: Path) -> None:
    if not stat.S_ISREG(place.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(place))


def _everything(backup: Path) -> Iterator[str]:
    """Every file, link and other object of a backup except its manifest, and every folder that no backup has."""
    for folder, folders, files in os.walk(backup):
        inside = Path(folder).relative_to(backup)
        for name in sorted(folders):
            path = (inside / name).as_posix()
            if Path(folder, name).is_symlink() or not re.fullmatch(rf"keys|data|data/{_PART}", path):
                yield path
        for name in sorted(files):
            path = (inside / name).as_posix()
            if path != NAME:
                yield path
