"""If the service can write no file, every call is refused with a code that permits a retry, and the service
recovers by itself."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.demo.city import City, hand_in
from api.demo.datasets import dataset_path
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PLANNING
from api.runtime.spent_nonces import SpentNonces
from api.sdk.drafts import draft_suspension
from api.sdk.errors import ServiceProblem
from ledger.clock import SimulatedClock

WITHIN_S = 60


@contextmanager
def no_more_than(pid: int, most: int) -> Iterator[None]:
    """Limit the size of this process's files, which has the effect of a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def calls(city: City, folder: Path) -> dict[str, Callable[[], Any]]:
    asset = city.assets["air_quality"]
    owner = city.of(ENVIRONMENT)
    suspension = draft_suspension(asset, "a full disk")
    return {
        "read": lambda: city.of(PLANNING).civic.read(asset, AIR_POLICY, {"limit": 1}),
        "upload": lambda: owner.civic.upload(asset, dataset_path("air_quality")),
        "export": lambda: city.of(AUDIT).civic.export(folder / "log.tar"),
        "act": lambda: hand_in(city, owner, suspension, [owner.secrets["steward"]]),
    }


def outcome(call: Callable[[], Any]) -> tuple[int, str]:
    try:
        call()
    except ServiceProblem as refused:
        return refused.status, refused.code
    return 200, ""


@pytest.mark.parametrize("most", [0, 4096, 100_000])
def test_full_disk_is_answered_with_its_code_and_service_recovers(
    city: City, tmp_path: Path, most: int
) -> None:
    before = (city.home / "service.log").read_text()
    with no_more_than(city.service.pid, most):
        found = {name: outcome(call) for name, call in calls(city, tmp_path).items()}
        found["status"] = (httpx.get(f"{city.service.url}/v1/status", timeout=30).status_code, "")
    assert {status for status, _ in found.values()} <= {200, 503}, found
    assert found["upload"][0] == 503 or dataset_path("air_quality").stat().st_size <= most, found
    assert not list((city.home / "data").glob(".incoming-*"))
    until = time.monotonic() + WITHIN_S
    for name, call in calls(city, tmp_path).items():
        while (said := outcome(call))[0] == 503:
            assert time.monotonic() < until, (name, said)
            time.sleep(0.3)
        assert said[0] == 200, (name, said)
    assert "Traceback" not in (city.home / "service.log").read_text().removeprefix(before)


def spend_or_fail(nonces: SpentNonces, nonce: str) -> bool | None:
    """None if the nonce could not be recorded."""
    try:
        return nonces.spend("a key", nonce)
    except OSError:
        return None


def test_spent_nonce_stays_spent_after_a_full_disk(tmp_path: Path) -> None:
    """Regression: a partial record stayed in the file, and all following records were read wrongly."""
    clock = SimulatedClock(1_800_000_000)
    nonces = SpentNonces(tmp_path / "spent", clock, 600)
    assert nonces.spend("a key", "first")
    with no_more_than(os.getpid(), 50):
        assert spend_or_fail(nonces, "refused") is None
    assert nonces.spend("a key", "refused"), "what was not noted is not spent"
    assert nonces.spend("a key", "last")
    nonces.close()
    again = SpentNonces(tmp_path / "spent", clock, 600)
    assert [again.spend("a key", nonce) for nonce in ("first", "refused", "last")] == [False] * 3
    again.close()


def test_spent_nonces_are_noted_again_after_their_file_could_not_be_made_shorter(tmp_path: Path) -> None:
    """Regression: the file was closed first, its descriptor was reused by the next file, and that file got the
    records."""
    clock = SimulatedClock(1_800_000_000)
    nonces = SpentNonces(tmp_path / "spent", clock, 600)
    for number in range(66_000):
        assert nonces.spend("a key", str(number))
    clock.advance(700)
    assert nonces.spend("a key", "kept")
    clock.advance(601)
    with no_more_than(os.getpid(), 20):
        assert spend_or_fail(nonces, "refused") is None
    other = tmp_path / "other"
    with other.open("wb"):
        assert nonces.spend("a key", "refused")
    assert other.read_bytes() == b""
    nonces.close()
    again = SpentNonces(tmp_path / "spent", clock, 600)
    assert [again.spend("a key", nonce) for nonce in ("kept", "refused")] == [False] * 2
    again.close()
