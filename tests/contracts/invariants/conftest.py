"""One city for all state machines of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from contracts_harness import City

from .pending import PendingChain
from .sharing import found


@pytest.fixture(scope="session")
def pending_city() -> City:
    """Departments 1, 2 and 3 hold every role; department 1 has the assets of ``sharing.ASSETS``."""
    return founded()


@pytest.fixture(scope="session")
def builds(pytestconfig: pytest.Config) -> Path:
    """Where compiled mutants are kept from run to run, by the hash of their sources."""
    return pytestconfig.cache.mkdir("contract-mutants")


def founded(codes: Mapping[str, bytes] | None = None) -> City:
    """A city on these contracts, or on a mutant's creation codes."""
    city = City(PendingChain(), codes=codes)
    for number in (1, 2, 3):
        city.admit(number)
    found(city)
    return city
