"""The number of rows of a received file, as recorded in the log."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Engine

from ledger.audit.formats.errors import AuditError
from ledger.audit.log.log import AuditLog
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.search import Query
from ledger.ids import asset_text

RECEIVED = "department:source:received"


def rows_received(
    log: AuditLog, vault: OpeningVault, reading: Engine, asset: int, files: Collection[str]
) -> int | None:
    """The rows of a dataset's files with these digests together, as counted when they were handed in; None if the
    log no longer has the number."""
    query = Query(asset=asset_text(asset), type_prefix=RECEIVED)
    found: list[int] = []
    cursor = None
    while True:
        page = log.search(query, cursor=cursor)
        found += [hit.index for hit in page.hits]
        if (cursor := page.cursor) is None:
            break
    rows: dict[str, int] = {}
    for index in reversed(found):
        opened = _opened(vault, reading, index)
        if (digest := opened.get("sha256")) in files and isinstance(opened.get("rows"), int):
            rows.setdefault(str(digest), opened["rows"])
            if len(rows) == len(files):
                return sum(rows.values())
    return None


def _opened(vault: OpeningVault, reading: Engine, index: int) -> dict[str, Any]:
    try:
        with reading.connect() as connection:
            opening = vault.openings(connection, index).get("source")
    except AuditError:
        return {}
    return opening.value if opening is not None and isinstance(opening.value, dict) else {}
