"""A city on a real chain, built once per worker and rewound after every test."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def _register(name: str, file: str) -> None:
    """Test folders are not packages, so their shared modules are registered by hand, once."""
    if name in sys.modules:
        return
    specification = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)


_register("contracts_harness", "harness.py")

from contracts_harness import Chain, City, example_city  # noqa: E402


@pytest.fixture(scope="session")
def built_city() -> City:
    """Departments 1, 2 and 3 with every role; assets 1.1 general, 1.2 important, 1.3 core."""
    return example_city(Chain())


@pytest.fixture
def city(built_city: City) -> Iterator[City]:
    """The built city; the changes of a test are undone."""
    with built_city.chain.rewound():
        yield built_city
