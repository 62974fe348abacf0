"""The follower writes rows, entries, outcomes and cursor in one transaction, once each."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlmodel import SQLModel

from ledger.audit.formats.events import read_event
from ledger.audit.log.search import Query
from ledger.audit.log.tiles import entry_table
from ledger.chain.errors import ChainUnreachable
from ledger.chain.messages import struct_hash
from ledger.pages import CursorError
from ledger.projection import queries, state
from ledger.projection.call_grants import candidate_grants
from ledger.projection.commit import blocks, cursors
from ledger.projection.rebuild import differences, rebuild
from ledger.projection.rows import ProjectionError
from ledger.store.engine import open_engine, reader
from ledger.store.tables.projection import GrantRow

NO_REASON = {"reason": "0x" + "00" * 32}


def types(city: Any) -> list[str]:
    """The types of the log's entries, in order."""
    return [read_event(hit.leaf).type for hit in city.log.search(Query(type_prefix="chain:"), limit=500).hits]


def live_a_little(city: Any, tools: Any) -> dict[str, str]:
    """Acts of every kind in a small city, directly on the chain; names of grants -> ids."""
    ids: dict[str, str] = {}
    for name, document in city.life():
        city.must(document)
        if document["type"] in ("Terms", "BreakGlass"):
            ids[name] = "0x" + struct_hash(document["type"], document["message"]).hex()
        elif document["type"] == "Cancel":
            ids[name] = document["message"]["grant"]
    return ids


def test_what_the_chain_records_is_projected(city: Any, tools: Any) -> None:
    ids = live_a_little(city, tools)
    city.follow()
    now = city.moment()
    with reader(city.engine).connect() as connection:
        grants = {name: queries.grant(connection, grant) for name, grant in ids.items()}
        assert {name: grant.status for name, grant in grants.items() if grant} == {
            "parent": "active",
            "child": "active",
            "ended": "revoked",
            "unsent": "cancelled",
            "offer": "active",
            "grant of two": "active",
            "emergency": "active",
        }
        parent, child, emergency = grants["parent"], grants["child"], grants["emergency"]
        assert parent is not None
        assert child is not None
        assert emergency is not None
        assert (parent.left, parent.uses, child.grantor, child.parent) == (30, 3, 9, ids["parent"])
        assert (emergency.kind, emergency.ratified_by) == ("emergency", 1)
        air = queries.asset(connection, tools.AIR)
        assert air is not None
        assert (air.version, air.grade, air.metadata_hash) == (2, "important", tools.metadata_hash)
        offered = queries.asset(connection, tools.AIR + 2)
        assert offered is not None
        assert (offered.holder, offered.processor, offered.operator) == (7, 7, 9)
        seven = queries.department(connection, 7)
        assert seven is not None
        assert sorted(seat.status for seat in seven.officers) == ["active"] * 4 + ["rotated"]
        assert [seat.roles for seat in seven.attest_keys] == [{"attest"}]
        assert queries.service_key(connection, 9, tools.service_key(9), now) is None
        assert queries.service_key(connection, 7, tools.service_key(7), now) is not None
        (delegated,) = candidate_grants(connection, tools.AIR, 1, now)
        assert [t["salt"] for t in delegated.chain] == [child.terms["salt"], parent.terms["salt"]]
        anyone = candidate_grants(connection, tools.AIR + 2, 1, now)
        assert [grant.id for grant in anyone] == [ids["offer"]]


def test_every_event_makes_one_entry_and_anchors_make_none(city: Any, tools: Any) -> None:
    live_a_little(city, tools)
    operator = {"origin": "0x" + "01" * 32, "operator": 7, "quorum": 0}
    city.must(city.act("OpenLog", operator, "mayor"))
    head = {"origin": "0x" + "01" * 32, "size": 4, "root": "0x" + "02" * 32}
    city.must(city.act("TreeHead", head, "7:machine", arguments={"proof": []}))
    city.follow()
    with reader(city.engine).connect() as connection:
        names = [event.name for event in queries.events(connection, limit=500).items]
        (anchored,) = queries.anchors(connection)
    assert names.count("Anchored") == 1
    assert (anchored.size, anchored.operator, anchored.root) == (4, 7, "0x" + "02" * 32)
    assert len(types(city)) == len(names) - 1
    size = city.log.size
    city.follow()
    assert city.log.size == size


def test_a_rebuild_is_identical_and_writes_no_entries(city: Any, tools: Any, tmp_path: Any) -> None:
    live_a_little(city, tools)
    city.follow()
    size = city.log.size
    other = open_engine(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    SQLModel.metadata.create_all(other)
    rebuilt = rebuild(city.chain, other, city.deployment)
    assert rebuilt.block_number == city.chain.head().number
    assert differences(city.engine, other) == []
    # In place as well, over changed rows.
    with city.engine.begin() as connection:
        version = queries.version(connection)
        connection.execute(update(GrantRow).values(max_uses=1))
    assert differences(city.engine, other) != []
    rebuild(city.chain, city.engine, city.deployment)
    assert differences(city.engine, other) == []
    assert city.log.size == size
    with reader(city.engine).connect() as connection:
        assert queries.version(connection) > version
    other.dispose()


def test_rebuild_stops_at_the_last_logged_event(city: Any, tools: Any) -> None:
    city.follow()
    granted = city.grant(tools.AIR, 9)
    city.must(granted)
    rebuild(city.chain, city.engine, city.deployment)
    with reader(city.engine).connect() as connection:
        assert queries.grant(connection, tools.grant_id(granted)) is None
    city.follow()
    assert types(city)[-1] == "chain:grant:granted"


def test_a_projection_that_was_lost_is_followed_again_without_second_entries(city: Any, tools: Any) -> None:
    live_a_little(city, tools)
    city.follow()
    size = city.log.size
    with city.engine.begin() as connection:
        for table in [*state.PROJECTED.values(), state.EVENTS, blocks, cursors]:
            connection.execute(delete(table))
    city.follow()
    assert city.log.size == size
    with reader(city.engine).connect() as connection:
        assert queries.asset(connection, tools.AIR) is not None


def test_the_version_grows_only_when_something_changed(city: Any, tools: Any) -> None:
    city.follow()
    with reader(city.engine).connect() as connection:
        before = queries.version(connection)
    city.follow()
    city.send(city.revocation("0x" + "77" * 32, "7:steward"))  # It reverts: a block without events.
    city.follow()
    with reader(city.engine).connect() as connection:
        assert queries.version(connection) == before
    city.must(city.grant(tools.AIR, 9))
    city.follow()
    with reader(city.engine).connect() as connection:
        assert queries.version(connection) == before + 1


def test_start_follows_the_chain_first(city: Any, tools: Any) -> None:
    live_a_little(city, tools)
    follower = city.follower()
    assert follower.catch_up(60)
    assert follower.step() is None
    assert follower.failure is None


def test_start_continues_if_the_chain_is_unreachable(city: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = city.follower()

    def out_of_reach() -> None:
        raise ChainUnreachable("nobody answers")

    with monkeypatch.context() as broken:
        broken.setattr(city.chain, "head", out_of_reach)
        assert not follower.catch_up(60)
        assert isinstance(follower.failure, ChainUnreachable)
    city.must(city.registration(7, 40))
    assert not follower.catch_up(0), "one step is made, and whether it was the last is not asked any more"
    assert follower.catch_up(60)


def test_defect_at_the_start_is_raised(city: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = city.follower()

    def defect() -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(city.chain, "head", defect)
    with pytest.raises(KeyError):
        follower.catch_up(60)
    assert follower.failure is None, "no thread will meet it"


def test_error_of_the_follower_does_not_prevent_the_start(city: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repair of a database that contradicts the chain needs an open installation."""
    follower = city.follower()

    def contradicted() -> None:
        raise ProjectionError("a row is missing")

    monkeypatch.setattr(city.chain, "head", contradicted)
    assert not follower.catch_up(60)
    assert isinstance(follower.failure, ProjectionError)


def test_two_followers_on_one_database_are_consistent(city: Any, tools: Any) -> None:
    first, second = city.follower(), city.follower()
    for follower in (first, second, first, second):
        follower.step()
    city.must(city.grant(tools.AIR, 9))
    while first.step() or second.step():
        pass
    assert len(types(city)) == len(set(_ids(city)))


def test_lists_come_in_pages(city: Any, tools: Any) -> None:
    for n in range(20, 25):
        city.must(city.registration(7, n))
        city.must(city.grant((7 << 40) | n, 9))
    city.follow()
    with reader(city.engine).connect() as connection:
        for ask in (
            lambda **k: queries.assets(connection, department=7, **k),
            lambda **k: queries.grants(connection, grantee=9, **k),
            lambda **k: queries.departments(connection, **k),
            lambda **k: queries.events(connection, **k),
        ):
            whole = ask(limit=500).items
            pages, after = [], None
            while True:
                page = ask(limit=2, after=after)
                pages += page.items
                after = page.next
                if after is None:
                    break
            assert tuple(pages) == whole
            assert len(whole) >= 3
        assert [a.id for a in queries.assets(connection, limit=2).items] == ["7.12", "7.20"]
        assert len(queries.grants(connection, asset=tools.AIR).items) == 0
        with pytest.raises(CursorError):
            queries.assets(connection, after="here")
        with pytest.raises(CursorError):
            queries.assets(connection, status="broken")


def test_state_of_an_ended_grant_can_be_read(city: Any, tools: Any) -> None:
    ended = city.grant(tools.AIR, 9)
    city.must(ended)
    city.must(city.revocation(tools.grant_id(ended), "7:steward"))
    city.follow()
    with reader(city.engine).connect() as connection:
        (dead,) = candidate_grants(connection, tools.AIR, 9, city.moment())
        assert dead.id == tools.grant_id(ended)
    city.must(city.grant(tools.AIR, 9))
    city.follow()
    with reader(city.engine).connect() as connection:
        (live,) = candidate_grants(connection, tools.AIR, 9, city.moment())
        assert live.id != dead.id


def _ids(city: Any) -> list[str]:
    with reader(city.engine).connect() as connection:
        return [bytes(i).hex() for i in connection.execute(select(entry_table.c.event_id)).scalars()]
