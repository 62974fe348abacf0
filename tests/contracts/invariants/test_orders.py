"""No order of an attacker's acts obtains more than the table, and none blocks the legitimate officers;
mutants that break this are detected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from contracts_harness import City
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from .broken import creation_codes
from .orders import OrdersMachine
from .orders_table import DELAY, prepare
from .pending import PendingChain
from .switch import LEDGER, POOLS, choose
from .test_invariants import PLAIN

SHORT = settings(PLAIN, max_examples=6, stateful_step_count=12)
LONG = settings(PLAIN, max_examples=300, stateful_step_count=40)


def founded(codes: Mapping[str, bytes] | None = None) -> City:
    """A city in which seats that the council alone gives wait three days."""
    city = City(PendingChain(), codes=codes, admission_delay=DELAY)
    for number in (1, 2, 3):
        city.admit(number)
    prepare(city)
    return city


def machine(**members: Any) -> type[OrdersMachine]:
    return type("Orders", (OrdersMachine,), members)


@pytest.fixture(scope="module")
def waiting_city() -> City:
    return founded()


def test_no_sequence_of_acts_obtains_more_than_the_table(waiting_city: City) -> None:
    run_state_machine_as_test(machine(city=waiting_city), settings=SHORT)


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_no_long_sequence_of_acts_obtains_more(waiting_city: City) -> None:
    run_state_machine_as_test(machine(city=waiting_city), settings=LONG)
    print(f"{LONG.max_examples} examples of {LONG.stateful_step_count} steps, nobody obtained more")


Steps = tuple[tuple[str, dict[str, Any]], ...]


def steps(labels: list[str], *acts: tuple[str, dict[str, Any]]) -> Steps:
    return (("steal", {"labels": labels}), *acts)


GLASS = {"grantee": 1, "hours": 12}
CAUGHT: dict[str, tuple[str, int, Steps]] = {
    "an admin alone seats a steward": (
        LEDGER,
        24,
        steps(["1 admin"], ("seat", {"role": "steward", "department": 1, "by": [0]})),
    ),
    "an admin gives any role": (
        LEDGER,
        21,
        steps(["1 admin"], ("seat", {"role": "cdo", "department": 1, "by": [0]})),
    ),
    "two council keys seat an officer at once": (
        LEDGER,
        219,
        steps(["council 0", "council 1"], ("seat", {"role": "steward", "department": 1, "by": [0, 1]})),
    ),
    "two council keys give a reader's key at once": (
        LEDGER,
        220,
        steps(["council 0", "council 1"], ("service_key", {"department": 1, "roles": 1, "by": [0, 1]})),
    ),
    "a rotated key breaks glass anew": (
        LEDGER,
        401,
        steps(
            ["1 emergency"],
            ("break_glass", {**GLASS, "asset": 1, "by": [0]}),
            ("break_glass", {**GLASS, "asset": 2, "by": [0]}),
            ("rotate", {"who": 0}),
            ("break_glass", {**GLASS, "asset": 5, "by": [1]}),
        ),
    ),
    "who lifts its own bit lifts the other": (
        LEDGER,
        201,
        steps(
            ["1 steward"],
            ("stop", {"function": "suspendAsset", "asset": 4, "bit": 1, "by": [0]}),
            ("stop", {"function": "liftAsset", "asset": 4, "bit": 1, "by": [0]}),
        ),
    ),
    "a seat escapes its removal by rotation": (
        LEDGER,
        33,
        steps(["1 cdo"], ("rotate", {"who": 0}), ("rotate", {"who": 1})),
    ),
    "a pause stops revocation": (
        LEDGER,
        13,
        steps(["guardian"], ("pause", {"hours": 72, "end": False, "by": [0]})),
    ),
    "a finance officer settles alone": (
        POOLS,
        15,
        steps(["1 finance"], ("settle", {"by": [0], "period": 1})),
    ),
    "a pause keeps money in the pool": (
        POOLS,
        17,
        steps(["guardian"], ("pause", {"hours": 72, "end": False, "by": [0]})),
    ),
}


def test_an_admin_and_a_cdo_grant_important_data_in_two_acts(waiting_city: City) -> None:
    """Two keys grant by the STEWARD that they seat, as docs/threat-model.md says of this pair, but not core
    data."""
    running = machine(city=waiting_city)()
    try:
        running.steal(["1 admin", "1 cdo"])
        running.seat("steward", 1, [0, 1])
        running.grant(2, 3, [2, 1])
        granted = [g["asset"] & 0xFF for name, g in running.rebuilt.grants.items() if name != running.given]
        assert granted == [2]
        running.grant(3, 3, [2, 1, 0])
        running.check()
        assert len(running.rebuilt.grants) == 2
    finally:
        running.teardown()


@pytest.fixture(scope="module")
def broken_city(builds: Path) -> City:
    return founded(creation_codes(LEDGER, builds))


@pytest.mark.needs("solc")
@pytest.mark.parametrize("breaks", CAUGHT)
def test_broken_contract_is_detected(breaks: str, builds: Path, request: pytest.FixtureRequest) -> None:
    """The same order passes on the shipped contracts."""
    contract, number, script = CAUGHT[breaks]
    city: City = request.getfixturevalue("broken_city" if contract == LEDGER else "waiting_city")
    code = None if contract == LEDGER else creation_codes(contract, builds)[contract]
    for chosen in (0, number):
        with city.chain.rewound():
            if contract == LEDGER:
                choose(city.chain, city.ledger, chosen)  # type: ignore[arg-type]
            play = machine(city=city, code=code, mutant=chosen)
            if chosen == 0:
                run(play, script)
                continue
            with pytest.raises(AssertionError):
                run(play, script)


def run(kind: type[OrdersMachine], script: Steps) -> None:
    """Run the order with all checks after every act, and then the repair."""
    running = kind()
    try:
        for name, arguments in script:
            getattr(running, name)(**arguments)
            running.check()
    finally:
        running.teardown()
