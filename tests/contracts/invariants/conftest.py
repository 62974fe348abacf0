"""One city for all state machines of a worker."""

from __future__ import annotations

import pytest
from contracts_harness import City

from .pending import PendingChain
from .sharing import found


@pytest.fixture(scope="session")
def pending_city() -> City:
    """Departments 1, 2 and 3 hold every role; department 1 has the assets of ``sharing.ASSETS``."""
    return founded()


def founded(code: bytes | None = None) -> City:
    """A city on these contracts, or on a mutant's creation code."""
    city = City(PendingChain(), code=code)
    for number in (1, 2, 3):
        city.admit(number)
    found(city)
    return city
