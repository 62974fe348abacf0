"""``civic audit verify URL`` of a server that states any length and sends at any pace: the check ends, and says why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.api.cli.conftest import Run
from tests.simulators.uniform_log import UniformLog


def test_a_log_that_needs_more_bytes_than_allowed_is_not_fetched(run: Run) -> None:
    with UniformLog(1 << 40) as log:
        done = run("audit", "verify", log.url, "--json")
        assert (done.code, done.error["code"]) == (1, "audit.too-long")
        assert log.sent == 0


@pytest.mark.parametrize("entry", [b"x" * 65_535, b"x" * 200], ids=["long entries", "many entries"])
def test_the_bytes_of_a_whole_check_are_bounded(run: Run, entry: bytes) -> None:
    with UniformLog(1 << 16, entry) as log:
        done = run("audit", "verify", log.url, "--most-bytes", 4 << 20, "--json")
        assert (done.code, done.error["code"]) == (1, "audit.too-long")
        assert "--most-bytes" in done.error["hint"]
        assert log.sent <= (4 << 20) + (16 << 20), "one tile more at most"


@pytest.mark.parametrize("drips", [False, True], ids=["slow tiles", "slow bytes"])
def test_the_time_of_a_whole_check_is_bounded(run: Run, drips: bool) -> None:
    with UniformLog(1 << 20, pause_s=0.05, drips=drips) as log:
        begun = time.monotonic()
        done = run("audit", "verify", log.url, "--most-seconds", 2, "--json")
        assert (done.code, done.error["code"]) == (1, "audit.too-long")
        assert "--most-seconds" in done.error["hint"]
        assert time.monotonic() - begun < 20


def test_without_options_bytes_and_time_follow_from_the_signed_size(run: Run) -> None:
    with UniformLog(1024, b"x" * 65_535) as log:
        done = run("audit", "verify", log.url, "--json")
        assert (done.code, done.document["verdict"]) == (0, "self-consistent only"), (
            "64 MiB are always allowed"
        )
    with UniformLog(4096, b"x" * 65_535) as log:
        assert run("audit", "verify", log.url, "--json").error["code"] == "audit.too-long"
        assert log.sent < 120 << 20
        done = run("audit", "verify", log.url, "--most-bytes", 1 << 30, "--json")
        assert (done.code, done.document["verdict"]) == (0, "self-consistent only")


def test_the_bounds_belong_to_a_check_over_the_network(run: Run, tmp_path: Path) -> None:
    for option in ("--most-bytes", "--most-seconds"):
        done = run("audit", "verify", tmp_path, option, 5, "--json")
        assert (done.code, done.error["code"]) == (2, "usage")
