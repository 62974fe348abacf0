"""A minute of slow readers, half-open connections and oversized bodies: honest calls are answered, and no use is lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.demo.cast import HEALTH
from api.demo.city import City
from benchmarks.service import percentile, read_for
from tests.e2e.test_slow_readers import large_home, slow
from tests.simulators.city import open_city
from tests.simulators.slow_reader import connect

__all__ = ["large_home"]

SECONDS = float(os.environ.get("ATTACK_SECONDS", "60"))


def again(over: threading.Event, attack: Callable[[], None], pause: float) -> threading.Thread:
    """The attack again and again in a thread of its own."""

    def run() -> None:
        while not over.is_set():
            try:
                attack()
            except (OSError, AssertionError):
                continue  # the service ended it
            finally:
                over.wait(pause)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def charged(city: City) -> int:
    with sqlite3.connect(f"file:{city.home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        query = "SELECT used FROM grant_charge WHERE grant_id = ?"
        return sum(used for (used,) in database.execute(query, (city.grants["air-planning"],)))


@pytest.mark.drill
@pytest.mark.timeout(400)
def test_honest_calls_keep_their_time_under_attack(large_home: Path, tmp_path: Path) -> None:
    city = open_city(Path(shutil.copytree(large_home, tmp_path / "city")))
    over, held = threading.Event(), []

    def slow_reader() -> None:
        held.append(slow(city, HEALTH))

    def half_open() -> None:
        line = connect(city.service.url, source="127.0.0.7")
        line.sendall(b"POST /v1/read HTTP/1.1\r\nHost: ")
        held.append(line)

    def oversized() -> None:
        with connect(city.service.url, source="127.0.0.8") as line:
            line.sendall(
                b"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 500_000
            )

    try:
        read_for(city, 2)
        alone = sorted(read_for(city, SECONDS / 3))
        attackers = [again(over, slow_reader, 0.2), again(over, half_open, 0.02), again(over, oversized, 0.1)]
        before, began = charged(city), time.monotonic()
        attacked = sorted(read_for(city, SECONDS))
        used = charged(city) - before
        seconds = time.monotonic() - began
    finally:
        over.set()
        for one in attackers:
            one.join()
        for line in held:
            line.close()
        city.service.stop()
    figures = {
        "seconds": round(seconds),
        "p50_ms": [round(percentile(alone, 0.5), 1), round(percentile(attacked, 0.5), 1)],
        "p99_ms": [round(percentile(alone, 0.99), 1), round(percentile(attacked, 0.99), 1)],
        "calls": [len(alone), len(attacked)],
        "connections": len(held),
    }
    print(json.dumps(figures))
    assert used == len(attacked), "each answered call is one use, and nothing else is"
    assert "Traceback" not in (city.home / "service.log").read_text()
    assert percentile(attacked, 0.99) < 5 * percentile(alone, 0.99) + 100, figures
