"""The eighteen invariants of the contracts, as state machines on a real chain, and the mutants that each must catch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contracts_harness import City
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from .anchors import AnchorMachine
from .broken import creation_codes
from .conditions import ConditionsMachine
from .conftest import founded
from .machine import CityMachine
from .mutants import MUTANTS
from .offices import OfficesMachine
from .pools import PoolsMachine
from .scripts import Mutant
from .sharing import SharingMachine
from .switch import LEDGER, choose

MACHINES: dict[str, type[CityMachine]] = {
    "Sharing": SharingMachine,
    "Offices": OfficesMachine,
    "Anchor": AnchorMachine,
    "Pools": PoolsMachine,
    "Conditions": ConditionsMachine,
}
PLAIN = settings(
    deadline=None, suppress_health_check=list(HealthCheck), stateful_step_count=20, database=None
)
SHORT = settings(PLAIN, max_examples=25)
LONG = settings(PLAIN, max_examples=100, stateful_step_count=50)
HUNT = settings(
    PLAIN,
    max_examples=150,
    stateful_step_count=15,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
)
"""No shrinking, because only the detection matters."""


@pytest.mark.parametrize("machine", MACHINES)
def test_invariants_hold(pending_city: City, machine: str) -> None:
    run_state_machine_as_test(bound(machine, city=pending_city), settings=SHORT)


@pytest.mark.drill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", MACHINES)
def test_invariants_hold_for_long(pending_city: City, machine: str) -> None:
    run_state_machine_as_test(bound(machine, city=pending_city), settings=LONG)
    print(f"{LONG.max_examples} examples of {LONG.stateful_step_count} steps, no invariant broken")


@pytest.fixture(scope="session")
def broken_city(builds: Path) -> City:
    """A city on the ledger that holds all mutants, none of them chosen."""
    return founded(creation_codes(LEDGER, builds))


@pytest.mark.drill
@pytest.mark.needs("solc")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.invariant}: {m.breaks}")
def test_broken_contract_is_detected(mutant: Mutant, builds: Path, request: pytest.FixtureRequest) -> None:
    """The run that detects the mutant passes with the switch off, so it detects exactly the patch."""
    with machine_of(mutant, 0, builds, request) as machine:
        play(machine, mutant)
    with machine_of(mutant, mutant.number, builds, request) as machine, pytest.raises(AssertionError):
        play(machine, mutant)


@pytest.mark.drill
@pytest.mark.needs("solc")
@pytest.mark.timeout(3600)
def test_broken_contracts_are_detected_by_random_runs(builds: Path, request: pytest.FixtureRequest) -> None:
    """Without scripts, with only the needed rules, the machines find nine of ten mutants in 150 examples
    each."""
    missed = []
    for mutant in MUTANTS:
        with machine_of(mutant, mutant.number, builds, request) as machine:
            try:
                run_state_machine_as_test(
                    type(mutant.machine, (machine,), {"focus": mutant.focus}), settings=HUNT
                )
                missed.append(mutant.breaks)
            except AssertionError:
                continue
    print(f"{len(MUTANTS) - len(missed)} of {len(MUTANTS)} found; not found: {'; '.join(missed) or 'none'}")
    assert len(missed) <= len(MUTANTS) // 10, missed


def test_every_invariant_has_a_mutant() -> None:
    assert {mutant.invariant for mutant in MUTANTS} == set(range(1, 19))


@contextmanager
def machine_of(
    mutant: Mutant, number: int, builds: Path, request: pytest.FixtureRequest
) -> Iterator[type[CityMachine]]:
    """The mutant's machine over the contracts with this mutant chosen; 0 chooses none."""
    if mutant.contract == LEDGER:
        city: City = request.getfixturevalue("broken_city")
        with city.chain.rewound():
            choose(city.chain, city.ledger, number)  # type: ignore[arg-type]
            yield bound(mutant.machine, city=city)
    else:
        code = creation_codes(mutant.contract, builds)[mutant.contract]
        yield bound(mutant.machine, city=request.getfixturevalue("pending_city"), code=code, mutant=number)


def play(machine: type[CityMachine], mutant: Mutant) -> None:
    """Run the mutant's script and check every invariant after every step."""
    running = machine()
    try:
        for name, arguments in mutant.script:
            getattr(running, name)(**arguments)
            running.check()
    finally:
        running.teardown()


def bound(machine: str, **members: object) -> type[CityMachine]:
    """A separate machine class for this city."""
    return type(machine, (MACHINES[machine],), members)
