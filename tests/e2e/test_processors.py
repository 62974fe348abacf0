"""Where the service runs: its threads on one processor, its scanning processes on all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from tests.simulators.city import open_city

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors are chosen on Linux")

PROCESSORS = os.cpu_count() if not hasattr(os, "sched_getaffinity") else len(os.sched_getaffinity(0))


def children(process: int) -> list[int]:
    """The children of a process."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def all_over(scans: list[int]) -> bool:
    """Whether there are scanning processes, and each may run on all processors."""
    return bool(scans) and all(os.sched_getaffinity(scan) == os.sched_getaffinity(0) for scan in scans)


@pytest.mark.parametrize(("cpus", "threads"), [("one", 1), ("all", PROCESSORS)])
def test_the_services_threads_and_its_scans(home: Path, cpus: str, threads: int) -> None:
    city = open_city(home, CIVIC_CPUS=cpus)
    try:
        assert city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"columns": ["pm25"], "limit": 1}).rows()
        assert len(os.sched_getaffinity(city.service.pid)) == threads
        until = time.monotonic() + 30  # One may have been started just now.
        while not all_over(scans := children(city.service.pid)):
            assert time.monotonic() < until, scans
            time.sleep(0.05)
    finally:
        city.service.stop()
