"""The catalogue in the service: the projection and the stored documents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, parse_terms
from api.documents.facts import Entry, Holding, Recorded
from api.runtime.catalogue import metadata_of, source_files
from api.runtime.errors import EntryMissingError
from api.runtime.stored_files import spellings_of
from contracts.codes import Grade
from ledger.acts.documents import ENTRY_ACTS
from ledger.audit.formats.source_parts import signed_files
from ledger.catalogue.metadata import GRADES
from ledger.outbox.store import open_messages
from ledger.projection.queries import Asset, Grant, asset_entries, asset_version, document
from ledger.projection.queries import asset as find_asset
from ledger.projection.queries import grant as find_grant
from ledger.projection.queries import grants as find_grants

_PAGE = 200


@dataclass(frozen=True, slots=True)
class StoredCatalogue:
    """A `Catalogue` over a connection and the directory of the datasets' files; ``now`` (unix seconds) separates
    expired grants from live ones."""

    connection: Connection
    now: int
    data: Path

    def dataset(self, asset: int) -> Entry | None:
        row = find_asset(self.connection, asset)
        if row is None:
            return None
        return self._entry(row)

    def version(self, asset: int, number: int) -> Entry | None:
        row = find_asset(self.connection, asset)
        found = None if row is None else asset_version(self.connection, row.id, number)
        if row is None or found is None:
            return None
        return self._entry(replace(row, version=number, metadata_hash=found.metadata_hash))

    def _entry(self, row: Asset) -> Entry:
        metadata = metadata_of(self.connection, row.metadata_hash)
        files = source_files(self.data, row.number, metadata["source"])
        return Entry(
            row.number,
            (row.holder, row.processor, row.operator),
            row.grade,
            row.sharing,
            row.status,
            metadata,
            spellings_of(files.spellings),
            row.version,
            files.here,
        )

    def grant(self, grant_id: str) -> Recorded | None:
        found = find_grant(self.connection, grant_id)
        return None if found is None else self._recorded(found)

    def stored(self, sha256: str) -> bytes | None:
        return document(self.connection, sha256)

    def holdings(self, files: Collection[str]) -> Sequence[Holding]:
        found: dict[int, Holding] = {}
        for asset, metadata_hash, grade in self._entries():
            try:
                source = metadata_of(self.connection, metadata_hash)["source"]
            except EntryMissingError:
                continue
            if all(one.sha256 not in files for one in signed_files(source)):
                continue
            row = find_asset(self.connection, asset)
            if known := grade or (row and row.grade):
                found[asset] = Holding(asset, known)
        return list(found.values())

    def _entries(self) -> Iterator[tuple[int, str, str | None]]:
        """Asset, hash of the entry, and grade if it is not recorded yet, of every version of every dataset;
        versions whose acts are still being sent come last."""
        for asset, metadata_hash in asset_entries(self.connection):
            yield asset, metadata_hash, None
        for message in open_messages(self.connection, ENTRY_ACTS):
            grade = GRADES[message["class"] - 1] if message.get("class") in tuple(Grade) else None
            yield message["asset"], message["metadata"], grade

    def live_grants(self, asset: int) -> Sequence[Recorded]:
        live: list[Recorded] = []
        after: str | None = None
        while True:
            found = find_grants(self.connection, asset=asset, status="active", after=after, limit=_PAGE)
            live += [self._recorded(grant) for grant in found.items if grant.expiry > self.now]
            if found.next is None:
                return live
            after = found.next

    def _recorded(self, grant: Grant) -> Recorded:
        agreed = self._agreement(grant)
        return Recorded(grant.id, grant.grantor, grant.grantee, grant.terms, agreed, grant.replaced_by)

    def _agreement(self, grant: Grant) -> Agreement | None:
        body = (
            document(self.connection, str(grant.terms["termsHash"]).removeprefix("0x"))
            if grant.terms
            else None
        )
        try:
            terms = None if body is None else parse_terms(body)
        except PolicyError:
            return None
        return terms if isinstance(terms, Agreement) else None


class PublicCatalogue(StoredCatalogue):
    """The catalogue for checks before the signer is known. It does not tell which files are on record, because that
    would confirm a guess of a small file's content."""

    def holdings(self, files: Collection[str]) -> Sequence[Holding]:
        return ()
