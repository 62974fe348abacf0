"""The catalogue entry of an asset as it was signed, and where its file lies."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from api.problems import Problem
from ledger.ids import asset_text
from ledger.projection.queries import document


def metadata_of(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The catalogue entry behind the hash that stands on chain; refused when it does not hash to it."""
    body = document(connection, metadata_hash.removeprefix("0x"))
    if body is None or "0x" + hashlib.sha256(body).hexdigest() != metadata_hash:
        raise Problem("asset.metadata-missing", "the catalogue entry that was signed is not on this gateway")
    return _parsed(body)


@lru_cache(maxsize=1_024)
def _parsed(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)
    return found


def source_path(data: Path, asset: int, metadata: dict[str, Any]) -> Path:
    """Where the file of this version stands; its name is its SHA-256, as the steward signed it."""
    source = metadata["source"]
    return data / asset_text(asset) / f"{source['sha256']}.{source['format']}"
