"""`python -m benchmarks.service --json`: signed reads by eight parallel callers of a running city.

Figures: calls per second, median and 99th percentile of the answer time (ms), and acts recorded during the run. The target for
``p99_ms`` is 100. The ratio is to a single caller in the same run, so it does not depend on the speed of the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING, PUBLIC_SECURITY
from api.sdk.drafts import draft_suspension, sign_act, submit
from api.sdk.transport import Transport
from tests.simulators.city import founded_home, open_city

QUERY = {
    "columns": ["pm25", "district"],
    "where": {"column": "station_id", "op": "eq", "value": "AQ01"},
    "limit": 5,
}


def read_for(city: City, seconds: float) -> list[float]:
    """The answer times, in seconds, of one caller who reads repeatedly."""
    body = json.dumps({"asset": city.assets["air_quality"], "purpose": AIR_POLICY, "query": QUERY}).encode()
    transport = Transport(city.service.url, city.trust.gateway_key, city.of(PLANNING).service)
    until, taken = time.monotonic() + seconds, []
    while time.monotonic() < until:
        began = time.perf_counter()
        answer = transport.call("POST", "/v1/read", body=body, headers={"Content-Type": "application/json"})
        taken.append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(answer.body.decode())
    transport.close()
    return taken


def govern_until(city: City, stop: threading.Event) -> int:
    """Suspend an asset and lift the suspension repeatedly, as work for the follower; returns the number of recorded acts."""
    owner, done = city.of(PUBLIC_SECURITY), 0
    while not stop.is_set():
        for lift in (False, True):
            draft = draft_suspension(city.assets["population_register"], "drill", lift=lift)
            submit(owner.civic, sign_act(draft, city.trust, [owner.secrets["steward"]]))
            done += 1
    return done


def load(city: City, callers: int, seconds: float) -> tuple[list[float], int]:
    """All answer times, sorted, and the number of acts recorded during the run."""
    stop = threading.Event()
    with ThreadPoolExecutor(callers + 1) as pool:
        governing = pool.submit(govern_until, city, stop)
        times = sorted(
            t for taken in pool.map(lambda _: read_for(city, seconds), range(callers)) for t in taken
        )
        stop.set()
        return times, governing.result(timeout=60)


def percentile(times: list[float], share: float) -> float:
    """The percentile in milliseconds, of times in seconds."""
    return times[min(len(times) - 1, int(len(times) * share))] * 1e3


def main() -> None:
    """Set up a city, run the load, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        city = open_city(founded_home(Path(folder) / "city"))
        try:
            alone, _ = load(city, 1, options.seconds / 3)
            times, acts = load(city, 8, options.seconds)
        finally:
            city.service.stop()
    report = {
        "benchmark": "service",
        "figures": {
            "calls_per_s": round(len(times) / options.seconds, 1),
            "p50_ms": round(statistics.median(times) * 1e3, 1),
            "p99_ms": round(percentile(times, 0.99), 1),
            "p50_ms_alone": round(statistics.median(alone) * 1e3, 1),
            "acts": acts,
        },
        "ratios": {"p50_8_callers_vs_1": round(statistics.median(times) / statistics.median(alone), 2)},
    }
    print(json.dumps(report) if options.json else json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
