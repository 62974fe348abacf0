"""The files of the datasets as they lie in the home directory: whose they are, whether they are the signed ones, and
which of them nobody needs any more.

A file is named after the SHA-256 that its steward signed. Every version of an asset has its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine

from access_policy.privacy.checked import digest_of
from api.catalogue import metadata_of, source_path
from api.problems import Problem
from ledger.audit.append import NewEntry
from ledger.audit.errors import AuditError
from ledger.audit.events import Event, new_event_id
from ledger.audit.fsck import Damage
from ledger.audit.writer import GroupCommit, Job, JobResult
from ledger.projection.pages import MAX_LIMIT
from ledger.projection.queries import Asset, assets, events
from ledger.store.engine import reader

DELETED = "gateway:source:deleted"

INCOMING = ".incoming-"
"""How the files begin that are being handed in; those of a stopped service are of no use to anybody."""

_NAME = re.compile(r"([0-9a-f]{64})\.(csv|parquet)", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of an asset and where its file belongs. ``ended`` is when a later one, or retirement, took its
    place; None while it is current. ``path`` is None when its catalogue entry is not here."""

    asset: Asset
    version: int
    metadata_hash: str
    path: Path | None
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
            path = source_path(data, asset.number, metadata_of(connection, metadata_hash))
        except Problem:
            path = None
        yield StoredVersion(asset, version, metadata_hash, path, ended)


def past_files(
    connection: Connection, data: Path, kept: timedelta, now: datetime
) -> Iterator[tuple[StoredVersion, Path]]:
    """The files that are there and whose last version ended longer than ``kept`` ago."""
    last: dict[Path, StoredVersion] = {}
    for version in stored_versions(connection, data):
        if version.path is None:
            continue
        before = last.get(version.path)
        if before is None or before.ended is not None:
            last[version.path] = version
    for path, version in last.items():
        if version.ended is not None and version.ended < now - kept and os.path.lexists(path):
            yield version, path


def delete_past_files(
    writer: GroupCommit, engine: Engine, data: Path, kept: timedelta | None, *, now: datetime | None = None
) -> int:
    """Delete the files whose version ended longer than ``kept`` ago (None: none), each with its entry; how many.

    The entry comes first: what is gone is in the log, and a file that is still there after its entry goes, with
    another entry, the next time.
    """
    if kept is None:
        return 0
    moment = now or datetime.now(UTC)
    with reader(engine).connect() as connection:
        over = list(past_files(connection, data, kept, moment))
    for version, path in over:
        retired = version.asset.status == "retired" and version.version == version.asset.version
        event = Event(
            id=new_event_id(),
            type=DELETED,
            time=moment,
            asset=version.asset.id,
            facts={
                "version": version.version,
                "metadata": version.metadata_hash,
                "why": "retired" if retired else "superseded",
            },
        )
        writer.submit(_logged(event)).result()
        try:
            path.unlink(missing_ok=True)
        except OSError as failed:
            raise FileStays(f"{path} cannot be deleted", hint="see who owns its folder") from failed
    return len(over)


def _logged(event: Event) -> Job[None]:
    return lambda _: JobResult(None, [NewEntry(event)])


class FileStays(AuditError):
    """A file whose time is over could not be deleted."""

    code = "retention.file"


def check_files(connection: Connection, data: Path) -> Iterator[Damage]:
    """What is wrong with the files: each is hashed from its first byte to its last.

    A version whose file is not here is no damage: it may not have been handed in yet, or has gone by the retention
    profile; the log tells (``department:source:received``, ``gateway:source:deleted``).
    """
    known: set[Path] = set()
    for version in stored_versions(connection, data):
        name = f"asset {version.asset.id}, version {version.version}"
        if version.path is not None:
            known.add(version.path)
        elif version.ended is None:
            yield Damage("fsck.metadata", f"{name}: the catalogue entry that was signed is not here")
    for path in _everything(data):
        damage = _damage(path, path in known)
        if damage:
            yield Damage("fsck.source", f"{path.relative_to(data)} {damage}")


def count_files(data: Path) -> int:
    """How many files there are to check."""
    return sum(1 for _ in _everything(data))


def clear_incoming(data: Path) -> int:
    """At start-up: remove what a stopped service was receiving; how many files."""
    left = list(data.glob(f"{INCOMING}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _everything(data: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(data):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            if not name.startswith(INCOMING):
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
