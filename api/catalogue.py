"""The catalogue entry of an asset as it was signed, the file it names, and who may see what.

The entry is public. The digest and size of its file are for the parties of the asset (holder, processor, operator) and
for city-wide auditors: a small file can be guessed, and its digest would prove the guess. Grantees are not among them:
who has some columns of a file could try out the others.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from api.problems import Problem
from ledger.catalogue.metadata import MetadataError, is_sealed, parse_metadata, parse_opening
from ledger.ids import asset_text
from ledger.projection.queries import document


def signed_entry(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The catalogue entry behind the hash that stands on chain; refused when it does not hash to it, or is none."""
    body = document(connection, metadata_hash.removeprefix("0x"))
    if body is None or "0x" + hashlib.sha256(body).hexdigest() != metadata_hash:
        raise Problem("asset.metadata-missing", "the catalogue entry that was signed is not on this gateway")
    try:
        return _entry(body)
    except (MetadataError, ValueError) as malformed:
        # It was checked when it was handed in. This one came into the database by another way.
        raise Problem("asset.metadata-missing", "what is stored is not a catalogue entry") from malformed


def metadata_of(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The entry with its source opened (``{"format", "sha256", "bytes", "salt"?}``): not for everybody's eyes."""
    entry = signed_entry(connection, metadata_hash)
    if not is_sealed(entry):
        return entry
    named = entry["source"]["opening"]
    body = document(connection, named)
    try:
        opening = None if body is None else _opening(body)
    except (MetadataError, ValueError):
        opening = None
    if opening is None or parse_opening(opening) != named:
        raise Problem("asset.metadata-missing", "the opening of the source is not on this gateway")
    return {**entry, "source": {"format": entry["source"]["format"], **opening}}


def public_entry(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The entry as everybody sees it. One that was signed with its digest written out is shown without it: its hash
    can then be checked by the parties only."""
    entry = signed_entry(connection, metadata_hash)
    return entry if is_sealed(entry) else {**entry, "source": {"format": entry["source"]["format"]}}


def public_document(connection: Connection, named: str) -> bytes | None:
    """A document by its hash, for everybody; None also for the opening of a source, whoever names it."""
    body = document(connection, named.removeprefix("0x"))
    if body is None:
        return None
    try:
        _opening(body)
    except (MetadataError, ValueError):
        return body
    return None


@lru_cache(maxsize=1_024)
def _entry(body: bytes) -> dict[str, Any]:
    """A catalogue entry, checked in full: nothing of it is believed for having been stored."""
    return dict(parse_metadata(orjson.loads(body)).document)


@lru_cache(maxsize=1_024)
def _opening(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)
    parse_opening(found)
    return found


def source_path(data: Path, asset: int, metadata: dict[str, Any]) -> Path:
    """Where the file of this version stands; its name is its SHA-256, as the steward signed it."""
    source = metadata["source"]
    return data / asset_text(asset) / f"{source['sha256']}.{source['format']}"
