"""The examples of the description are calls to a real city and its answers, in the form that the service has today."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from api.demo.city import City
from api.http.examples import FILE, examples
from tests.simulators.described_service import DescribedService
from tests.simulators.example_calls import ExampleCalls, by_label


def shape(one: Any, other: Any, place: str = "") -> list[str]:
    """The differences of two documents in their members and the types of their values; null matches any
    type."""
    if one is None or other is None:
        return []
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return []
    if type(one) is not type(other):
        return [place]
    if isinstance(one, dict):
        found = [f"{place}/{name}" for name in one.keys() ^ other.keys()]
        return found + [
            each
            for name in one.keys() & other.keys()
            for each in shape(one[name], other[name], f"{place}/{name}")
        ]
    if isinstance(one, list):
        return shape(one[0], other[0], f"{place}/0") if one and other else []
    return []


@pytest.fixture(scope="module")
def answered(shared_city: City) -> dict[str, Any]:
    made = ExampleCalls(shared_city, DescribedService(shared_city.service.url)).all()
    return dict(by_label(made))


def test_the_examples_are_what_the_city_answers(answered: dict[str, Any]) -> None:
    """CIVIC_WRITE_DOCS=1 writes them again."""
    if os.environ.get("CIVIC_WRITE_DOCS"):
        FILE.write_text(json.dumps(answered, indent=1, ensure_ascii=False) + "\n", "utf-8")
        examples.cache_clear()
    assert shape(dict(examples()), answered) == []


def test_no_example_names_the_machine_it_was_made_on(shared_city: City) -> None:
    text = FILE.read_text("utf-8")
    assert str(shared_city.home.parent) not in text
    assert "/tmp/" not in text
    assert "127.0.0.1" not in text.replace("http://127.0.0.1:8600", "")
