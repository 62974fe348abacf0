"""Which file a call may hand in: only one whose SHA-256 the steward signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source, SourceFile
from api.calls.dataset_sources import stored_source
from api.runtime.catalogue import SourceFiles, metadata_of, source_files
from api.runtime.chain_states import ChainStates, ChainVersions
from api.runtime.errors import RefusedError
from api.runtime.next_versions import next_versions
from api.runtime.pinned_versions import pinned_versions
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.acts.act import AWAITING_FILE
from ledger.audit.formats.source_parts import signed_files
from ledger.clock import Timekeeper
from ledger.ids import asset_text, parse_asset
from ledger.outbox import ActRecord
from ledger.outbox.store import OPEN
from ledger.pages import MAX_LIMIT
from ledger.projection.queries import Asset, asset_versions, assets
from ledger.projection.queries import asset as find_asset
from ledger.releases import nonce_used

LATE_S = 3_600
"""How long after the deadline of its act an uploader is told that the act expired, in seconds. Older expired acts
are not examined: they are never deleted, and a stolen key can make thousands."""


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """The file that a call may hand in: its signed digest and size, and its path.

    ``signed`` are all files of its version, of which it is one. ``act`` is the id of the act that will record the
    version, if it is not recorded yet, and ``until`` its deadline (unix seconds).
    """

    asset: int
    version: int
    metadata_hash: str
    sha256: str
    size: int
    place: Path
    signed: Source = field(repr=False)
    files: SourceFiles = field(repr=False)
    act: str | None = field(default=None, compare=False)
    until: int | None = field(default=None, compare=False)

    def with_it(self, path: Path) -> Source:
        """The stored files of its version, with the received one at ``path`` in its place."""
        files = [
            SourceFile(str(path), self.sha256) if file.path == str(self.place) else file
            for file in self.signed.files
        ]
        return self.signed.over([file for file in files if Path(file.path).is_file()])

    @property
    def completes(self) -> bool:
        """Whether all other files of its version are stored."""
        return {self.place}.issuperset(self.files.unfit())


@dataclass(frozen=True, slots=True)
class ExpectedFiles:
    """Finds the expected file. ``reading`` is the database without a write lock, ``data`` the directory of the
    files, ``department_bytes`` a department's quota in bytes."""

    reading: Engine
    states: ChainStates
    versions: ChainVersions
    clock: Timekeeper
    data: Path
    department_bytes: int

    def expected(self, call: SignedCall, asset: str, declared: int | None) -> ExpectedFile:
        """The file that this call may hand in, determined before a byte of its body is stored.

        The department must hold a right in the asset. The digest that the call signed, and the length if it
        declares one, must be those of the present catalogue entry, or of a next version whose act was accepted and
        has not expired. RefusedError otherwise, also if the department's data would exceed its quota.
        """
        number = parse_asset(asset)
        with self.reading.connect() as connection:
            if nonce_used(connection, call.key_id, call.nonce):
                raise RefusedError("call.replayed", in_both("this signature's nonce was used before"))
            row = find_asset(connection, number)
            if row is None:
                raise RefusedError(
                    "asset.unknown", in_both("no asset {number} is registered", number=asset_text(number))
                )
        known = self.states.asset(number, row.version)
        if call.department not in (known.holder, known.processor, known.operator):
            raise RefusedError(
                "caller.not-holder",
                in_both("only a department that holds a right in the asset hands in its data"),
            )
        if "retired" in (row.status, known.status):
            raise RefusedError(
                "asset.retired",
                in_both("asset {number} is retired; its data are not kept", number=asset_text(number)),
            )
        if row.version != known.version or not self.versions.signed(self.reading, row):
            raise RefusedError(
                "asset.version-unsigned",
                in_both("the stored catalogue entry is not the present one on chain"),
            )
        with self.reading.connect() as connection:
            named = self._named(connection, row, call.body_sha256.hex(), declared)
            self._must_fit_quota(connection, known.holder, named.place, named.size)
        return named

    def _named(self, connection: Connection, row: Asset, sha256: str, declared: int | None) -> ExpectedFile:
        """The file with this digest, of the present version, of the next one, or of an earlier one that a grant
        pins; RefusedError if none of them names it.

        If several versions await it, the version that it completes is chosen, so that it takes effect.
        """
        present = self._expected(
            row.number, row.version, row.metadata_hash, metadata_of(connection, row.metadata_hash)
        )
        waiting: list[ExpectedFile] = []
        others = list(present)
        data, now = self.data, int(self.clock.utc().timestamp())
        for one in (
            *next_versions(connection, data, OPEN, row.number),
            *next_versions(connection, data, ("expired",), row.number, now - LATE_S),
        ):
            if one.version == row.version + 1:
                files = self._expected(one.asset, one.version, one.metadata_hash, one.metadata, one.act)
                (waiting if one.act.state == AWAITING_FILE else others).extend(files)
        fitting = [
            one for one in (*waiting, *others) if one.sha256 == sha256 and declared in (None, one.size)
        ]
        fitting.sort(key=lambda one: one.act is None or not one.completes)
        named = next((one for one in fitting if one.until is None or one.until > now), None)
        if named is None:  # This reads all grants, so it runs only for a file that nothing else needs.
            pinned = (one for one in self._pinned(connection, row) if one.sha256 == sha256)
            named = next((one for one in pinned if declared in (None, one.size)), None)
        if named is None and fitting:
            raise RefusedError(
                "act.expired", in_both("the deadline of the act that names this file has passed")
            )
        if named is None:
            raise RefusedError(
                "source.mismatch",
                in_both(
                    "the file is not the one that the register entry, or a new version that awaits its file, names by its SHA-256 and size"
                ),
            )
        return named

    def _pinned(self, connection: Connection, row: Asset) -> list[ExpectedFile]:
        """The files of earlier versions that grants still read: a lost one can be handed in again."""
        found: list[ExpectedFile] = []
        pinned = pinned_versions(connection, row.number, self.clock.utc())
        for one in asset_versions(connection, row.id) if pinned else ():
            if one.number in pinned and one.number < row.version:
                metadata = metadata_of(connection, one.metadata_hash)
                found += self._expected(row.number, one.number, one.metadata_hash, metadata)
        return found

    def _expected(
        self,
        asset: int,
        version: int,
        metadata_hash: str,
        metadata: Mapping[str, Any],
        act: ActRecord | None = None,
    ) -> list[ExpectedFile]:
        """The files of a version, each as an `ExpectedFile`."""
        source = metadata["source"]
        schema = parse_schema(metadata["schema"])
        signed = stored_source(self.data, asset, source, schema)
        files = source_files(self.data, asset, source)
        return [
            ExpectedFile(
                asset,
                version,
                metadata_hash,
                one.sha256,
                one.size,
                place,
                signed,
                files,
                None if act is None else act.id,
                None if act is None else act.deadline,
            )
            for one, place in zip(signed_files(source), files.paths, strict=True)
        ]

    def _must_fit_quota(self, connection: Connection, holder: int, place: Path, size: int) -> None:
        """The files of all assets that a department holds, including this one, must fit its quota."""
        quota = self.department_bytes
        kept = 0
        after: str | None = None
        while True:
            page = assets(connection, holder=holder, after=after, limit=MAX_LIMIT)
            for one in page.items:
                folder = self.data / one.id
                if folder.is_dir():
                    kept += sum(file.stat().st_size for file in folder.iterdir() if file != place)
            after = page.next
            if after is None:
                break
        if kept + size > quota:
            raise RefusedError(
                "source.quota",
                in_both(
                    "the data of department {holder} would exceed its quota of {quota} bytes",
                    holder=holder,
                    quota=quota,
                ),
            )
