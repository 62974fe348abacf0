"""The catalogue entry of an asset as it was signed, the file it names, and who may see which part.

The entry is public. The digest and size of its file are for the parties of the asset (holder, processor, operator)
and for city-wide auditors: a small file can be guessed, and its digest would confirm the guess. Grantees are
excluded: a grantee who has some columns of a file could guess the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from api.runtime.errors import EntryMissingError
from languages.texts import in_both
from ledger.audit.formats.source_parts import manifest_digest, signed_files
from ledger.catalogue.metadata import MetadataError, is_sealed, parse_metadata, parse_opening
from ledger.ids import asset_text
from ledger.projection.queries import document

SPELLINGS = ".spellings.json"
"""The suffix of the files that list, for a dataset's data, the columns with values in several spellings."""


def signed_entry(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The catalogue entry for the hash on chain; refused if it does not hash to it, or is not an entry."""
    body = document(connection, metadata_hash.removeprefix("0x"))
    if body is None or "0x" + hashlib.sha256(body).hexdigest() != metadata_hash:
        raise EntryMissingError(in_both("the catalogue entry that was signed is not on this gateway"))
    try:
        return _entry(body)
    except (MetadataError, ValueError) as malformed:
        # The entry was checked at hand-in. An invalid one was written into the database by another way.
        raise EntryMissingError(in_both("what is stored is not a catalogue entry")) from malformed


def metadata_of(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The entry with its source opened (``{"format", "sha256", "bytes", "salt"?}``, or ``parts`` in place of digest
    and bytes): only for callers who may see it."""
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
        raise EntryMissingError(in_both("the opening of the source is not on this gateway"))
    return {**entry, "source": {"format": entry["source"]["format"], **opening}}


def public_entry(connection: Connection, metadata_hash: str) -> dict[str, Any]:
    """The public form of the entry. An entry that was signed with a plain digest is shown without it: only the
    parties can then check its hash."""
    entry = signed_entry(connection, metadata_hash)
    return entry if is_sealed(entry) else {**entry, "source": {"format": entry["source"]["format"]}}


def public_document(connection: Connection, named: str) -> bytes | None:
    """A public document by its hash; None also for the opening of a source."""
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
    """A catalogue entry, validated completely: that it was stored is no proof of its form."""
    return dict(parse_metadata(orjson.loads(body)).document)


@lru_cache(maxsize=1_024)
def _opening(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)
    parse_opening(found)
    return found


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The paths of one version's files. ``paths`` are those of its one file or of its parts, in the order of their
    rows. A file is named by its SHA-256, as the steward signed it; ``sizes`` are the signed sizes in bytes.
    ``spellings`` is the file with what is kept about the data."""

    paths: tuple[Path, ...]
    spellings: Path
    sizes: tuple[int, ...]

    def missing(self) -> tuple[Path, ...]:
        """The paths without a file."""
        return tuple(path for path in self.paths if not path.is_file())

    @property
    def here(self) -> bool:
        """Whether all files exist."""
        return all(path.is_file() for path in self.paths)

    def unfit(self) -> tuple[Path, ...]:
        """The paths without a file, or with a file of another size than was signed."""
        signed = zip(self.paths, self.sizes, strict=True)
        return tuple(path for path, size in signed if not path.is_file() or path.stat().st_size != size)


def source_files(data: Path, asset: int, source: Mapping[str, Any]) -> SourceFiles:
    """The files of an opened source. They are in the directory of their own dataset: the digest of another
    dataset's file names no file here."""
    folder, signed = data / asset_text(asset), signed_files(source)
    return SourceFiles(
        tuple(folder / f"{one.sha256}.{source['format']}" for one in signed),
        folder / f"{manifest_digest(source)}{SPELLINGS}",
        tuple(one.size for one in signed),
    )
