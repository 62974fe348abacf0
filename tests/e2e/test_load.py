"""Eight callers at once while the follower records acts: no locked database, and answers in time."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.demo.cast import PLANNING, PUBLIC_SECURITY
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.sdk.drafts import draft_suspension, sign_act, submit
from api.sdk.transport import Transport

SECONDS = 30
QUERY = b'{"asset":"%s","purpose":"%s","query":{"columns":["pm25","district"],"where":{"column":"station_id","op":"eq","value":"AQ01"},"limit":5}}'


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_eight_callers_for_half_a_minute_with_the_follower_running(city: City) -> None:
    planning = city.of(PLANNING)
    body = QUERY % (city.assets["air_quality"].encode(), AIR_POLICY.encode())
    until = time.monotonic() + SECONDS
    stop = threading.Event()

    def call(_: int) -> list[float]:
        transport = Transport(city.service.url, city.trust.gateway_key, planning.service)
        taken = []
        while time.monotonic() < until:
            began = time.perf_counter()
            answer = transport.call(
                "POST", "/v1/read", body=body, headers={"Content-Type": "application/json"}
            )
            taken.append(time.perf_counter() - began)
            assert answer.status == 200, answer.body
        transport.close()
        return taken

    def govern() -> int:
        """Acts all the while: an asset is suspended and lifted again, so the follower has work."""
        owner, done = city.of(PUBLIC_SECURITY), 0
        while not stop.is_set():
            for lift in (False, True):
                draft = draft_suspension(city.assets["population_register"], "drill", lift=lift)
                submit(owner.civic, sign_act(draft, city.trust, [owner.secrets["steward"]]))
                done += 1
        return done

    with ThreadPoolExecutor(9) as pool:
        governing = pool.submit(govern)
        times = sorted(t for taken in pool.map(call, range(8)) for t in taken)
        stop.set()
        acts = governing.result(timeout=60)
    p99 = times[int(len(times) * 0.99)]
    print(
        f"{len(times)} calls, {len(times) / SECONDS:.0f}/s, median {statistics.median(times) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, {acts} acts"
    )
    assert "database is locked" not in (city.home / "service.log").read_text()
    assert acts >= 10
    assert p99 < 0.1
