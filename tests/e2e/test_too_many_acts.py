"""The number of acts of a department is limited: each costs the city a transaction and entries of the log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.demo.city import City
from api.demo.participants import ENVIRONMENT
from api.sdk.drafts import ActDraft, draft_suspension, sign_act, submit
from tests.simulators.city import open_city


@pytest.fixture(scope="module")
def city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("acts") / "city"))
    opened = open_city(home, CIVIC_DEPARTMENT_ACTS_HOURLY="2")
    yield opened
    opened.service.stop()


def signed(city: City, *, lift: bool) -> ActDraft:
    owner = city.of(ENVIRONMENT)
    return sign_act(draft_suspension("6.1", "drill", lift=lift), city.trust, [owner.secrets["steward"]])


def test_department_over_its_limit_can_still_revoke(city: City) -> None:
    civic = city.of(ENVIRONMENT).civic  # Its registrations and grants were submitted within the hour.
    assert submit(civic, signed(city, lift=False))["state"] == "recorded"
    before = civic.status()["log"]["size"]
    lift = signed(city, lift=True)
    answer = httpx.post(f"{city.service.url}/v1/acts", json=lift.to_json(), timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (429, "act.too-many")
    assert 0 < int(answer.headers["Retry-After"]) <= 3_600
    assert answer.json()["zh"]["next"]
    assert civic.status()["log"]["size"] == before
