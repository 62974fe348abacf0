"""The installation's time: it never goes back, and reports a machine clock that cannot be trusted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.clock import (
    AHEAD_AT_START_S,
    AHEAD_S,
    BEHIND_S,
    DAY_S,
    ClockAhead,
    ClockNotAsStated,
    Forgetting,
    SimulatedClock,
    Timekeeper,
    WallClock,
)

START = datetime(2026, 11, 2, 8, tzinfo=UTC).timestamp()


def begun(known: float = START) -> tuple[SimulatedClock, Timekeeper]:
    clock = SimulatedClock(START)
    keeper = Timekeeper(clock)
    keeper.begin(known)
    return clock, keeper


def doubt_of(keeper: Timekeeper) -> str:
    doubt = keeper.doubt()
    return "" if doubt is None else doubt.code


def test_elapsed_time_is_not_a_jump() -> None:
    clock, keeper = begun()
    for seconds in (
        1,
        3_600,
        400 * DAY_S,
    ):  # Also on a machine that slept, because its monotonic clock continued.
        clock.advance(seconds)
        assert (keeper.now(), doubt_of(keeper)) == (clock.now(), "")


def test_clock_set_far_ahead_is_ignored_until_corrected() -> None:
    clock, keeper = begun()
    clock.set(START + 400 * DAY_S)
    assert doubt_of(keeper) == "clock.ahead"
    clock.advance(50)
    assert keeper.now() == START + 50, "time goes on by the steady clock"
    clock.set(START + 50)
    assert (keeper.now(), doubt_of(keeper)) == (START + 50, "")


def test_small_steps_forward_are_summed() -> None:
    clock, keeper = begun()
    for _ in range(3):
        clock.set(clock.now() + AHEAD_S / 2 - 1)
        keeper.now()
    assert doubt_of(keeper) == "clock.ahead"


def test_a_clock_set_back_is_waited_for() -> None:
    clock, keeper = begun()
    clock.advance(600)
    keeper.now()
    clock.set(clock.now() - 553)
    assert (keeper.now(), doubt_of(keeper)) == (START + 600, "clock.behind")
    clock.advance(552)
    assert doubt_of(keeper) == "clock.behind", "until it has caught up, not a little before"
    clock.advance(1)
    assert (keeper.now(), doubt_of(keeper)) == (START + 600, "")


def test_small_step_back_stops_time() -> None:
    clock, keeper = begun()
    clock.set(START - BEHIND_S)
    assert (keeper.now(), doubt_of(keeper)) == (START, "")


def test_small_steps_back_are_summed() -> None:
    clock, keeper = begun()
    for _ in range(3):
        clock.advance(9)
        clock.set(clock.now() - 10)
        assert keeper.now() in (START, START + 18), (
            "it stands, and once the steps are too many by the steady clock"
        )
    assert doubt_of(keeper) == "clock.behind", "time would stand for ever"


@pytest.mark.parametrize("every", [15, 16, 43])
def test_small_steps_back_with_time_between_them_are_one_large_one(every: int) -> None:
    """Each step back is caught up before the next one; together they would slow time to a fifteenth of its
    pace."""
    clock, keeper = begun()
    doubted = 0
    for _ in range(300):
        clock.set(clock.now() - 14)
        for _ in range(every):
            doubted += doubt_of(keeper) != ""
            clock.advance(1)
    lost = 300 * every - (keeper.now() - START)
    assert doubted >= lost / 2 > 0


def test_a_clock_that_was_set_back_in_small_steps_is_waited_for_and_may_be_set_right() -> None:
    clock, keeper = begun()
    for _ in range(2):
        clock.set(clock.now() - 14)
        keeper.now()
        clock.advance(20)
    assert (keeper.now(), doubt_of(keeper)) == (START + 20, "clock.behind"), "what the steady clock said then"
    clock.advance(7)
    assert doubt_of(keeper) == "clock.behind"
    clock.advance(1)
    assert (keeper.now(), doubt_of(keeper)) == (START + 20, "")
    clock.set(clock.now() - 14)
    keeper.now()
    clock.advance(20)
    assert doubt_of(keeper) == "", "from here on anew"
    clock.set(clock.now() - 14)
    assert doubt_of(keeper) == "clock.behind"
    clock.set(clock.now() + 28)
    assert doubt_of(keeper) == ""


def test_steps_back_and_forward_do_not_widen_how_far_a_day_may_be_set_forward() -> None:
    clock, keeper = begun()
    for _ in range(3):
        clock.set(clock.now() - BEHIND_S - 1)
        keeper.now()
        clock.set(clock.now() + BEHIND_S + 1 + AHEAD_S / 2 - 1)
        keeper.now()
    assert doubt_of(keeper) == "clock.ahead"


def test_a_block_is_as_late_as_it_says() -> None:
    _, keeper = begun()
    keeper.note(START + 1_000)
    assert (keeper.now(), doubt_of(keeper)) == (START + 1_000, "clock.behind")


@pytest.mark.parametrize("ahead", [AHEAD_S + 1, 400 * DAY_S, 8_000 * 365 * DAY_S, float(10**30)])
def test_block_of_the_future_does_not_move_time(ahead: float) -> None:
    """A node may state any time, and later another one."""
    clock, keeper = begun()
    keeper.note(START + ahead)
    assert (keeper.now(), doubt_of(keeper)) == (START, "clock.behind")
    assert str(keeper.doubt())
    keeper.note(START + 1)
    assert (keeper.now(), doubt_of(keeper)) == (START + 1, "")
    clock.advance(60)
    assert (keeper.now(), doubt_of(keeper)) == (START + 60, "")


def test_many_blocks_each_a_little_ahead_move_time_no_further_than_one() -> None:
    _, keeper = begun()
    for _ in range(50):
        keeper.note(keeper.now() + AHEAD_S - 1)
    assert keeper.now() <= START + AHEAD_S
    assert doubt_of(keeper) == "clock.behind"


@pytest.mark.parametrize("block", [START + AHEAD_AT_START_S + 1, START + 4_000 * DAY_S, float(10**30)])
def test_block_of_the_future_does_not_move_time_at_the_start(block: float) -> None:
    clock = SimulatedClock(START)
    keeper = Timekeeper(clock)
    keeper.begin(START - 60, block=block)
    assert (keeper.now(), doubt_of(keeper)) == (START, "clock.behind")
    assert str(keeper.doubt())
    keeper.note(START)
    assert (keeper.now(), doubt_of(keeper)) == (START, "")


def test_a_start_knows_the_later_of_block_and_entry() -> None:
    for entry, block in ((START + 50, START), (START, START + 50), (0.0, START + 50)):
        keeper = Timekeeper(SimulatedClock(START))
        keeper.begin(entry, block=block)
        assert keeper.now() == START + 50


def test_a_start_far_ahead_asks_for_the_time() -> None:
    clock = SimulatedClock(START)
    with pytest.raises(ClockAhead, match="2026-11-02T08:00:00") as refused:
        Timekeeper(clock).begin(START - AHEAD_AT_START_S - 1)
    assert "--clock-is" in refused.value.hint
    with pytest.raises(ClockNotAsStated):
        Timekeeper(clock).begin(START - 30 * DAY_S, START - 30 * DAY_S)
    keeper = Timekeeper(clock)
    keeper.begin(START - 30 * DAY_S, START + 60)
    assert doubt_of(keeper) == ""


def test_a_start_with_a_clock_behind_goes_on_once_it_is_set() -> None:
    """A machine with an empty battery starts in 1970, until a time server answers."""
    clock = SimulatedClock(0.0)
    keeper = Timekeeper(clock)
    keeper.begin(START)
    assert (keeper.now(), doubt_of(keeper)) == (START, "clock.behind")
    clock.advance(20)
    clock.set(START + 400 * DAY_S)
    assert doubt_of(keeper) == "clock.ahead"
    clock.set(START + 2 * DAY_S)
    assert (keeper.now(), doubt_of(keeper)) == (START + 2 * DAY_S, "")
    clock.set(START + 2 * DAY_S + AHEAD_S + 1)
    assert doubt_of(keeper) == "clock.ahead", "from then on the limits of a running service hold"


def test_clock_is_in_doubt_before_its_start() -> None:
    assert doubt_of(Timekeeper(SimulatedClock(START))) == "clock.behind"


MOVES = st.lists(
    st.tuples(st.sampled_from(("pass", "set", "block")), st.floats(-40 * DAY_S, 40 * DAY_S)), max_size=30
)


@given(MOVES)
def test_time_never_falls(moves: list[tuple[str, float]]) -> None:
    clock, keeper = begun()
    before = keeper.now()
    for move, seconds in moves:
        if move == "pass":
            clock.advance(abs(seconds))
        elif move == "set":
            clock.set(clock.now() + seconds)
        else:
            keeper.note(clock.now() + seconds)
        assert keeper.now() >= before
        before = keeper.now()


@given(
    st.lists(
        st.tuples(st.sampled_from(("call", "pass", "set")), st.floats(-900, 900, allow_nan=False)),
        max_size=40,
    )
)
def test_nonce_is_kept_as_long_as_its_signature_is_valid(moves: list[tuple[str, float]]) -> None:
    """A signature is valid for 65 s by the installation's time; nonces are kept for 130 s."""
    clock, keeper = begun()
    forgetting = Forgetting(keeper, 130)
    notes: list[tuple[float, float]] = []  # When a signature was made, and until when its nonce is kept.
    forgotten: list[float] = []
    for move, seconds in moves:
        if move == "pass":
            clock.advance(abs(seconds))
        elif move == "set":
            clock.set(clock.now() + seconds)
        else:
            notes.append((keeper.now() + seconds % 5, keeper.now() + 130))
        before = forgetting.before()
        if before is not None:
            forgotten += [made for made, until in notes if until < before]
            notes = [(made, until) for made, until in notes if until >= before]
        assert all(keeper.now() > made + 65 for made in forgotten)


def test_clock_jump_forgets_no_nonce() -> None:
    clock, keeper = begun()
    forgetting = Forgetting(keeper, 130)
    clock.set(START + 600)
    assert forgetting.before() is None
    clock.advance(131)
    assert forgetting.before() == START + 130, "only what was noted before it looked first"


def test_the_machines_clock_waits_and_counts() -> None:
    wall = WallClock()
    before = wall.elapsed()
    wall.pause(0.01, threading.Event())
    assert wall.elapsed() - before >= 0.01
    assert wall.doubt() is None
