"""A log with many decided acts that deny something: the cost of a look-up, and what is kept of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ledger.lost.taken_in_log
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.taken_in_log import refused_entry, taken_entries
from ledger.store.engine import reader

KEPT = 8
"""The number of blocks kept in these tests."""
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def grant(number: int) -> str:
    return f"0x{number:064x}"


def taken(number: int) -> list[NewEntry]:
    return taken_entries(
        f"act {number}", "Revoke", b"call", None, [("grant", grant(number))], "0x" + "11" * 20, 7, NOW
    )


def revoked(number: int, block: int) -> Event:
    facts: dict[str, str | int | bool] = {"event": "Revoked", "block": block, "act": f"act {number}"}
    facts |= {"arg.grant": grant(number), "arg.reason": 1, "arg.officer": "0x" + "11" * 20}
    return Event(
        id=new_event_id(),
        type="chain:grant:revoked",
        time=NOW,
        department=7,
        grant=grant(number),
        facts=facts,
    )


def undone(event: Event) -> Event:
    facts: dict[str, str | int | bool] = {"reverts": str(event.id), "event": "Revoked", "block": 1}
    return Event(id=new_event_id(), type="chain:reorg:reverted", time=NOW, facts=facts)


class Log:
    """A city's log, and its reader of the acts that deny."""

    def __init__(self, city: Any, file: Path) -> None:
        self.city, self.file = city, file
        self.read = self.opened()
        self.events: list[Event] = []

    def opened(self) -> UsesInLog:
        return UsesInLog(self.city.log, self.file, kept_blocks=KEPT)

    def add(self, *entries: NewEntry | Event) -> None:
        made = [one if isinstance(one, NewEntry) else NewEntry(one, fresh=True) for one in entries]
        self.city.writer.submit(lambda _: JobResult(None, made)).result()

    def decide(self, count: int, block: Callable[[int], int] = lambda number: number) -> None:
        """Append this many more acts: accepted, and each decided in its block."""
        start = len(self.events)
        self.events += [revoked(number, block(number)) for number in range(start, start + count)]
        self.add(
            *(one for number in range(start, start + count) for one in (*taken(number), self.events[number]))
        )
        self.follow()

    def follow(self) -> None:
        with reader(self.city.engine).connect() as connection:
            self.read.follow(connection)

    def kept(self) -> dict[str, Any]:
        self.read.keep()
        return dict(json.loads(self.file.read_bytes())["taken"])

    def denied(self) -> set[str]:
        found = set(self.read.taken.denied().get("grant", ()))
        self.read.keep()
        again = self.opened()
        with reader(self.city.engine).connect() as connection:
            again.follow(connection)
        assert set(again.taken.denied().get("grant", ())) == found, "what was written down is what was read"
        return found


@pytest.fixture
def log(city: Any, tmp_path: Path) -> Log:
    return Log(city, tmp_path / "uses.json")


def lines_of(job: Callable[[], None]) -> int:
    """The number of code lines for acts that a job executes."""
    found = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal found
        if frame.f_code.co_filename != ledger.lost.taken_in_log.__file__:
            return None
        found += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        job()
    finally:
        sys.settrace(before)
    return found


def test_cost_of_reverting_an_event_is_independent_of_the_number_of_acts(log: Log) -> None:
    costs = []
    for more in (10, 300):
        log.decide(more, lambda _: 1)  # All are recent.
        log.add(
            undone(log.events[-1]), *taken(10**6 + more), refused_entry(f"act {10**6 + more}", "x", None, NOW)
        )
        costs.append(lines_of(log.follow))
        assert log.denied() == {grant(9), grant(309)} if more == 300 else {grant(9)}
    assert 0 < costs[1] <= 2 * costs[0]


def test_finally_decided_acts_are_not_kept(log: Log) -> None:
    log.decide(400)
    assert len(log.kept()) <= KEPT + 1
    log.add(*(one for number in range(900, 930) for one in taken(number)))
    log.add(*(refused_entry(f"act {number}", "act.refused", None, NOW) for number in range(900, 929)))
    log.follow()
    assert log.denied() == {grant(929)}
    assert len(log.kept()) <= KEPT + 2


def test_reverted_event_of_any_depth_reopens_its_act(log: Log) -> None:
    log.decide(60)
    for number in (57, 3, 0):  # A recent one, an old one, and the first.
        before = log.denied()
        log.add(undone(log.events[number]))
        log.follow()
        assert log.denied() == before | {grant(number)}
    log.add(revoked(3, 90))
    log.follow()
    assert log.denied() == {grant(57), grant(0)}


def test_state_file_of_an_earlier_version_is_reduced_to_open_acts(log: Log) -> None:
    log.decide(60)
    log.add(*taken(70))
    log.follow()
    log.read.keep()
    document = json.loads(log.file.read_bytes())
    old = [["Revoke", "0x", None, {f"grant:{grant(n)}": [str(log.events[n].id)]}] for n in range(50)]
    document["taken"] |= {f"act {number}": one for number, one in enumerate(old)}
    log.file.write_text(json.dumps(document))
    log.read = log.opened()
    log.follow()
    assert len(log.kept()) <= KEPT + 2
    assert log.denied() == {grant(70)}
