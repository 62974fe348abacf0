"""The file of a SQLite database is moved, replaced, removed or damaged while the service runs."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from api.sdk.errors import ServiceProblem


def read(city: City) -> None:
    city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})


def code_of(city: City, path: str) -> tuple[int, str]:
    answer = httpx.get(city.service.url + path, timeout=30)
    return answer.status_code, answer.json().get("code", "")


def test_commit_to_an_unlinked_database_file_is_not_acknowledged(city: City, tmp_path: Path) -> None:
    """Otherwise new commits would be lost with the process, and a restored backup would be mixed with the
    newest pages of the old file."""
    file, aside = city.home / "ledger.sqlite", tmp_path / "aside.sqlite"
    read(city)
    file.rename(aside)
    for other in (None, "a backup"):
        if other:
            shutil.copy(aside, file)
        with pytest.raises(ServiceProblem) as refused:
            read(city)
        assert refused.value.status == 503
        assert code_of(city, "/v1/grants") == (503, "store.exchanged")
    file.unlink()
    aside.rename(file)
    read(city)
    assert "Traceback" not in (city.home / "service.log").read_text()


def test_damaged_database_file_is_answered_with_its_code(city: City) -> None:
    file = city.home / "ledger.sqlite"
    with file.open("r+b") as written:
        for page in range(2, file.stat().st_size // 4096):
            written.seek(page * 4096)
            written.write(b"\xa5" * 4096)
    codes = {
        code_of(city, path)[1] for path in ("/v1/grants", "/v1/departments", "/v1/datasets", "/v1/status")
    }
    with suppress(ServiceProblem):
        read(city)
    assert "store.damaged" in codes
    assert "service.failed" not in codes
    assert "Traceback" not in (city.home / "service.log").read_text()
