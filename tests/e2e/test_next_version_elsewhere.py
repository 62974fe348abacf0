"""A new version replaces another on PostgreSQL, and on a node whose blocks are read late, and no read fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from tests.e2e.test_next_version import AIR, Reader, drafted, handed_in, owner_of, read, renamed, state_of
from tests.simulators.anvil import Anvil
from tests.simulators.city import founded_home, open_city

DEPTH = 3


@pytest.mark.drill
@pytest.mark.needs("postgresql")
def test_no_read_fails_on_postgresql(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_DATABASE_URL", postgres_url)
    city = open_city(founded_home(tmp_path / "city"))
    try:
        with Reader(city) as reader:
            for version, mark in ((2, "x"), (3, "y")):
                file = renamed(city, mark)
                digest = handed_in(city, drafted(city, file))["digest"]
                reader.some()
                owner_of(city).civic.upload(AIR, file)
                assert state_of(city, digest) == "recorded"
                reader.some()
                assert reader.seen[-1] == (version, {mark})
        assert not reader.failed, reader.failed
        assert {version for version, _ in reader.seen} == {1, 2, 3}
        assert all(told == {"x": {"x"}, "y": {"y"}}["xy"[v - 2]] for v, told in reader.seen if v > 1)
    finally:
        city.service.stop()


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    with Anvil() as node:
        yield node


def mined(anvil: Anvil, blocks: int) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "anvil_mine", "params": [blocks]}
    httpx.post(anvil.url, json=call).raise_for_status()


@pytest.mark.drill
@pytest.mark.needs("anvil")
def test_reads_use_the_recorded_version_until_the_block_is_confirmed(anvil: Anvil, tmp_path: Path) -> None:
    home = founded_home(tmp_path / "city", anvil.url)
    city = open_city(home, CIVIC_CONFIRMATIONS=str(DEPTH), CIVIC_ANCHOR_EVERY_S="3600")
    try:
        mined(anvil, DEPTH)
        file = renamed(city, "x")
        with Reader(city) as reader:
            digest = handed_in(city, drafted(city, file))["digest"]
            owner_of(city).civic.upload(AIR, file)
            until_mined(city, digest)
            before = len(reader.seen)
            reader.some(12)
            assert not reader.failed, reader.failed
            assert {version for version, _ in reader.seen[before:]} == {1}
            mined(anvil, DEPTH)
            assert state_of(city, digest) == "recorded"
            reader.some()
        assert not reader.failed, reader.failed
        assert read(city) == (2, {"x"})
    finally:
        city.service.stop()


def until_mined(city: City, digest: str) -> None:
    for _ in range(100):
        if state_of(city, digest, 0.2) == "mined":
            return
    raise AssertionError("the act was not mined")
