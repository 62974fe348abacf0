"""The service's temporary files are in its home, readable by its owner only, and a killed service leaves none to
others."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, PLANNING
from tests.e2e.test_private_files import OTHERS
from tests.simulators.city import open_city, reconnect
from tests.simulators.raw_http import Call
from tests.simulators.slow_reader import connect


def kept(home: Path, name: str = "*") -> list[Path]:
    """The paths with this name in the temporary folder of a home, at any depth."""
    return list((home / "temporary").rglob(name))


def stopped_in_a_bundle(city: City) -> None:
    """Stop the service (SIGSTOP) while it makes a bundle of the log."""
    call = partial(Call, city.of(AUDIT).service, city.service.url, target="/v1/audit/bundle", method="GET")
    for _ in range(200):
        with connect(city.service.url) as line:
            line.sendall(call().bytes())
            until = time.monotonic() + 2
            while time.monotonic() < until and not any(kept(city.home, "bundle.tar")):
                time.sleep(0.0005)
            os.kill(city.service.pid, signal.SIGSTOP)
            if any(kept(city.home, "bundle.tar")):
                return
            os.kill(city.service.pid, signal.SIGCONT)
    raise AssertionError("no bundle was seen")


def test_temporary_files_of_a_killed_service_are_deleted(home: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    umask = os.umask(0)
    try:
        city = open_city(home, TMPDIR=str(system))
    finally:
        os.umask(umask)
    city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"columns": ["pm25"], "limit": 3})
    stopped_in_a_bundle(city)
    left = kept(home)
    assert kept(home, "civic-scan-*")
    assert [path for path in left if not path.is_symlink() and path.stat().st_mode & OTHERS] == []
    assert list(system.iterdir()) == [], "nothing of the service lies where every user of the machine writes"
    city.service.kill()
    assert kept(home, "bundle.tar"), "a killed service cleared nothing, or the test shows nothing"
    (home / "temporary" / "a-link").symlink_to(home / "data")
    city.service = open_city(home, TMPDIR=str(system)).service
    try:
        assert not set(left) & set(kept(home))
        assert list((home / "data").iterdir()), "what a link points to is not cleared"
        reconnect(city)
        city.of(PLANNING).civic.read("6.1", AIR_POLICY, {"columns": ["pm25"], "limit": 3})
    finally:
        city.service.stop()
    assert kept(home) == [], (home / "service.log").read_text()[-800:]
    assert list(system.iterdir()) == []
