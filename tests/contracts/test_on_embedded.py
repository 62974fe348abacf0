"""The rehearsal of a hand-over once more on the embedded chain, which the product runs itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contracts_harness import City, example_city

from . import test_hand_over_rehearsal, test_sharing_handover
from .embedded_chain import EmbeddedCityChain
from .on_a_chain import those_on_a_chain

globals().update(those_on_a_chain(test_hand_over_rehearsal, test_sharing_handover))

second = test_hand_over_rehearsal.second


@pytest.fixture(scope="module")
def built_city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Replaces the city of conftest.py."""
    chain = EmbeddedCityChain(tmp_path_factory.mktemp("embedded"))
    try:
        yield example_city(chain)
    finally:
        chain.close()
