"""The demo on a development node over JSON-RPC: registered, granted, read, refused, anchored, verified."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from api.demo.city import found_city
from api.demo.narrator import Narrator
from api.demo.story import tell_story
from tests.simulators.anvil import Anvil


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    with Anvil() as node:
        yield node


@pytest.mark.needs("anvil")
def test_demo_runs_on_anvil(anvil: Anvil, tmp_path: Path) -> None:
    city = found_city(tmp_path / "city", rpc_url=anvil.url)
    try:
        summary = tell_story(Narrator(Console(file=io.StringIO()), steps=9), city)
    finally:
        city.service.stop()
    assert [check["name"] for check in summary["checks"] if not check["passed"]] == []
    assert summary["audit"]["anchored_block"] > 0
    assert not (tmp_path / "city" / "chain.sqlite").exists()
