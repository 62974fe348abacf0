"""The readers of one person's record, as far as the log shows them: reads that named the person, releases
whose rows could contain the person, and reads that cannot be judged.

A release could contain a person unless its filters exclude every row with that key: the grantee's predicate
and the steward's row filter are evaluated with the key alone, and conditions on other columns count as
unknown. A read that cannot be evaluated, because an opening was erased or is older than this rule, is
reported as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson
from sqlalchemy import Connection

from access_policy.analysis.redecide import recall, with_newer
from access_policy.decision.answers import Permit
from access_policy.decision.engine import decide
from access_policy.errors import PolicyError
from access_policy.privacy.persons import could_hold, is_of_type
from access_policy.privacy.query import predicate_of
from access_policy.privacy.schema import AssetSchema, Column
from access_policy.terms.agreement import Agreement, parse_terms
from access_policy.terms.rows import RowPredicate, rows_to_json
from api.calls.persons import (
    DECISION,
    PERSONS,
    key_column,
    schema_at,
    schema_of,
    subject_names_at,
)
from api.protocol.http_signatures import RESPONSE
from api.runtime.errors import EntryMissingError
from languages.texts import N_
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import NotReplayable, Opening, OpeningVault
from ledger.audit.log.search import Found
from ledger.audit.log.search import Query as Search
from ledger.ids import asset_text
from ledger.projection.call_grants import recorded_grants
from ledger.projection.queries import document, grant
from ledger.projection.views import AncestorGrant

READS = "gateway:read:"
MOST_LOOKED_AT = 2_000
"""The limit of entries examined for one page; a page may have fewer items than the limit and still have a
next page."""

Finding: TypeAlias = Literal["named", "could_contain", "unknown"]
WHY: Mapping[str, str] = {
    "dataset.not-registered": N_("no such dataset is registered"),
    "dataset.no-person-key": N_("the dataset has no column that tells persons apart"),
    "subject.not-of-type": N_("no row can have this key: it is not of the column's type"),
    "entries.archived": N_("entries before this index are archived: search the bundle that keeps them"),
    "opening.erased": N_("the opening of the decision was erased or has expired"),
    "query.not-recorded": N_("the entry was made before queries were recorded with decisions"),
    "metadata.not-at-hand": N_("the catalogue entry of the version that was read is not at hand"),
    "terms.not-at-hand": N_("the terms of the grant are not at hand"),
}


class _CannotTell(Exception):
    """The code of why one release cannot be judged."""


@dataclass(frozen=True, slots=True)
class Read:
    """One entry and its finding about the person. ``filters`` are those of a release that could contain the
    person."""

    found: Found
    finding: Finding
    why: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readers:
    """A page of reads, the reasons why the dataset as a whole cannot be judged, and the entry after which the
    next page begins."""

    reads: tuple[Read, ...]
    whole: tuple[Mapping[str, Any], ...]
    next: int | None


def readers_of(
    log: AuditLog,
    vault: OpeningVault,
    connection: Connection,
    asset: int,
    spelled: str,
    *,
    after: int,
    limit: int,
) -> Readers:
    """The reads of a dataset after an entry, in the order of the log, that have a finding about one
    person."""
    schema = schema_at(connection, asset)
    judge = _Judge(log, vault, connection, schema, spelled)
    names = subject_names_at(connection, asset, spelled)
    reads: list[Read] = []
    looked = 0
    while looked < MOST_LOOKED_AT:
        page = log.search_in(
            connection,
            Search(asset=asset_text(asset), type_prefix=READS),
            cursor=None if after < 0 else str(after),
            limit=200,
        )
        last = page.hits[-1].index if page.cursor is not None else log.state_in(connection).size - 1
        naming = _naming(vault, connection, names, after, last)
        hits = {hit.index: hit for hit in page.hits}
        for index in sorted(hits.keys() | naming):
            # The dataset of an archived entry is unknown, but its opening may still name the person.
            hit = hits.get(index) or Found(index, log.entry_in(connection, index).leaf)
            read = Read(hit, "named") if index in naming else judge.read(hit)
            after, looked = index, looked + 1
            if read is not None:
                reads.append(read)
                if len(reads) == limit:
                    return Readers(tuple(reads), judge.whole(), after)
        if page.cursor is None:
            return Readers(tuple(reads), judge.whole(), None)
        after = last
    return Readers(tuple(reads), judge.whole(), after)


def _naming(
    vault: OpeningVault, connection: Connection, names: tuple[str, ...], after: int, last: int
) -> frozenset[int]:
    """The entries in this part of the log that name the person."""
    found: list[int] = []
    at = after
    while True:
        # The outcome of a read is also about the person, but it is not a read.
        some = vault.entries_of(connection, *names, without=RESPONSE, after=at, limit=1_000)
        found += [index for index in some if index <= last]
        if len(some) < 1_000 or some[-1] > last:
            return frozenset(found)
        at = some[-1]


class _Judge:
    """Judges reads for one person."""

    def __init__(
        self,
        log: AuditLog,
        vault: OpeningVault,
        connection: Connection,
        schema: AssetSchema | None,
        spelled: str,
    ) -> None:
        self._log, self._vault = log, vault
        self._connection, self._schema, self._spelled = connection, schema, spelled
        self._key: Column | None = None if schema is None else key_column(schema)
        self._keys: dict[str, Column | None] = {}
        self._agreements: dict[str, Agreement] = {}
        self._lines: dict[str, tuple[tuple[str, Agreement], ...]] = {}

    def whole(self) -> tuple[Mapping[str, Any], ...]:
        """The reasons why no entry, or no entry before an index, can be judged."""
        codes: list[dict[str, Any]] = []
        if self._schema is None:
            codes.append({"why": "dataset.not-registered"})
        elif self._key is None:
            codes.append({"why": "dataset.no-person-key"})
        elif not is_of_type(self._key.type, self._spelled):
            codes.append({"why": "subject.not-of-type"})
        self._log.state_in(self._connection)
        if pruned := self._log.pruned_in(self._connection):
            codes.append({"why": "entries.archived", "before": pruned})
        return tuple(code | {"meaning": WHY[code["why"]]} for code in codes)

    def read(self, hit: Found) -> Read | None:
        """The finding of a read that does not name the person; None if it cannot have contained the
        person."""
        event: dict[str, Any] = orjson.loads(hit.leaf or b"{}")
        if event.get("decision") != "permit":
            return None
        try:
            key = self._key_of(event)
            if key is None:
                raise _CannotTell("dataset.no-person-key")
            if not is_of_type(key.type, self._spelled):
                return None
            filters = self._filters(hit.index, event, key)
        except _CannotTell as why:
            return Read(hit, "unknown", str(why))
        return None if filters is None else Read(hit, "could_contain", "", filters)

    def _key_of(self, event: Mapping[str, Any]) -> Column | None:
        """The person key of the version that was read; that of the current version if the entry does not name
        one."""
        version = event.get("facts", {}).get("metadata")
        if version is None:
            return self._key
        if version not in self._keys:
            try:
                self._keys[version] = key_column(schema_of(self._connection, version))
            except EntryMissingError:
                raise _CannotTell("metadata.not-at-hand") from None
        return self._keys[version]

    def _filters(self, index: int, event: Mapping[str, Any], key: Column) -> dict[str, Any] | None:
        """The filters of a release, or None if they exclude the person."""
        openings = self._openings(index)
        recorded = openings[DECISION].value
        query = recorded.get("query")
        if query is None:
            raise _CannotTell("query.not-recorded")
        permit = self._permit(event, recorded)
        shape = query["shape"].get("where")
        where = None if shape is None else _where(shape, query["literals"], openings)
        # The grantee's predicate is on released values, so it cannot exclude the person if the key is
        # transformed.
        filters = (permit.row_filter, where if key.name not in permit.transforms else None)
        if not all(one is None or could_hold(one, key.name, key.type, self._spelled) for one in filters):
            return None
        rows = None if permit.row_filter is None else rows_to_json(permit.row_filter)
        return {"rows": rows, "where": shape, "limit": query["shape"].get("limit")}

    def _openings(self, index: int) -> dict[str, Opening]:
        try:
            openings = self._vault.openings(self._connection, index)
        except NotReplayable:
            openings = {}
        if DECISION not in openings:
            raise _CannotTell("opening.erased")
        return openings

    def _permit(self, event: Mapping[str, Any], recorded: Mapping[str, Any]) -> Permit:
        grant_id = str(event.get("grant"))
        agreement = self._agreement(str(event.get("terms_hash")).removeprefix("0x"))
        try:
            request, context = recall(recorded)
            outcome = decide(
                request,
                {grant_id: agreement},
                context,
                ancestors={grant_id: self._applied_above(grant_id, event)},
            )
        except PolicyError:
            raise _CannotTell("terms.not-at-hand") from None
        if not isinstance(outcome, Permit):
            raise _CannotTell("terms.not-at-hand")
        return outcome

    def _applied_above(self, grant_id: str, event: Mapping[str, Any]) -> tuple[tuple[str, Agreement], ...]:
        """The ancestors whose terms applied to the call, and the grants that had replaced one of them by
        then."""
        above = self._above(grant_id)
        replaced = str((event.get("facts") or {}).get("replaced", ""))
        newer = with_newer([one for one, _ in above], replaced)[len(above) :]
        return *above, *(
            (one.id, self._agreement_of(one)) for one in recorded_grants(self._connection, newer)
        )

    def _agreement_of(self, one: AncestorGrant) -> Agreement:
        return self._agreement(str(one.terms.get("termsHash", "")).removeprefix("0x"))

    def _above(self, grant_id: str) -> tuple[tuple[str, Agreement], ...]:
        """The ancestors of a delegated grant with their terms, the parent first."""
        if grant_id not in self._lines:
            line: list[tuple[str, Agreement]] = []
            at = grant(self._connection, grant_id)
            while at is not None and at.parent is not None:
                at = grant(self._connection, at.parent)
                if at is None:
                    raise _CannotTell("terms.not-at-hand")
                line.append((at.id, self._agreement(str(at.terms.get("termsHash", "")).removeprefix("0x"))))
            self._lines[grant_id] = tuple(line)
        return self._lines[grant_id]

    def _agreement(self, terms_hash: str) -> Agreement:
        if terms_hash not in self._agreements:
            body = document(self._connection, terms_hash)
            terms = None if body is None else parse_terms(body)
            if not isinstance(terms, Agreement):
                raise _CannotTell("terms.not-at-hand")
            self._agreements[terms_hash] = terms
        return self._agreements[terms_hash]


def _where(shape: object, literals: list[Any], openings: Mapping[str, Opening]) -> RowPredicate:
    """Rebuild the grantee's predicate; the values that name persons are in separate openings."""
    try:
        return predicate_of(
            shape,
            [
                openings[f"{PERSONS}/{value['person']}"].value[value["of"]]
                if isinstance(value, dict)
                else value
                for value in literals
            ],
        )
    except KeyError:
        raise _CannotTell("opening.erased") from None
