"""Eight callers at once while the follower records acts: every call is answered, and no database is locked.

How fast is a benchmark's matter (``benchmarks/service.py``): here it must be right.
"""

from __future__ import annotations

import pytest

from api.demo.cast import AUDIT
from api.demo.city import City
from benchmarks.service import load

SECONDS = 30


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_eight_callers_for_half_a_minute_with_the_follower_running(city: City) -> None:
    times, acts = load(city, 8, SECONDS)
    assert "database is locked" not in (city.home / "service.log").read_text()
    assert acts >= 10
    permits = list(city.of(AUDIT).civic.entries(decision="permit", type="gateway:read:decided", limit=200))
    assert len(permits) == len(times)
