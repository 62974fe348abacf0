"""``civic restore``: a new home from a backup, after every file and the whole log were checked.

The home is made beside its place, checked there, and moved to its place in one step. A process that ends before that leaves a
directory ``.NAME.restoring`` and no home; the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from api.operator.backups.copying import copied, sync_folder, sync_folders
from api.operator.backups.evidence import OWN_MARK, Evidence, known_heads, raise_mark
from api.operator.backups.manifest import (
    CHAIN,
    DATABASE,
    MARK,
    NAME,
    BackupInvalid,
    BackupVersion,
    Manifest,
    damaged_if,
    must_have_its_files,
    opened,
    read_manifest,
)
from api.operator.backups.recovery import Council, seated_council_of
from api.operator.backups.taking import Report, newest_backup
from api.operator.home_chain import open_chain
from api.operator.home_check import HomeReport, check_home
from api.operator.homes import at_home, open_database
from api.operator.installation import must_be_free_home
from api.operator.vault import read_vault
from api.protocol.errors import ClientError
from api.runtime.home_lock import HomeLocked
from api.runtime.private_files import emptied_directory
from api.runtime.settings import IN_HOME, Home, HomeError, Settings, read_home, read_passphrase
from languages.texts import in_both
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.reading import LogReader
from ledger.errors import LedgerError
from ledger.store.revisions import newest


class BackupLog(LedgerError):
    """The log in a backup is damaged, or is not the one that its manifest states."""

    code = "backup.log"


class RestoreFailed(LedgerError):
    """A file could not be written. There is no home."""

    code = "restore.failed"


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored home, or one that was only checked. ``report`` is None if the backup has no database. ``heads`` are the heads
    known outside the backup, the furthest first; ``later`` those that the restored log does not reach. ``opened`` says
    whether the openings were opened. ``mark`` is the mark that keeps a service from starting while entries are lost."""

    home: Path
    backup: Path
    manifest: Manifest
    sha256: str
    size: int
    report: HomeReport | None
    opened: bool
    council: Council | None
    heads: tuple[Evidence, ...]
    later: tuple[Evidence, ...]
    mark: Path | None

    @property
    def lost(self) -> int:
        """How many entries are known to be lost."""
        reached = self.report.head.size if self.report is not None and self.report.head is not None else 0
        return max((one.size - reached for one in self.later), default=0)


def restore_backup(
    settings: Settings,
    source: Path,
    *,
    kept: Sequence[Path] = (),
    check: bool = False,
    copied_so_far: Report = lambda *_: None,
    checked_so_far: Callable[[int, int], None] | None = None,
) -> Restored:
    """Restore a backup (a directory with a manifest, or the furthest of those below it) to ``settings.home``.

    With ``check`` everything is checked and nothing is kept. Raises `HomeExists`, `BackupInvalid`, `BackupVersion`,
    `BackupDamaged`, `BackupLog`, `OtherLog`, `KeptInvalid` and `RestoreFailed`; then there is no home.
    """
    place = Path(os.path.abspath(settings.home))
    if not check:
        must_be_free_home(place)
    backup = _named(source)
    manifest, sha256 = read_manifest(backup)
    if manifest.revision not in (None, newest()):
        raise BackupVersion(
            f"the database of {backup} has tables of revision {manifest.revision}, this version has {newest()}",
            hint=in_both(
                "restore it with the version of civic that made it ({version}), then civic upgrade",
                version=manifest.civic,
            ),
        )
    must_have_its_files(backup, manifest)
    try:
        with _building(place) as building:
            total = sum(one.size for one in manifest.files)
            _copy(backup, manifest, building, lambda done: copied_so_far(done, total))
            found, inside = _as_home(building, settings, manifest)
            report, council, heads, was_opened = _checked(
                found, inside, place, manifest, kept, checked_so_far
            )
            if check:
                mark = None
            else:
                (building / MARK).unlink(missing_ok=True)
                mark = raise_mark(found, place, inside, heads)
                sync_folders(building)
                _put(building, place)
    except OSError as failed:
        raise RestoreFailed(
            f"{failed.filename or place}: {failed.strerror or failed}",
            hint=in_both("is the disk full? There is no home yet: make room and restore again"),
        ) from failed
    reached = 0 if report is None or report.head is None else report.head.size
    later = [one for one in heads if report is not None and one.later_than(found.epoch, reached)]
    return Restored(
        place, backup, manifest, sha256, total, report, was_opened, council, tuple(heads), tuple(later), mark
    )


def _named(source: Path) -> Path:
    """The backup at a path: itself, or the furthest of those below it."""
    if (source / NAME).exists():
        return source
    found = newest_backup(source)
    if found is None:
        raise BackupInvalid(
            f"there is no backup at {source}", hint=in_both("name the directory that civic backup wrote to")
        )
    return found[0]


@contextmanager
def _building(place: Path) -> Iterator[Path]:
    """An empty directory beside the place, of this process alone; it is removed unless it was moved away."""
    building = place.with_name(f".{place.name}.restoring")
    building.parent.mkdir(parents=True, exist_ok=True)
    building.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(handle), os.lstat(building))
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            raise HomeLocked(f"another restore to {place} runs", hint=in_both("wait for it"))
        emptied_directory(building)
        try:
            yield building
        finally:
            if building.exists() and os.path.samestat(os.fstat(handle), os.lstat(building)):
                shutil.rmtree(building, ignore_errors=True)
    finally:
        os.close(handle)


def _copy(backup: Path, manifest: Manifest, building: Path, report: Callable[[int], None]) -> None:
    """Copy every file and compare its digest with the manifest's. The copy has the bytes that were hashed."""
    faults, done = [], 0

    def some(size: int) -> None:
        nonlocal done
        done += size
        report(done)

    (building / "keys").mkdir(mode=0o700)
    (building / "data").mkdir(mode=0o700)
    for one in manifest.files:
        try:
            with opened(backup, one.path) as handle:
                size, sha256 = copied(handle, building / one.path, some)
        except OSError as failed:
            if failed.filename is not None and str(failed.filename).startswith(str(building)):
                raise
            if failed.filename is None:  # writing failed: the disk is full
                raise
            faults.append(f"{one.path}: {failed.strerror}")
            continue
        if (size, sha256) != (one.size, one.sha256):
            faults.append(f"{one.path}: its bytes are not those that were backed up")
    damaged_if(backup, faults)


def _as_home(building: Path, settings: Settings, manifest: Manifest) -> tuple[Home, Settings]:
    """The home in the directory, and the settings to open it there; it records a database in itself as its own."""
    here = not manifest.database_url
    try:
        home = read_home(building)
    except HomeError as damaged:
        raise BackupInvalid(f"the backup's civic.json cannot be used: {damaged.message}") from damaged
    if home.installation != manifest.installation or home.epoch != manifest.epoch:
        raise BackupInvalid("the manifest states another home than the backup's civic.json")
    names = {one.path for one in manifest.files}
    if here != (DATABASE in names) or bool(home.rpc_url) == (CHAIN in names):
        raise BackupInvalid(
            "the manifest has not the files of this home: its database or its chain is missing"
        )
    if here and home.database not in ("", IN_HOME):
        home = replace(home, database=IN_HOME)
        home.write()
    inside = settings.model_copy(update={"home": building} | ({"database_url": ""} if here else {}))
    return at_home(inside)


def _checked(
    home: Home,
    settings: Settings,
    place: Path,
    manifest: Manifest,
    kept: Sequence[Path],
    progress: Callable[[int, int], None] | None,
) -> tuple[HomeReport | None, Council | None, list[Evidence], bool]:
    """Check the home and compare it with the manifest and with what is known outside."""
    if manifest.chain is not None:
        with open_chain(home, settings, reading=True) as chain:
            head = chain.head()
        if (head.number, head.hash) != (manifest.chain["block"], manifest.chain["hash"]):
            raise BackupLog(
                f"the chain ends with block {head.number}, the manifest states block {manifest.chain['block']}",
                hint=in_both("nothing was restored: take another backup"),
            )
    if manifest.database_url:
        return None, None, [], False
    vault = _vault(home, settings)
    report = check_home(home, settings, vault, progress)
    if report.of_log or report.head is None:
        first = "; ".join(f"{one.code}: {one.message}" for one in report.of_log[:5])
        raise BackupLog(
            f"the log in the backup is damaged: {first}",
            hint=in_both("nothing was restored: take another backup"),
        )
    stated = manifest.log or {}
    if (report.head.size, "0x" + report.head.root.hex()) != (stated.get("size"), stated.get("root")):
        raise BackupLog(
            f"the log ends with entry {report.head.size}, the manifest states entry {stated.get('size')} or another root",
            hint=in_both("nothing was restored: take another backup"),
        )
    engine = open_database(home, settings, checked=False)
    try:
        marks = {home.path / MARK: OWN_MARK}
        if manifest.mark.startswith("/"):
            marks[Path(manifest.mark)] = manifest.mark
        heads = known_heads(home, place, settings, LogReader(engine), marks, kept)
        return report, seated_council_of(home, settings, engine), heads, vault is not None
    finally:
        engine.dispose()


def _vault(home: Home, settings: Settings) -> OpeningVault | None:
    """The vault that opens the openings; None without the passphrase."""
    try:
        return read_vault(home.keys / "vault.json", read_passphrase(settings)).openings()
    except (LedgerError, ClientError, OSError):
        return None


def _put(building: Path, place: Path) -> None:
    """Move the finished home to its place; a home that was made there meanwhile stays."""
    try:
        os.rename(building, place)
    except OSError:
        must_be_free_home(place)
        raise
    sync_folder(place.parent)
