"""The suite's tests, collected again by a module whose city is on another chain."""

from __future__ import annotations

from types import ModuleType
from typing import Any

ON_A_CHAIN = {"city", "anchoring", "at_twelve", "witnessed", "settling", "committed", "splitting", "second"}
"""Fixtures that use the chain."""


def those_on_a_chain(*modules: ModuleType) -> dict[str, Any]:
    """The tests that request a fixture on the chain, under names that include their modules."""
    found = {}
    for module in modules:
        subject = module.__name__.rpartition("test_")[2].removeprefix("sharing_")
        for name, test in vars(module).items():
            if name.startswith("test_") and ON_A_CHAIN.intersection(
                test.__code__.co_varnames[: test.__code__.co_argcount]
            ):
                found[f"test_{subject}_{name.removeprefix('test_')}"] = test
    return found
