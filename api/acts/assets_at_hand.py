"""An asset as the data plane needs it: its schema, its file, and whether it may be read at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
from sqlalchemy import Connection

from access_policy.privacy.schema import AssetSchema, parse_schema
from access_policy.privacy.source import Source
from api.catalogue import metadata_of, source_path
from api.gateway import Gateway
from api.problems import Problem
from ledger.ids import asset_text
from ledger.projection.queries import Asset
from ledger.projection.queries import asset as find_asset

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the current version of an asset stands.

    ``version`` and ``metadata_hash`` name it as the chain does; ``source`` is the file whose SHA-256 was signed with it.
    ``unavailable`` is a reason code when the asset may not be read at present (suspended, barred, retired, or not the
    version that the chain has).
    """

    asset: int
    version: int
    metadata_hash: str
    schema: AssetSchema
    source: Source
    unavailable: str | None

    def must_be_readable(self) -> None:
        """Problem ``source.missing`` when the holder has not handed in the file yet."""
        if not Path(self.source.path).is_file():
            raise Problem(
                "source.missing", f"the data of asset {asset_text(self.asset)} have not been handed in yet"
            )


def shelf_of(gateway: Gateway, connection: Connection, asset: int) -> Shelf:
    """The asset's current version; Problem ``asset.unknown`` when nothing is registered under the id."""
    row = find_asset(connection, asset)
    if row is None:
        raise Problem("asset.unknown", f"no asset {asset_text(asset)} is registered")
    metadata = metadata_of(connection, row.metadata_hash)
    path = source_path(gateway.home.data, asset, metadata)
    schema = _schema(orjson.dumps(metadata["schema"]))
    signed = metadata["source"]
    source = Source(str(path), signed["format"], schema, signed["sha256"])
    return Shelf(
        asset, row.version, row.metadata_hash, schema, source, _unavailable(gateway, connection, row)
    )


def _unavailable(gateway: Gateway, connection: Connection, row: Asset) -> str | None:
    """Why the asset may not be read, by the projection and by the chain; None when it may."""
    known = gateway.states.asset(row.number, row.version)
    if row.version < known.version:
        return "asset.version-behind"
    if row.version != known.version or not gateway.versions.signed(connection, row):
        _log.error("asset %s, version %s: the chain has no such catalogue entry", row.id, row.version)
        return "asset.version-unsigned"
    stopped = next((status for status in (row.status, known.status) if status != "active"), None)
    return None if stopped is None else f"asset.{stopped}"


@lru_cache(maxsize=1_024)
def _schema(canonical: bytes) -> AssetSchema:
    return parse_schema(orjson.loads(canonical))
