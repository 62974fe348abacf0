"""The records that the rules on signatures need, read from the projection."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from ledger.acts.records import Row, SeatedCouncil
from ledger.ids import asset_text, condition_text
from ledger.store.tables import table_of
from ledger.store.tables.projection import (
    AssetRow,
    ConditionRow,
    CouncilRow,
    DepartmentRow,
    GrantRow,
    SeatRow,
    ServiceKeyRow,
)

_seats = table_of(SeatRow)
_departments = table_of(DepartmentRow)
_councils = table_of(CouncilRow)
_assets = table_of(AssetRow)
_conditions = table_of(ConditionRow)
_keys = table_of(ServiceKeyRow)
_grants = table_of(GrantRow)


@dataclass(frozen=True, slots=True)
class ProjectedRecords:
    """`Records` read from the projection on one connection."""

    connection: Connection

    def seat(self, address: str) -> Row | None:
        return self._row(select(_seats).where(_seats.c.holder == address))

    def council(self) -> SeatedCouncil:
        row = self._row(select(_councils).where(_councils.c.id == 1))
        if row is None:
            return SeatedCouncil()
        return SeatedCouncil(
            int(row["epoch"]), tuple(json.loads(row["members"])), row["threshold"], row["guardian"]
        )

    def department(self, number: int) -> Row | None:
        return self._row(select(_departments).where(_departments.c.number == number))

    def asset(self, number: int) -> Row | None:
        return self._row(select(_assets).where(_assets.c.id == asset_text(number)))

    def grant(self, grant_id: str) -> Row | None:
        return self._row(select(_grants).where(_grants.c.id == grant_id))

    def service_key(self, department: int, key: str) -> Row | None:
        return self._row(select(_keys).where(_keys.c.department == department, _keys.c.key == key))

    def condition(self, number: int) -> int | None:
        row = self._row(select(_conditions.c.state).where(_conditions.c.id == condition_text(number)))
        return None if row is None else int(row["state"])

    def _row(self, query: Select[tuple[object, ...]]) -> Row | None:
        found = self.connection.execute(query).mappings().one_or_none()
        return None if found is None else {str(name): value for name, value in found.items()}
