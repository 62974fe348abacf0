"""The follower: rows, entries, outcomes and cursor in one transaction, once each, whatever interrupts it."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.projection import queries
from ledger.projection.rebuild import differences, rebuild
from ledger.store.engine import open_engine, reader


def test_what_the_chain_records_is_projected_and_logged(city: Any, tools: Any) -> None:
    granted = city.grant(tools.AIR, 9)
    city.must(granted)
    city.follow()
    with reader(city.engine).connect() as connection:
        asset = queries.asset(connection, tools.AIR)
        grant = queries.grant(connection, tools.grant_id(granted))
        key = queries.service_key(connection, 9, tools.service_key(9), city.moment())
        detail = queries.department(connection, 7)
    assert asset is not None
    assert (asset.id, asset.holder, asset.grade, asset.status) == ("7.12", 7, "general", "active")
    assert grant is not None
    assert (grant.status, grant.grantor, grant.terms) == ("active", 7, granted["message"])
    assert key is not None
    assert key.roles == {"reader"}
    assert detail is not None
    assert len(detail.officers) == 4
    assert [seat.roles for seat in detail.attest_keys] == [{"attest"}]
