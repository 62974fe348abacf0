"""A derived dataset is registered by command: its parent is recorded on chain and can stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api.demo.city import City
from api.demo.participants import ENVIRONMENT, HEALTH
from tests.e2e.test_conditions import civic


def register(city: City, number: str, parent: str, data: Path) -> dict[str, Any]:
    titles = ("--title-zh", "年均值", "--title-en", "Yearly means")
    given = ("--file", data, *titles, "--sharing", "conditional", "--no-upload", "--parent", parent)
    part = HEALTH if number.startswith(str(HEALTH.number)) else ENVIRONMENT
    return civic(city, part, "dataset", "register", number, *given, "--key", "steward", "--yes")


def test_derived_dataset_names_its_parent_and_stops_with_it(city: City, tmp_path: Path) -> None:
    data = tmp_path / "means.csv"
    data.write_text("year,mean\n2025,11\n")
    assert register(city, "6.88", "6.1", data)["state"] == "recorded"
    made = city.of(ENVIRONMENT).civic.dataset("6.88")
    assert made["parents"] == [{"asset": "6.1", "under": None}]
