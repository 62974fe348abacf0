"""Eight concurrent callers while the follower records acts: every call is answered, and no database is locked.

CI checks correctness; the target for speed is in the drills, since it is not reached yet (``benchmarks/service.py``
has the figures).
"""

from __future__ import annotations

import pytest

from api.demo.city import City
from api.demo.participants import AUDIT
from benchmarks.service import load, percentile

SECONDS = 30


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_eight_callers_for_half_a_minute_with_the_follower_running(city: City) -> None:
    times, acts = load(city, 8, SECONDS)
    assert "database is locked" not in (city.home / "service.log").read_text()
    assert acts >= 10
    permits = list(city.of(AUDIT).civic.entries(decision="permit", type="gateway:read:decided", limit=200))
    assert len(permits) == len(times)


@pytest.mark.drill
@pytest.mark.timeout(240)
def test_eight_callers_are_answered_within_a_tenth_of_a_second(city: City) -> None:
    times, _ = load(city, 8, SECONDS)
    assert percentile(times, 0.99) < 100
