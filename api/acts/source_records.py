"""The recorded facts of a dataset's files: digests, sizes and rows of those in force, and the new ones that are
awaited.

A digest confirms a guess of a small file's content, so it is for the parties of the dataset and for city-wide
auditors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from api.acts.received import rows_received
from api.calls.looks import Looks
from api.runtime.catalogue import metadata_of
from api.runtime.chain_states import ChainStates
from api.runtime.errors import RefusedError
from api.runtime.next_versions import NextVersion, next_versions
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.acts.act import AWAITING_FILE
from ledger.audit.formats.source_parts import in_parts, signed_files
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.clock import Timekeeper
from ledger.projection.queries import asset as find_asset


@dataclass(frozen=True, slots=True)
class SourceRecords:
    """Shows the recorded facts of files. ``reading`` is the database without a write lock, ``data`` the directory
    of the datasets' files."""

    reading: Engine
    log: AuditLog
    vault: OpeningVault
    states: ChainStates
    looks: Looks
    clock: Timekeeper
    data: Path

    def shown(self, call: SignedCall, asset: int) -> dict[str, Any]:
        """The file of the version in force, with its rows if the log has their number, and the versions whose files
        are awaited. For an auditor's key this is a logged query.

        RefusedError ``asset.unknown``, ``caller.not-party``.
        """
        with self.reading.connect() as connection:
            found = find_asset(connection, asset)
            if found is None:
                raise RefusedError("asset.unknown", in_both("no asset is registered under this id"))
            source = metadata_of(connection, found.metadata_hash)["source"]
            awaited = [
                {"version": one.version, "act": one.act.id, **one.metadata["source"]} | _missing(one)
                for one in next_versions(connection, self.data, (AWAITING_FILE,), found.number)
                if one.act.deadline is None or one.act.deadline > self.clock.utc().timestamp()
            ]
        known = self.states.asset(found.number, found.version)
        parties = (known.holder, known.processor, known.operator)
        if call.department not in parties and not self.looks.audits_city(call):
            raise RefusedError(
                "caller.not-party",
                in_both(
                    "the digest of a file is for who holds a right in the dataset, and for city-wide auditors"
                ),
            )
        if self.looks.audits(call):
            self.looks.note(call, "source", asset=found.id)
        rows = rows_received(
            self.log,
            self.vault,
            self.reading,
            found.number,
            frozenset(one.sha256 for one in signed_files(source)),
        )
        told = {"id": found.id, "version": found.version, "metadata_hash": found.metadata_hash, **source}
        return told | ({} if rows is None else {"rows": rows}) | ({"awaited": awaited} if awaited else {})


def _missing(version: NextVersion) -> dict[str, list[str]]:
    """The digests of a version's parts that are missing, or have another size than was signed."""
    if not in_parts(version.metadata["source"]):
        return {}
    return {"missing": [path.stem for path in version.files.unfit()]}
