"""``civic backup``: one consistent copy of a home, also while its service runs.

The databases of log and chain, the keys and the list of data files are those of one moment: they are what a power failure at
that moment leaves on the disk, and every service starts from that (decision 0026). Data files do not change and are named by
their digest: those of the last backup are linked, not copied again.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from api.operator.backups.copying import copied, digest_of_file, sync_folder, sync_folders, written
from api.operator.backups.manifest import (
    CHAIN,
    DATABASE,
    MARK,
    NAME,
    FileEntry,
    Manifest,
    is_file_of_backup,
    opened,
    read_manifest,
)
from api.operator.home_chain import open_chain
from api.operator.homes import at_home, open_database, recorded_database
from api.protocol.version import installed
from api.runtime.marks import mark_file
from api.runtime.settings import Home, Settings
from languages.texts import in_both
from ledger.errors import LedgerError
from ledger.small_files import read_small
from ledger.store.engine import reader
from ledger.store.one_moment import FrozenFile, at_one_moment
from ledger.store.revisions import revision_of

PARTIAL = ".partial"
_LOCK = ".lock"
_TRIES = 3
_WHEN = "%Y%m%dT%H%M%S.%fZ"
_NOT_IN_A_BACKUP = frozenset(
    {
        "keys",
        "data",
        "temporary",
        "gateway.lock",
        "uses-in-log.json",
        "ledger.sqlite.lock",
        "chain.sqlite.lock",
    }
    | {f"{name}-{kind}" for name in (DATABASE, CHAIN) for kind in ("wal", "shm")}
)
"""What a home makes again by itself, and the folders that are walked."""

Report = Callable[[int, int], None]
"""Is called with the bytes copied so far, and the bytes known so far."""


class BackupPlace(LedgerError):
    """A backup cannot be kept there: in the home itself, or beside backups of another home."""

    code = "backup.place"


class BackupBusy(LedgerError):
    """Another backup is being taken to the same place."""

    code = "backup.busy"


class BackupFailed(LedgerError):
    """A file could not be read or written. No part of a backup is left."""

    code = "backup.failed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is whole: its directory, its manifest and the manifest's SHA-256; how many data files were linked and
    how many bytes were written; what of the home is not in it; data files that are not what their name says."""

    path: Path
    manifest: Manifest
    sha256: str
    linked: int
    written: int
    left_out: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(one.size for one in self.manifest.files)


@dataclass(slots=True)
class _Moment:
    """What was read while nothing could be committed."""

    small: dict[str, bytes] = field(default_factory=dict)
    data: frozenset[str] = frozenset()
    left_out: list[str] = field(default_factory=list)
    log: dict[str, Any] | None = None
    chain: dict[str, Any] | None = None
    revision: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def take_backup(settings: Settings, folder: Path, report: Report = lambda *_: None) -> Taken:
    """Take a backup of a home into a new directory below ``folder``. Raises `BackupPlace`, `BackupBusy`, `BackupFailed`, and
    what opening the home raises; then nothing is left there."""
    home, settings = at_home(settings)
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise BackupPlace(
            f"{folder} is in the home {home.path}: it would be lost with it",
            hint=in_both("name a directory on another disk"),
        )
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(_alone(folder))
            _remove_partial(folder)
            last = newest_backup(folder)
            if last is not None and last[1].installation != home.installation:
                raise BackupPlace(
                    f"{folder} has backups of another home ({last[1].home})",
                    hint=in_both("every home has a directory of its own for backups"),
                )
            for _ in range(_TRIES - 1):
                with suppress(_FileGone):
                    return _Backup(home, settings, folder, last, report).take()
            return _Backup(home, settings, folder, last, report).take()
        except OSError as failed:
            name = failed.filename or folder
            raise BackupFailed(
                f"{name}: {failed.strerror or failed}",
                hint=in_both("is the disk full? No part of a backup was left; the earlier ones are whole"),
            ) from failed


def newest_backup(folder: Path) -> tuple[Path, Manifest] | None:
    """The backup below a directory that goes furthest: by the log's epoch and size, then by its name."""
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.name.startswith(".") or not (place / NAME).exists():
            continue
        with suppress(LedgerError):
            found.append((place, read_manifest(place)[0]))
    return max(found, key=_reach, default=None)


def _reach(backup: tuple[Path, Manifest]) -> tuple[int, int, str]:
    path, manifest = backup
    return manifest.epoch, 0 if manifest.log is None else manifest.log["size"], path.name


class _FileGone(Exception):
    """A data file of the moment was deleted before it was copied: the moment is taken again."""


class _Backup:
    """One backup being taken."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        folder: Path,
        last: tuple[Path, Manifest] | None,
        report: Report,
    ) -> None:
        self._home, self._settings, self._folder = home, settings, folder
        self._last = None if last is None else last[0]
        self._before = {} if last is None else {one.path: one for one in last[1].files}
        self._report = report
        self._done = self._known = self._written = self._linked = 0
        self._files: dict[str, FileEntry] = {}
        self._damaged: list[str] = []
        self._place = folder / f".{secrets.token_hex(6)}{PARTIAL}"

    def take(self) -> Taken:
        engine = open_database(self._home, self._settings, checked=False, older=True)
        self._place.mkdir(mode=0o700)
        try:
            return self._taken(engine)
        except BaseException:
            shutil.rmtree(self._place, ignore_errors=True)
            raise
        finally:
            engine.dispose()

    def _taken(self, engine: Engine) -> Taken:
        here = engine.dialect.name == "sqlite"
        with ExitStack() as stack:
            chain = None
            files = {DATABASE: Path(engine.url.database or "")} if here else {}
            if not self._settings.rpc_url:
                files[CHAIN] = self._home.chain_file
                chain = stack.enter_context(open_chain(self._home, self._settings, reading=True))
                chain.head()
            for path in sorted(self._data_files([])):
                with suppress(_FileGone):  # the moment decides which files there are
                    self._take_data(path)
            moment = _Moment()

            def read() -> None:
                self._read_small(moment)
                moment.data = frozenset(self._data_files(moment.left_out))
                moment.log, moment.revision = _state(engine)
                if chain is not None:
                    head = chain.head()
                    moment.chain = {"block": head.number, "hash": head.hash}

            with at_one_moment(list(files.values()), read) as frozen:
                self._known += sum(one.size for one in frozen)
                for name, one in zip(files, frozen, strict=True):
                    self._take_database(name, one)
            for path in sorted(moment.data):
                self._take_data(path)
            self._drop_other_data(moment.data)
            for path, data in moment.small.items():
                self._files[path] = FileEntry(path, *written(data, self._place / path))
                self._written += len(data)
        return self._whole(
            moment, "" if here else recorded_database(self._settings.database_url, self._home.path)
        )

    def _whole(self, moment: _Moment, database_url: str) -> Taken:
        manifest = Manifest(
            civic=installed()[1],
            revision=moment.revision,
            taken_at=moment.at.isoformat(timespec="seconds"),
            home=str(self._home.path.resolve()),
            installation=self._home.installation,
            mark=str(mark_file(self._home, self._settings).resolve()),
            epoch=self._home.epoch,
            log=moment.log,
            chain=moment.chain,
            database_url=database_url,
            files=tuple(self._files[path] for path in sorted(self._files)),
        )
        _, sha256 = written(manifest.to_bytes(), self._place / NAME)
        sync_folders(self._place)
        final = self._folder / moment.at.strftime(_WHEN)
        self._place.rename(final)
        sync_folder(self._folder)
        return Taken(
            final,
            manifest,
            sha256,
            self._linked,
            self._written,
            tuple(sorted(moment.left_out)),
            tuple(self._damaged),
        )

    def _take_database(self, name: str, frozen: FrozenFile) -> None:
        target = self._place / name
        frozen.copy_to(target, self._copied)
        self._files[name] = FileEntry(name, *digest_of_file(target))
        self._written += self._files[name].size

    def _read_small(self, moment: _Moment) -> None:
        """Read keys and settings into memory. They are small, and a rotation changes keys and database together."""
        for mark in (mark_file(self._home, self._settings), self._home.old_high_water_file):
            if mark.is_file() and MARK not in moment.small:
                moment.small[MARK] = read_small(mark)
        for folder in (self._home.path, self._home.keys):
            for one in sorted(folder.iterdir()) if folder.is_dir() else ():
                path = one.relative_to(self._home.path).as_posix()
                if path in _NOT_IN_A_BACKUP or path in (DATABASE, CHAIN):
                    continue
                if one.is_symlink() or not one.is_file() or not is_file_of_backup(path):
                    moment.left_out.append(path)
                else:
                    moment.small[path] = read_small(one)

    def _data_files(self, left_out: list[str]) -> Iterator[str]:
        """The paths of the data files that there are now; what is none goes to ``left_out``."""
        for asset in self._home.data.iterdir() if self._home.data.is_dir() else ():
            name = f"data/{asset.name}"
            if asset.is_symlink() or not asset.is_dir():
                if not asset.name.startswith(".incoming-"):
                    left_out.append(name)
                continue
            for one in asset.iterdir():
                path = f"{name}/{one.name}"
                if is_file_of_backup(path) and one.is_file() and not one.is_symlink():
                    yield path
                else:
                    left_out.append(path)

    def _take_data(self, path: str) -> None:
        if path in self._files:
            return
        stem = path.rpartition("/")[2].partition(".")[0]
        with ExitStack() as stack:
            try:
                handle = stack.enter_context(opened(self._home.path, path))
            except FileNotFoundError as gone:
                raise _FileGone(path) from gone
            size = os.fstat(handle).st_size
            self._known += size
            before = self._before.get(path)
            if before is not None and before.sha256 == stem and before.size == size and self._link(path):
                self._files[path] = before
                self._linked += 1
                self._copied(size)
                return
            self._files[path] = FileEntry(path, *copied(handle, self._place / path, self._copied))
        self._written += self._files[path].size
        if len(stem) == 64 and self._files[path].sha256 != stem and path.endswith((".csv", ".parquet")):
            self._damaged.append(path)

    def _link(self, path: str) -> bool:
        """Give a file of the last backup a second name in this one; False where the file system does not do that."""
        assert self._last is not None
        target = self._place / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(self._last / path, target, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _drop_other_data(self, data: frozenset[str]) -> None:
        """Remove the copies of data files that were deleted before the moment."""
        for path in [one for one in self._files if one.startswith("data/") and one not in data]:
            (self._place / path).unlink()
            del self._files[path]

    def _copied(self, some: int) -> None:
        self._done += some
        self._report(self._done, self._known)


def _state(engine: Engine) -> tuple[dict[str, Any], str | None]:
    """Size and root of the log, and the revision of its tables, whatever version they are of."""
    with reader(engine).connect() as connection:
        row = connection.execute(text("SELECT size, root FROM audit_state")).one()
        return {"size": int(row[0]), "root": "0x" + bytes(row[1]).hex()}, revision_of(connection)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise BackupBusy(
                f"another backup is being taken to {folder}", hint=in_both("wait for it")
            ) from held
        yield
    finally:
        os.close(handle)


def _remove_partial(folder: Path) -> None:
    """Remove what a killed backup left; the lock says that none is being taken."""
    for left in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(left)
