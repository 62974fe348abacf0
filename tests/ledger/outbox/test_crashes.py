"""kill -9 of relayer and follower at any step: no accepted act is lost, none takes effect twice."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlmodel import SQLModel

from ledger.audit.formats.events import read_event
from ledger.audit.log.search import Query
from ledger.outbox import find
from ledger.projection import queries
from ledger.projection.rebuild import differences, rebuild
from ledger.store.engine import open_engine, reader
from ledger.store.tables.outbox import OutboxTransactionRow

STEPS_IN_CI = 16


class Countdown:
    """Counts the steps of a process and kills it at one of them."""

    def __init__(self, deadly: int | None) -> None:
        self.steps = 0
        self._deadly = deadly

    def step(self, *_: Any, **__: Any) -> None:
        if self.steps == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps += 1

    def watch(self, city: Any) -> None:
        """Every statement, every commit, and before and after every transaction sent to the chain."""
        event.listen(city.engine, "before_cursor_execute", self.step)
        event.listen(city.engine, "commit", self.step)
        send = city.chain.send

        def counted(raw: bytes) -> str:
            self.step()
            sent: str = send(raw)
            self.step()
            return sent

        city.chain.send = counted


def in_a_child(work: Callable[[], None]) -> int:
    """Run in a forked process; return its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(99)
    return os.waitpid(child, 0)[1]


def run_to_the_end(city: Any, identities: list[str]) -> None:
    """Relay and follow, step by step, until every act is final."""
    relayer, follower = city.relayer(), city.follower()
    for _ in range(200):
        relayer.step()
        follower.step()
        with reader(city.engine).connect() as connection:
            if all((record := find(connection, i)) and record.final for i in identities):
                return
    raise AssertionError("the acts do not come to an end")


def survive(city: Any, identities: list[str], grants: list[str], deadly: range, tmp_path: Path) -> None:
    killed = 0
    for step in deadly:
        home = tmp_path / f"killed{step}"
        shutil.copytree(city.home, home)

        def work(home: Path = home, step: int = step) -> None:
            mortal = city.opened_at(home)
            Countdown(step).watch(mortal)
            run_to_the_end(mortal, identities)
            os._exit(0)

        # The number of requests of a round varies, so the last steps are not always reached.
        status = in_a_child(work)
        assert os.WIFSIGNALED(status) or status == 0
        killed += os.WIFSIGNALED(status)
        again = city.opened_at(home)
        run_to_the_end(again, identities)
        assert_all_happened_once(again, identities, grants, home)
        again.close()
        shutil.rmtree(home)
    assert killed >= len(deadly) * 3 // 4


def assert_all_happened_once(city: Any, identities: list[str], grants: list[str], home: Path) -> None:
    with reader(city.engine).connect() as connection:
        assert [find(connection, i).state for i in identities] == ["recorded"] * len(identities)  # type: ignore[union-attr]
        happened = queries.events(connection, limit=500).items
        sent = list(connection.execute(select(OutboxTransactionRow.tx_hash)).scalars())
    for grant in grants:
        assert sum(e.name == "Granted" and e.args["grant"] == grant for e in happened) == 1
    receipts = [city.chain.receipt(tx_hash) for tx_hash in sent]
    assert sum(bool(receipt) for receipt in receipts) == len(identities)
    assert all(receipt is None or receipt.succeeded for receipt in receipts)
    entries = [read_event(hit.leaf) for hit in city.log.search(Query(type_prefix="chain:"), limit=500).hits]
    assert len({entry.id for entry in entries}) == len(entries) == len(happened)
    fresh = open_engine(f"sqlite:///{home / 'fresh.db'}")
    SQLModel.metadata.create_all(fresh)
    rebuild(city.chain, fresh, city.deployment, to_block=city.chain.head().number)
    assert differences(city.engine, fresh) == []
    fresh.dispose()


@pytest.fixture
def waiting(make_city: Any, tools: Any, tmp_path: Path) -> tuple[Any, list[str], list[str], int]:
    """A closed city with four acts in its outbox, and the number of steps that sending them takes."""
    city = make_city()
    ended = city.grant(tools.AIR, 9)
    city.must(ended)
    city.follow()
    documents = [
        city.registration(7, 13),
        city.grant(tools.AIR, 9),
        city.revocation(tools.grant_id(ended), "7:steward"),
        city.grant(tools.AIR, 1),
    ]
    identities = [city.accept(document).id for document in documents]
    city.close()
    told = tmp_path / "steps"

    def work() -> None:
        home = tmp_path / "counted"
        shutil.copytree(city.home, home)
        copy = city.opened_at(home)
        countdown = Countdown(None)
        countdown.watch(copy)
        run_to_the_end(copy, identities)
        told.write_text(str(countdown.steps))
        os._exit(0)

    assert in_a_child(work) == 0
    return (
        city,
        identities,
        [tools.grant_id(documents[1]), tools.grant_id(documents[3])],
        int(told.read_text()),
    )


def test_killed_at_many_steps(waiting: Any, tmp_path: Path) -> None:
    city, identities, grants, steps = waiting
    survive(city, identities, grants, range(0, steps - 4, max(1, steps // STEPS_IN_CI)), tmp_path)


@pytest.mark.drill
def test_killed_at_every_step(waiting: Any, tmp_path: Path) -> None:
    city, identities, grants, steps = waiting
    survive(city, identities, grants, range(steps - 4), tmp_path)
