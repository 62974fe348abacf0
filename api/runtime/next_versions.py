"""New versions of datasets that are accepted and not recorded: their files must arrive before they take effect.

An accepted version waits for its file while the recorded version can be read (`must_wait`). The file is stored
beside the one that is read; the commit that logs it lets the outbox send the act. So reads use the old version
until the new one is recorded, and then the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from api.runtime.catalogue import SourceFiles, metadata_of, source_files
from api.runtime.errors import EntryMissingError
from ledger.acts.act import State
from ledger.audit.formats.source_parts import in_parts
from ledger.outbox import ActRecord, SignedAct
from ledger.outbox.store import OPEN, acts_of_type
from ledger.projection.queries import asset as find_asset

NEW_VERSION = "NewVersion"
EVERY_STATE: tuple[State, ...] = (*OPEN, "recorded", "failed", "expired")
GIVEN_UP: tuple[State, ...] = ("failed", "expired")


@dataclass(frozen=True, slots=True)
class NextVersion:
    """A version by its act: ``metadata`` is its entry with the source opened, ``files`` the paths of its file or
    parts."""

    act: ActRecord
    asset: int
    version: int
    metadata_hash: str
    metadata: dict[str, Any]
    files: SourceFiles


def next_versions(
    connection: Connection,
    data: Path,
    states: Sequence[State] = OPEN,
    asset: int | None = None,
    since: int | None = None,
) -> Iterator[NextVersion]:
    """The versions whose acts have one of these states, of every asset or of one; without those whose entry is no
    longer stored, or whose deadline was before ``since`` (unix seconds)."""
    for act in acts_of_type(connection, NEW_VERSION, states, since):
        message = act.message
        if asset is not None and message["asset"] != asset:
            continue
        try:
            metadata = metadata_of(connection, message["metadata"])
        except EntryMissingError:
            continue
        files = source_files(data, message["asset"], metadata["source"])
        yield NextVersion(act, message["asset"], message["version"], message["metadata"], metadata, files)


def must_wait(connection: Connection, data: Path, act: SignedAct) -> bool:
    """Whether an act to be accepted is a version whose file is missing, while the file of the recorded version is
    present. A file of another size than the act signs does not count.

    A version in parts always waits for all of them: once it is recorded, all of them were present.
    """
    if act.type != NEW_VERSION:
        return False
    row = find_asset(connection, act.message["asset"])
    if row is None:
        return False
    entry, opening = (orjson.loads(body) for body in act.documents[:2])
    if not source_files(data, row.number, {**entry["source"], **opening}).unfit():
        return False
    if in_parts(opening):
        return True
    try:
        present = metadata_of(connection, row.metadata_hash)["source"]
    except EntryMissingError:
        return False
    return source_files(data, row.number, present).here
