"""The same on PostgreSQL: acts once, rows rebuilt alike, pages in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from ledger.audit.log.writer import JobResult
from ledger.ids import asset_text
from ledger.outbox import ActNotifier, pending_revocations
from ledger.projection import queries
from ledger.projection.commit import roll_back
from ledger.projection.rebuild import differences, rebuild
from ledger.store.engine import open_engine, reader

pytestmark = pytest.mark.needs("postgresql")


def test_acts_rows_and_rebuild(make_city: Any, tools: Any, postgres_url: str, tmp_path: Path) -> None:
    city = make_city(database_url=postgres_url)
    city.follow()
    notifier = ActNotifier(city.engine)
    granted = city.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    with city.relayer(notifier) as relayer, city.follower(notifier=notifier):
        first = city.accept(granted)
        relayer.notify()
        assert notifier.wait(first.id, 20).state == "recorded"
        again = city.accept(granted)
        assert (again.id, again.state, again.created) == (first.id, "recorded", False)
    revocation = city.accept(city.revocation(grant, "7:steward"))
    with reader(city.engine).connect() as connection:
        assert set(pending_revocations(connection)) == {grant}
    with city.relayer(notifier), city.follower(notifier=notifier):
        assert notifier.wait(revocation.id, 20).state == "recorded"

    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    SQLModel.metadata.create_all(fresh)
    rebuild(city.chain, fresh, city.deployment)
    assert differences(city.engine, fresh) == []
    rebuild(city.chain, city.engine, city.deployment)
    assert differences(city.engine, fresh) == []
    size = city.log.size

    def undo(connection: Any) -> JobResult[None]:
        block = city.chain.block(4)
        return JobResult(
            None, roll_back(connection, city.deployment, block.number, block.hash, city.moment())
        )

    city.writer.submit(undo).result()
    assert city.log.size > size
    city.follow()
    assert differences(city.engine, fresh) == []
    fresh.dispose()
    with reader(city.engine).connect() as connection:
        air = asset_text(tools.AIR)
        [first_version] = queries.asset_versions(connection, air)
        assert queries.asset_version(connection, air, 1) == first_version
        assert queries.asset_version(connection, air, 2) is None
        whole = queries.events(connection, limit=500).items
        pages, after = [], None
        while True:
            page = queries.events(connection, limit=5, after=after)
            pages += page.items
            after = page.next
            if after is None:
                break
        assert tuple(pages) == whole
        assert queries.assets(connection, after="7.11").items[0].id == "7.12"
        assert queries.service_key(connection, 9, tools.service_key(9), city.moment()) is not None
