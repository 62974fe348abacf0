"""A periodic task is repeated after any error and reports its state; a round that never ends is detected."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ledger.chain.errors import ChainUnreachable
from ledger.worker import Worker


def until(what: Callable[[], object], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.01)


@contextmanager
def at_work(worker: Worker) -> Iterator[Worker]:
    worker.start()
    try:
        yield worker
    finally:
        worker.close()


class Panic(BaseException):
    """An error of a library in another language, which is not an `Exception`."""


@pytest.mark.parametrize(
    "error", [KeyError("a defect"), ChainUnreachable("nobody answers"), SystemExit(1), Panic("lost")]
)
def test_next_round_runs_after_any_error(error: BaseException) -> None:
    rounds = 0

    def step() -> float:
        nonlocal rounds
        rounds += 1
        if rounds < 4:
            raise error
        return 60.0

    with at_work(Worker("test", step, first_pause_s=0.01)) as worker:
        until(lambda: worker.status()["succeeded"])
        assert rounds == 4
        status = worker.status()
        assert (status["state"], status["problem"], worker.failure) == ("well", None, None)
        assert status["last_error"]["code"] == (
            error.code if isinstance(error, ChainUnreachable) else "service.failed"
        )
        assert status["succeeded"] >= status["last_error"]["time"]


def test_backoff_grows_to_its_limit_and_resets_after_success() -> None:
    began: list[float] = []
    good = {5}

    def step() -> float:
        began.append(time.monotonic())
        if len(began) - 1 in good:
            return 0.0
        raise ChainUnreachable("nobody answers")

    with at_work(Worker("test", step, first_pause_s=0.05, longest_pause_s=0.2)):
        until(lambda: len(began) > 8)
    pauses = [after - before for before, after in itertools.pairwise(began)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.2, 0.2, 0.0, 0.05, 0.1), strict=False):
        assert pause >= least - 0.01
    assert pauses[5] < 0.2


def test_a_failure_is_logged_once_while_it_stays_the_same(caplog: pytest.LogCaptureFixture) -> None:
    rounds = 0

    def step() -> float:
        nonlocal rounds
        rounds += 1
        raise ChainUnreachable("nobody answers" if rounds < 5 else "nobody at all")

    with (
        caplog.at_level(logging.WARNING),
        at_work(Worker("test", step, first_pause_s=0.01, longest_pause_s=0.02)) as worker,
    ):
        until(lambda: rounds > 8)
        assert worker.status()["state"] == "failing"
        assert worker.status()["problem"] == "chain.unreachable"
    assert [one.message for one in caplog.records] == [
        "test: nobody answers [chain.unreachable]",
        "test: nobody at all [chain.unreachable]",
    ]


def test_hanging_round_is_reported_until_it_ends() -> None:
    hangs = threading.Event()

    def step() -> float:
        hangs.wait(30)
        return 60.0

    with at_work(Worker("test", step, still_after_s=0.3)) as worker:
        assert worker.status()["problem"] is None
        until(lambda: worker.status()["problem"] == "service.stands-still")
        assert worker.status()["state"] == "stands-still"
        assert worker.status()["succeeded"] is None
        hangs.set()
        until(lambda: worker.status()["state"] == "well")
        assert worker.status()["problem"] is None


def test_wait_between_rounds_is_not_reported_as_hanging() -> None:
    rounds = 0

    def step() -> float:
        nonlocal rounds
        rounds += 1
        return 60.0

    with at_work(Worker("test", step, still_after_s=0.05)) as worker:
        until(lambda: rounds == 1)
        time.sleep(0.2)
        assert worker.status()["state"] == "well"
        worker.wake()
        until(lambda: rounds == 2)


def test_worker_is_not_reported_before_start_or_after_end() -> None:
    worker = Worker("test", lambda: 0.01, still_after_s=0.0, delay_s=60.0)
    assert worker.status() == {"state": "new", "succeeded": None, "problem": None, "last_error": None}
    with at_work(worker):
        assert worker.status()["state"] == "well", "its first round is not due yet"
    assert worker.status()["state"] == "ended"
    assert worker.status()["problem"] is None


def test_closing_ends_a_backoff_at_once() -> None:
    def step() -> float:
        raise ChainUnreachable("nobody answers")

    worker = Worker("test", step, first_pause_s=60.0)
    with at_work(worker):
        until(lambda: worker.failure is not None)
        began = time.monotonic()
    assert time.monotonic() - began < 5
