"""The sixteen invariants of the contracts, as state machines on a real chain."""

from __future__ import annotations

import pytest
from contracts_harness import City
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import CityMachine
from .sharing import SharingMachine

SHORT = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.parametrize("machine", [SharingMachine])
def test_invariants_hold(pending_city: City, machine: type[CityMachine]) -> None:
    bound = type(machine.__name__, (machine,), {"city": pending_city})
    run_state_machine_as_test(bound, settings=SHORT)
