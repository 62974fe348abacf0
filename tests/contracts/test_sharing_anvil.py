"""The suite's main part once more on anvil, a second implementation of the EVM, over JSON-RPC.

Every test of grants, use, emergencies, assets, departments and the council is collected here again, with a city that
stands on another chain.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contracts_harness import City, example_city

from . import (
    test_sharing_assets,
    test_sharing_council,
    test_sharing_departments,
    test_sharing_emergencies,
    test_sharing_grants,
    test_sharing_usage,
)
from .anvil_chain import AnvilChain

pytestmark = pytest.mark.needs("anvil")

for _module in (
    test_sharing_assets,
    test_sharing_council,
    test_sharing_departments,
    test_sharing_emergencies,
    test_sharing_grants,
    test_sharing_usage,
):
    _subject = _module.__name__.rpartition("test_sharing_")[2]
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and "city" in _test.__code__.co_varnames:
            globals()[f"test_{_subject}_{_name.removeprefix('test_')}"] = _test

granted = test_sharing_usage.granted


@pytest.fixture(scope="module")
def anvil_city() -> Iterator[City]:
    chain = AnvilChain()
    try:
        yield example_city(chain)
    finally:
        chain.close()


@pytest.fixture
def city(anvil_city: City) -> Iterator[City]:
    """Stands in for the city of conftest.py."""
    with anvil_city.chain.rewound():
        yield anvil_city
