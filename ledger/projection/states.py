"""The states of grants by the projection, for use while the chain does not answer.

They are the values that `ledger.chain.grants.grant_states` reads from the contract's slots, as of the last block that was
read. They never permit a release: a call reads the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from contracts.codes import MAY_DERIVE
from ledger.chain.grants import STATUS, GrantState, Status
from ledger.ids import parse_asset
from ledger.projection.call_grants import ancestors_of, replacements
from ledger.projection.conditions import conditions_of
from ledger.projection.queries import asset, asset_parents, department, grant
from ledger.projection.views import Asset, Grant


def projected_states(
    connection: Connection, grants: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime
) -> dict[str, GrantState]:
    """The state of each grant at ``now``; ``unknown`` for one that is not recorded.

    ``grants`` is the argument of `grant_states`: for each delegated grant, its Terms and those of its ancestors.
    """
    reader = _Rows(connection, now)
    return {one: reader.state(one, bool(chain)) for one, chain in grants.items()}


_STATUS: Mapping[str, Status] = {word: word for word in STATUS.values()}


class _Rows:
    """Reads rows; the rows of departments and assets are cached."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now.timestamp()
        self._departments: dict[int, str] = {}
        self._assets: dict[int, Asset | None] = {}

    def state(self, identity: str, with_ancestors: bool) -> GrantState:
        found = grant(self._connection, identity)
        if found is None:
            return GrantState(identity, "unknown")
        delegated = found.parent is not None
        return GrantState(
            id=identity,
            status=_STATUS[found.status],
            delegated=delegated,
            emergency=found.kind == "emergency",
            ratified=found.ratified_by is not None,
            grantee=found.grantee,
            asset_number=found.asset,
            not_before=found.not_before,
            expiry=found.expiry,
            max_uses=found.left,
            uses=found.uses,
            depth=int(found.terms.get("depth", 0)) & ~MAY_DERIVE,
            may_derive=bool(int(found.terms.get("depth", 0)) & MAY_DERIVE),
            asset=self._alive(found.asset),
            parties=tuple(
                self._department(number) for number in (self._holder(found), found.grantee) if number
            ),
            ancestors=self._ancestors(found) if with_ancestors or not delegated else None,
            condition_ended=any(one.status == "ended" for one in conditions_of(self._connection, identity)),
        )

    def _ancestors(self, found: Grant) -> tuple[GrantState, ...]:
        above: list[GrantState] = []
        for one in ancestors_of(self._connection, found.parent):
            # Each state is computed without ancestors: these follow in the same list.
            newer = replacements(self._connection, one.id)
            state = self.state((one.id, *newer)[-1], False)
            above.append(replace(state, id=one.id, ancestors=(), newer=newer))
        return tuple(above)

    def _holder(self, found: Grant) -> int:
        """The department that holds the right under which the grant was given."""
        row = self._asset(found.asset)
        holding = {} if row is None else {"hold": row.holder, "use": row.processor, "operate": row.operator}
        return holding.get(found.right, 0)

    def _alive(self, number: int) -> str:
        """The status of an asset as in the contract: an active asset with a stopped ancestor is suspended."""
        row = self._asset(number)
        if row is None or row.status != "active":
            return "unknown" if row is None else row.status
        for parent, under in asset_parents(self._connection, number):
            processed = None if under is None else grant(self._connection, under)
            open_ = processed is None or self._open(processed)
            if self._alive(parse_asset(parent)) != "active" or not open_:
                return "suspended"
        return "active"

    def _open(self, found: Grant) -> bool:
        """Whether a grant is active and in its term; assets derived under it end with it."""
        return found.status == "active" and found.not_before <= self._now < found.expiry

    def _asset(self, number: int) -> Asset | None:
        if number not in self._assets:
            self._assets[number] = asset(self._connection, number)
        return self._assets[number]

    def _department(self, number: int) -> str:
        if number not in self._departments:
            found = department(self._connection, number)
            self._departments[number] = "unknown" if found is None else found.department.status
        return self._departments[number]
