"""The council in office, as the service publishes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from ledger.projection.queries import council


def seated_council(connection: Connection) -> dict[str, Any]:
    """The members of the council, its threshold, its guardian, and the epoch that its messages name."""
    found = council(connection)
    if found is None:
        return {}
    return {
        "epoch": found.epoch,
        "members": list(found.members),
        "threshold": found.threshold,
        "guardian": found.guardian,
        "hand_over": None
        if found.successor is None
        else {
            "id": found.hand_over,
            "successor": found.successor,
            "freeze_at": found.freeze_at,
            "hand_over_at": found.hand_over_at,
        },
    }
