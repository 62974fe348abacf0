"""The suite's main part once more on anvil, a second implementation of the EVM, over JSON-RPC.

After each test every word of storage, of every contract, is rebuilt from the logs since the first block (invariant 13).

Every test that asks for a city, or for an anchor or cost pools in one, is collected here again from the modules below,
with a city that stands on another chain. What measures gas, reads slots or compiles stays with py-evm.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contracts_harness import City, example_city

from . import (
    test_anchor_consistency,
    test_anchor_heads,
    test_costpools_objections,
    test_costpools_settlement,
    test_hand_over_rehearsal,
    test_sharing_assets,
    test_sharing_attacks,
    test_sharing_council,
    test_sharing_departments,
    test_sharing_emergencies,
    test_sharing_grants,
    test_sharing_handover,
    test_sharing_roles,
    test_sharing_signatures,
    test_sharing_usage,
)
from .anvil_chain import AnvilChain
from .on_a_chain import those_on_a_chain
from .whole_state import differences

pytestmark = pytest.mark.needs("anvil")

_MODULES = (
    test_hand_over_rehearsal,
    test_anchor_consistency,
    test_anchor_heads,
    test_costpools_objections,
    test_costpools_settlement,
    test_sharing_assets,
    test_sharing_attacks,
    test_sharing_council,
    test_sharing_departments,
    test_sharing_emergencies,
    test_sharing_grants,
    test_sharing_handover,
    test_sharing_roles,
    test_sharing_signatures,
    test_sharing_usage,
)
globals().update(those_on_a_chain(*_MODULES))

granted = test_sharing_usage.granted
anchoring = test_anchor_heads.anchoring
at_twelve = test_anchor_heads.at_twelve
witnessed = test_anchor_heads.witnessed
settling = test_costpools_settlement.settling
committed = test_costpools_settlement.committed
splitting = test_costpools_settlement.splitting
second = test_hand_over_rehearsal.second


@pytest.fixture(scope="module")
def built_city() -> Iterator[City]:
    """Replaces the city of conftest.py."""
    chain = AnvilChain()
    try:
        yield example_city(chain)
    finally:
        chain.close()


@pytest.fixture
def city(built_city: City) -> Iterator[City]:
    """As in conftest.py; at the end the events must give all stored words."""
    assert isinstance(built_city.chain, AnvilChain)
    with built_city.chain.rewound():
        yield built_city
        assert differences(built_city.chain) == {}
