"""New versions of datasets that are taken and not recorded: their files come first, and only then do they take effect.

A version whose act is taken waits for its file while the version on record can be read (`must_wait`). The file is put in
its place, beside the one that is read; the commit that logs it lets the act go to the chain. So reads go on over the old
version until the new one is recorded, and then go over the new one.
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
    """A version by its act: ``metadata`` is its entry with the source opened, ``files`` where its file or its parts belong."""

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
    """The versions whose acts stand in one of these states, of every asset or of one; without those whose entry is not
    here any more, or whose deadline was before ``since`` (unix seconds)."""
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
    """Whether an act that is to be taken is a version whose file is not here, while that of the version on record is.
    A file that is here with another size than the act signs is not its file.

    A version in parts waits for all of them in any case: once it is on record, all of them have been here.
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
