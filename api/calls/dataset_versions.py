"""The version of an asset that a call reads: the current one, or an earlier one that a grant pins.

A suspension, bar or retirement of an asset applies to every version, so it is checked on the current one. An
earlier version also needs its entry, signed on the chain like every other, and its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from access_policy.decision.answers import Decision, Deny, Permit, Reason, version_text
from access_policy.terms.agreement import Agreement
from access_policy.terms.slots import pins_of
from api.calls.dataset_sources import DatasetSource, DatasetSources, StoredDataset
from api.runtime.errors import EntryMissingError
from ledger.projection.queries import Asset, asset_version


@dataclass(frozen=True, slots=True)
class DatasetVersions:
    """The current version of an asset and the earlier ones that a call may read."""

    current: DatasetSource
    earlier: Mapping[int, DatasetSource]

    @classmethod
    def of(
        cls,
        sources: DatasetSources,
        row: Asset,
        current: DatasetSource,
        agreements: Iterable[Agreement],
        asked: int | None,
    ) -> DatasetVersions:
        """The recorded versions that the agreements pin or that the call asks for. The chain is asked whether
        their entries were signed, so the caller must not hold a connection to the database."""
        pinned = {pin for agreement in agreements for pin in pins_of(agreement)}
        wanted = sorted(one for one in {*pinned, asked} if one is not None and one < current.version)
        if not wanted:
            return cls(current, {})
        with sources.reading.connect() as connection:
            found = {one: _stored(sources, connection, row, one) for one in wanted}
        return cls(
            current, {one: sources.earlier(stored) for one, stored in found.items() if stored is not None}
        )

    def have(self, column: str) -> bool:
        """Whether any of these versions has this column."""
        return any(column in one.schema.names() for one in (self.current, *self.earlier.values()))

    def read_by(self, decision: Decision, asked: int | None) -> tuple[DatasetSource, Decision]:
        """The version that a decision is about, and the decision; a denial if this version cannot be read."""
        if isinstance(decision, Deny):
            return self.earlier.get(asked or 0, self.current), decision
        number = decision.version or self.current.version
        if number == self.current.version:
            return self.current, decision
        source = self.earlier.get(number)
        if source is None:
            return self.current, self._refused(decision, "version.unknown")
        refused = source.unavailable or source.gone
        return source, decision if refused is None else self._refused(decision, refused)

    def _refused(self, permit: Permit, code: str) -> Deny:
        seen = version_text(permit.version, self.current.version)
        return Deny((Reason(code, permit.grant, permit.rule, seen=seen),))


def _stored(sources: DatasetSources, connection: Connection, row: Asset, number: int) -> StoredDataset | None:
    """A version from the projection; None if no version has this number or its catalogue entry is missing."""
    found = asset_version(connection, row.id, number)
    if found is None:
        return None
    try:
        return sources.stored_row(connection, replace(row, version=number, metadata_hash=found.metadata_hash))
    except EntryMissingError:
        return None
