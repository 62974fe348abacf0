"""New versions that await a file and that the contract can never accept."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from contracts.codes import AssetStatus, SeatFlag
from ledger.acts.act import AWAITING_FILE
from ledger.ids import asset_text
from ledger.outbox.store import acts
from ledger.store.tables import table_of
from ledger.store.tables.projection import AssetRow, SeatRow

_assets = table_of(AssetRow)
_seats = table_of(SeatRow)

_GONE = SeatFlag.REMOVED | SeatFlag.ROTATED


def void_versions(connection: Connection) -> dict[str, str]:
    """The reason for each such act, by its id: its signer's seat was removed or rotated, the version is recorded already, or
    the dataset is retired. These facts are permanent, so the act would use the department's allowance until its deadline,
    which may be years away."""
    waiting = (
        select(acts.c.digest, acts.c.message, acts.c.signer, _seats.c.flags)
        .outerjoin(_seats, _seats.c.holder == acts.c.signer)
        .where(acts.c.state == AWAITING_FILE)
    )
    found: dict[str, str] = {}
    present: dict[int, tuple[int, int]] = {}
    for identity, text, signer, flags in connection.execute(waiting).all():
        message = json.loads(text)
        asset, version = message["asset"], message["version"]
        if asset not in present:
            row = connection.execute(
                select(_assets.c.version, _assets.c.status).where(_assets.c.id == asset_text(asset))
            ).one_or_none()
            present[asset] = (0, 0) if row is None else (row[0], row[1])
        known, status = present[asset]
        if (flags or 0) & _GONE:
            found[identity] = f"{signer} signed and is not in office any more"
        elif status == AssetStatus.RETIRED:
            found[identity] = "the dataset is retired"
        elif known >= version:
            found[identity] = f"version {version} is on record already"
    return found
