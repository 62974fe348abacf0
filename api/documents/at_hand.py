"""The catalogue as the service has it: the projection and the documents that were handed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from access_policy.errors import PolicyError
from access_policy.terms import Agreement, parse_terms
from api.catalogue import metadata_of
from api.documents.facts import Entry, Holding, Recorded
from api.problems import Problem
from ledger.catalogue.metadata import GRADES
from ledger.outbox.documents import ENTRY_ACTS
from ledger.outbox.store import open_messages
from ledger.projection.queries import Grant, asset_entries, document
from ledger.projection.queries import asset as find_asset
from ledger.projection.queries import grant as find_grant
from ledger.projection.queries import grants as find_grants

_PAGE = 200


@dataclass(frozen=True, slots=True)
class CatalogueAtHand:
    """A `Catalogue` over a connection; ``now`` in unix seconds tells expired grants from live ones."""

    connection: Connection
    now: int

    def dataset(self, asset: int) -> Entry | None:
        row = find_asset(self.connection, asset)
        if row is None:
            return None
        return Entry(
            asset,
            (row.holder, row.processor, row.operator),
            row.grade,
            row.sharing,
            row.status,
            metadata_of(self.connection, row.metadata_hash),
        )

    def grant(self, grant_id: str) -> Recorded | None:
        found = find_grant(self.connection, grant_id)
        return None if found is None else self._recorded(found)

    def stored(self, sha256: str) -> bytes | None:
        return document(self.connection, sha256)

    def holdings(self, sha256: str) -> Sequence[Holding]:
        found: dict[int, Holding] = {}
        for asset, metadata_hash, grade in self._entries():
            try:
                source = metadata_of(self.connection, metadata_hash)["source"]
            except Problem:
                continue
            if source["sha256"] != sha256:
                continue
            row = find_asset(self.connection, asset)
            if known := grade or (row and row.grade):
                found[asset] = Holding(asset, known)
        return list(found.values())

    def _entries(self) -> Iterator[tuple[int, str, str | None]]:
        """Asset, hash of the entry, and grade where it is not on record yet: of every version of every dataset, those
        last whose acts are still on their way."""
        for asset, metadata_hash in asset_entries(self.connection):
            yield asset, metadata_hash, None
        for message in open_messages(self.connection, ENTRY_ACTS):
            grade = GRADES[message["class"] - 1] if message.get("class") in (1, 2, 3) else None
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
        return Recorded(grant.id, grant.grantor, grant.grantee, grant.terms, self._agreement(grant))

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


class CatalogueForStrangers(CatalogueAtHand):
    """What anybody may be answered from, before it is known who signed: not which files are on record, since an answer
    would prove the guess of a small file's content."""

    def holdings(self, sha256: str) -> Sequence[Holding]:
        return ()
