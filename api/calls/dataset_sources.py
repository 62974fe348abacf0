"""A dataset for the data plane: its schema, its files, and whether it may be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source, SourceFile
from api.runtime.catalogue import metadata_of, source_files
from api.runtime.chain_states import ChainStates, ChainVersions
from api.runtime.errors import RefusedError
from api.runtime.following import Following
from languages.texts import in_both
from ledger.audit.formats.source_parts import signed_files
from ledger.clock import Timekeeper
from ledger.ids import asset_text
from ledger.projection.queries import Asset
from ledger.projection.queries import asset as find_asset

BEHIND, UNSIGNED = "asset.version-behind", "asset.version-unsigned"
FOLLOWED_S = 2.0
"""How long a call waits, in seconds, for the service to follow a version that is on the chain."""
_LOOK_AGAIN_S = 0.02
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """The version that a call reads: the current version of an asset, or an earlier one that a grant pins.

    ``version`` and ``metadata_hash`` are those on the chain; ``source`` is the file whose SHA-256 was signed
    with the version. ``unavailable`` is a reason code if the asset may not be read at present (suspended,
    barred, retired, or not the version on the chain). ``earlier``: a newer version replaced it.
    """

    asset: int
    version: int
    metadata_hash: str
    schema: AssetSchema
    source: Source
    unavailable: str | None
    earlier: bool = False

    @property
    def gone(self) -> str | None:
        """The code of the refusal if this is an earlier version of which a file was deleted; None
        otherwise."""
        here = all(Path(path).is_file() for path in self.source.paths)
        return "version.not-kept" if self.earlier and not here else None

    def must_be_readable(self) -> None:
        """RefusedError ``source.missing`` if the holder has not uploaded any file yet. If only some parts are
        missing, the scan reports that."""
        if not self.earlier and not any(Path(path).is_file() for path in self.source.paths):
            raise RefusedError(
                "source.missing",
                in_both(
                    "the data of asset {asset} have not been handed in yet", asset=asset_text(self.asset)
                ),
            )


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """An asset as the projection has it, not yet checked against the chain."""

    row: Asset
    schema: AssetSchema
    source: Source


@dataclass(frozen=True, slots=True)
class DatasetSources:
    """Reads datasets from the projection (``reading``, without a write lock) and checks them against the
    chain. ``data`` is the folder of the files."""

    reading: Engine
    states: ChainStates
    versions: ChainVersions
    following: Following
    clock: Timekeeper
    data: Path

    def stored(self, connection: Connection, asset: int) -> StoredDataset:
        """The asset's current version; RefusedError ``asset.unknown`` if no asset is registered under the
        id."""
        row = find_asset(connection, asset)
        if row is None:
            raise RefusedError(
                "asset.unknown", in_both("no asset {asset} is registered", asset=asset_text(asset))
            )
        return self.stored_row(connection, row)

    def stored_row(self, connection: Connection, row: Asset) -> StoredDataset:
        """The version of this row; EntryMissingError if its catalogue entry is missing."""
        metadata = metadata_of(connection, row.metadata_hash)
        schema = _schema(orjson.dumps(metadata["schema"]))
        return StoredDataset(row, schema, stored_source(self.data, row.number, metadata["source"], schema))

    def followed(self, stored: StoredDataset) -> DatasetSource:
        """The current version after the service has followed the one on the chain; the older one if that
        takes longer than `FOLLOWED_S`. The chain is asked, so the caller must not hold a connection to the
        database.

        A new version is on the chain shortly before the service has followed it; a call in between waits.
        """
        source = self._current(stored)
        until = self.clock.elapsed() + FOLLOWED_S
        while source.unavailable == BEHIND and self.clock.elapsed() < until:
            time.sleep(_LOOK_AGAIN_S)
            with self.reading.connect() as connection:
                stored = self.stored(connection, source.asset)
            source = self._current(stored)
        return source

    def earlier(self, stored: StoredDataset) -> DatasetSource:
        """An earlier version. It is unavailable unless the chain shows that its entry was signed."""
        signed = self.versions.signed(self.reading, stored.row)
        if not signed:
            _log_unsigned(stored.row)
        return _source(stored, None if signed else UNSIGNED, earlier=True)

    def _current(self, stored: StoredDataset) -> DatasetSource:
        return _source(stored, self._unavailable(stored.row))

    def _unavailable(self, row: Asset) -> str | None:
        """The code of why the asset may not be read, according to the projection and the chain; None if it
        may.

        The service follows a block only at a configured depth. Until the block of a new version is that deep,
        the version before it is the recorded one and may be read.
        """
        known, depth = self.states.asset(row.number, row.version), self.following.depth
        if row.version < known.version and not (
            depth and row.version == self.states.version_at_depth(row.number, depth)
        ):
            return BEHIND
        if row.version > known.version or not self.versions.signed(self.reading, row):
            _log_unsigned(row)
            return UNSIGNED
        stopped = next((status for status in (row.status, known.status) if status != "active"), None)
        return None if stopped is None else f"asset.{stopped}"


def stored_source(data: Path, asset: int, signed: Mapping[str, Any], schema: AssetSchema) -> Source:
    """The files of a disclosed source, each with its signed digest."""
    digests = [one.sha256 for one in signed_files(signed)]
    paths = map(str, source_files(data, asset, signed).paths)
    first, *further = map(SourceFile, paths, digests)
    return Source(first.path, signed["format"], schema, first.sha256, tuple(further))


def _source(stored: StoredDataset, unavailable: str | None, *, earlier: bool = False) -> DatasetSource:
    row = stored.row
    return DatasetSource(
        row.number, row.version, row.metadata_hash, stored.schema, stored.source, unavailable, earlier
    )


def _log_unsigned(row: Asset) -> None:
    _log.error("asset %s, version %s: the chain has no such catalogue entry", row.id, row.version)


@lru_cache(maxsize=1_024)
def _schema(canonical: bytes) -> AssetSchema:
    return parse_schema(orjson.loads(canonical))
