"""The datasets' files in the home directory: their versions, whether they are the signed files, and which of them
are no longer needed.

A file is named by the SHA-256 that its steward signed. Every version of an asset has its own.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import orjson
from sqlalchemy import Connection, Engine

from access_policy.privacy.execution.checked import KnownFiles, digest_of
from access_policy.privacy.source import SourceError
from api.runtime.catalogue import SPELLINGS, SourceFiles, metadata_of, source_files
from api.runtime.errors import EntryMissingError
from api.runtime.next_versions import EVERY_STATE, GIVEN_UP, NextVersion, next_versions
from api.runtime.pinned_versions import pinned_versions
from ledger.acts.act import State
from ledger.audit.formats.errors import AuditError
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.keeping.fsck import Damage
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import GroupCommit, Job, JobResult
from ledger.ids import asset_text, parse_asset
from ledger.outbox.store import OPEN
from ledger.pages import MAX_LIMIT
from ledger.projection.queries import Asset, assets, events
from ledger.projection.queries import asset as find_asset
from ledger.store.engine import reader

DELETED = "gateway:source:deleted"

INCOMING = ".incoming-"
"""The prefix of files that are being handed in; those of a stopped service are deleted."""

_placing = threading.Lock()
"""A lock for two copies of one file that arrive at once: the second finds the first."""
_NAME = re.compile(r"([0-9a-f]{64})\.(csv|parquet)", re.ASCII)


_Facts: TypeAlias = dict[str, str | int]
_Deleted: TypeAlias = dict[str, dict[Path, _Facts]]
"""For each asset the files to delete, with the facts of their entries."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of an asset and the paths of its file or parts. ``ended`` is when a later version or retirement
    ended it; None while it is current. ``files`` is None if its catalogue entry is not stored."""

    asset: Asset
    version: int
    metadata_hash: str
    files: SourceFiles | None
    ended: datetime | None


def stored_versions(connection: Connection, data: Path) -> Iterator[StoredVersion]:
    """Every version of every asset, by the chain's events."""
    after: str | None = None
    while True:
        page = assets(connection, after=after, limit=MAX_LIMIT)
        for asset in page.items:
            yield from _versions(connection, data, asset)
        after = page.next
        if after is None:
            return


def _versions(connection: Connection, data: Path, asset: Asset) -> Iterator[StoredVersion]:
    begun: list[tuple[int, str, datetime]] = []
    retired: datetime | None = None
    after: str | None = None
    while True:
        page = events(connection, subject=f"asset:{asset.id}", after=after, limit=MAX_LIMIT)
        for event in page.items:
            moment = datetime.fromtimestamp(event.block_time, UTC)
            if event.name in ("AssetRegistered", "AssetVersioned"):
                begun.append((int(event.args.get("version", 1)), str(event.args["metadata"]), moment))
            elif event.name == "AssetRetired":
                retired = moment
        after = page.next
        if after is None:
            break
    if not begun:
        return
    ends = [moment for _, _, moment in begun[1:]]
    for (version, metadata_hash, _), ended in zip(begun, [*ends, retired], strict=True):
        try:
            source = metadata_of(connection, metadata_hash)["source"]
            files = source_files(data, asset.number, source)
        except EntryMissingError:
            files = None
        yield StoredVersion(asset, version, metadata_hash, files, ended)


def past_files(
    connection: Connection, data: Path, kept: timedelta, now: datetime
) -> Iterator[tuple[StoredVersion, Path]]:
    """The existing files whose last version ended longer than ``kept`` ago; without files that a next version
    names, and without files of a pinned version."""
    last: dict[Path, StoredVersion] = {}
    following = _named_next(connection, data)
    every: dict[Path, list[StoredVersion]] = {}
    pinned: dict[int, frozenset[int]] = {}
    for version in stored_versions(connection, data):
        for path in _paths(version):
            every.setdefault(path, []).append(version)
            before = last.get(path)
            if before is None or before.ended is not None:
                last[path] = version
    for path, version in last.items():
        if not _over(version, kept, now) or path in following or not os.path.lexists(path):
            continue
        number = version.asset.number
        if number not in pinned:
            pinned[number] = pinned_versions(connection, number, now)
        if pinned[number].isdisjoint(one.version for one in every[path]):
            yield version, path


def _over(version: StoredVersion, kept: timedelta, now: datetime) -> bool:
    return version.ended is not None and version.ended < now - kept


def _paths(version: StoredVersion) -> tuple[Path, ...]:
    return () if version.files is None else version.files.paths


def _named_next(connection: Connection, data: Path, states: Sequence[State] = OPEN) -> set[Path]:
    """The files of versions that are accepted and not recorded."""
    return {path for one in next_versions(connection, data, states) for path in one.files.paths}


def _named_now(connection: Connection, data: Path, asset: str) -> tuple[Path, ...]:
    """The files of the recorded version; none of a retired dataset."""
    row = find_asset(connection, parse_asset(asset))
    if row is None or row.status == "retired":
        return ()
    try:
        return source_files(data, row.number, metadata_of(connection, row.metadata_hash)["source"]).paths
    except EntryMissingError:
        return ()


def _pinned_paths(connection: Connection, data: Path, asset: str, now: datetime) -> set[Path]:
    """The files of a dataset's versions that a grant pins."""
    row = find_asset(connection, parse_asset(asset))
    pins = frozenset[int]() if row is None else pinned_versions(connection, row.number, now)
    if row is None or not pins:
        return set()
    known = _versions(connection, data, row)
    return {path for one in known if one.version in pins for path in _paths(one)}


def put_in_place(received: Path, place: Path, sha256: str) -> None:
    """Move a received file with this SHA-256 (hex) to its place. If the same file exists already, that one is kept
    and the new copy is deleted: a running read watches the file it opened, and would end if it were replaced."""
    place.parent.mkdir(exist_ok=True)
    with _placing:
        if intact(place, sha256):
            received.unlink()
        else:
            received.replace(place)
            for folder in (place.parent, place.parent.parent):
                _to_disk(folder)


def _to_disk(folder: Path) -> None:
    """Sync a directory: its files must survive a power failure, because an act that depends on them may follow."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep_spellings(kept: Path, spellings: Iterable[tuple[str, int]]) -> None:
    """Store beside a dataset's data (`SourceFiles.spellings`) the columns with values in several spellings, and how
    many (`QualityReport.spellings`)."""
    found = dict(spellings)
    if not found:
        kept.unlink(missing_ok=True)
        return
    coming = kept.parent.parent / f"{INCOMING}{kept.name}"  # An incomplete file is deleted at the next start.
    coming.write_bytes(orjson.dumps(found))
    coming.replace(kept)


def spellings_of(kept: Path) -> dict[str, int]:
    """The spellings that `keep_spellings` stored; empty if there are none."""
    try:
        found = orjson.loads(kept.read_bytes())
        return {str(column): int(values) for column, values in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def intact(place: Path, sha256: str) -> bool:
    """Whether the regular file at this path has this SHA-256 (hex), hashed now."""
    try:
        KnownFiles().open(place, sha256).close()
    except SourceError:
        return False
    return True


def delete_past_files(
    writer: GroupCommit, engine: Engine, data: Path, kept: timedelta | None, *, now: datetime | None = None
) -> int:
    """Delete the files whose version ended longer than ``kept`` ago (None: no file), each with its entry; returns
    how many.

    The entry is written first, so every deleted file is in the log. A file that still exists after its entry is
    deleted the next time, with another entry. A file that a next version names is kept, and so is a file of a
    version that a grant pins: it is deleted when no grant pins it, by the same rule.
    """
    if kept is None:
        return 0
    moment = now or datetime.now(UTC)
    with reader(engine).connect() as connection:
        over = list(past_files(connection, data, kept, moment))
    files: _Deleted = {}
    for version, path in over:
        retired = version.asset.status == "retired" and version.version == version.asset.version
        why = "retired" if retired else "superseded"
        facts: _Facts = {"version": version.version, "metadata": version.metadata_hash, "why": why}
        files.setdefault(version.asset.id, {})[path] = facts
    _delete(writer, data, files, moment)
    with reader(engine).connect() as connection:
        _tidy_spellings(connection, data, kept, moment)
    return len(over)


def _tidy_spellings(connection: Connection, data: Path, kept: timedelta, now: datetime) -> None:
    """Delete the stored spellings of versions that ended or failed."""
    found = set(data.glob(f"*/*{SPELLINGS}"))
    if not found:
        return
    for version in stored_versions(connection, data):
        if version.files is not None and (version.files.here or not _over(version, kept, now)):
            found.discard(version.files.spellings)
    found -= {one.files.spellings for one in next_versions(connection, data)}
    for path in found:
        path.unlink(missing_ok=True)


def given_up_files(connection: Connection, data: Path) -> list[tuple[NextVersion, Path]]:
    """The existing files of versions whose acts failed or expired, and that no other version names."""
    found = {
        path: one
        for one in next_versions(connection, data, GIVEN_UP)
        for path in one.files.paths
        if os.path.lexists(path)
    }
    if not found:
        return []
    named = _named_next(connection, data)
    named.update(path for one in stored_versions(connection, data) for path in _paths(one))
    return [(one, path) for path, one in found.items() if path not in named]


def delete_given_up_files(
    writer: GroupCommit, engine: Engine, data: Path, *, now: datetime | None = None
) -> int:
    """Delete the files of failed versions, each with its entry; returns how many."""
    with reader(engine).connect() as connection:
        over = given_up_files(connection, data)
    files: _Deleted = {}
    for one, path in over:
        facts: _Facts = {"version": one.version, "metadata": one.metadata_hash, "why": "not-recorded"}
        files.setdefault(asset_text(one.asset), {})[path] = facts
    _delete(writer, data, files, now or datetime.now(UTC))
    return len(over)


def _delete(writer: GroupCommit, data: Path, files: _Deleted, now: datetime) -> None:
    """Delete the files of one asset in one job. What a table of many parts and many grants keeps is computed once,
    because the log accepts nothing else meanwhile."""
    for asset, going in files.items():
        for facts in going.values():
            event = Event(id=new_event_id(), type=DELETED, time=now, asset=asset, facts=facts)
            writer.submit(_logged(event)).result()
        try:
            writer.submit(_removed(data, asset, tuple(going), now)).result()
        except OSError as failed:
            raise FileStays(
                f"a file of {asset} cannot be deleted", hint="see who owns its folder"
            ) from failed


def _removed(data: Path, asset: str, paths: Sequence[Path], now: datetime) -> Job[None]:
    def job(connection: Connection) -> JobResult[None]:
        # Acts are accepted and recorded only by this writer, so no act that names a file or pins its version can come
        # in between.
        named = _named_next(connection, data) | {*_named_now(connection, data, asset)}
        kept = named | _pinned_paths(connection, data, asset, now)
        for path in paths:
            if path not in kept:
                path.unlink(missing_ok=True)
                path.with_suffix(SPELLINGS).unlink(missing_ok=True)
        return JobResult(None)

    return job


def _logged(event: Event) -> Job[None]:
    return lambda _: JobResult(None, [NewEntry(event)])


class FileStays(AuditError):
    """An expired file could not be deleted."""

    code = "retention.file"


def check_files(connection: Connection, data: Path) -> Iterator[Damage]:
    """The faults of the files: each file is hashed completely.

    A version without its file is no fault: it may not have been handed in yet, or was deleted by the retention
    profile; the log has the entry (``department:source:received``, ``gateway:source:deleted``). A current version
    with only some of its parts is a fault.
    """
    known = _named_next(connection, data, EVERY_STATE)
    for version in stored_versions(connection, data):
        name = f"asset {version.asset.id}, version {version.version}"
        known.update(_paths(version))
        if version.ended is not None:
            continue
        if version.files is None:
            yield Damage("fsck.metadata", f"{name}: the catalogue entry that was signed is not here")
        elif 0 < len(missing := version.files.missing()) < len(version.files.paths):
            for path in missing:
                yield Damage("fsck.source", f"{name}: its part {path.relative_to(data)} is not here")
    for path in _everything(data):
        damage = _damage(path, path in known)
        if damage:
            yield Damage("fsck.source", f"{path.relative_to(data)} {damage}")


def count_files(data: Path) -> int:
    """How many files there are to check."""
    return sum(1 for _ in _everything(data))


def clear_incoming(data: Path) -> int:
    """At start-up: delete the incomplete uploads of a stopped service; returns how many files."""
    left = list(data.glob(f"{INCOMING}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _everything(data: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(data):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            if not name.startswith(INCOMING) and not name.endswith(SPELLINGS):
                yield Path(folder, name)


def _damage(path: Path, known: bool) -> str:
    if path.is_symlink() or not path.is_file():
        return "is not a regular file"
    named = _NAME.fullmatch(path.name)
    if named is None:
        return "is not a file of a dataset"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = digest_of(handle)
        finally:
            os.close(handle)
    except OSError:
        return "cannot be read"
    if found != named[1]:
        return "was changed: it is not the file that its steward signed"
    return "" if known else "is in the folder of a dataset, but no version of it names this file"
