"""Tables in parts under attack: damaged disks, false sizes, and what a stolen steward's key may sign."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import main
from api.demo.city import City
from api.runtime.pinned_versions import pinned_versions
from api.sdk.drafts import source_of
from ledger.ids import parse_asset
from tests.e2e.test_append import (
    AIR,
    begun,
    denied,
    districts,
    drafted,
    handed_in,
    owner_of,
    part,
    place_of,
    recorded,
)
from tests.e2e.test_next_version import state_of
from tests.simulators.city import open_city


def damage(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-40])


def test_several_damaged_parts_are_handed_in_again_one_after_the_other(tidy_city: City) -> None:
    """Regression: each part was compared with the other, which is damaged, and neither could be uploaded
    again."""
    begun(tidy_city, "d0")
    first, second = part(tidy_city, "d1"), part(tidy_city, "d2")
    recorded(tidy_city, first, second)
    good = districts(tidy_city)
    for file in (first, second):
        damage(place_of(tidy_city, file))
    assert denied(tidy_city) == "source.changed"
    assert owner_of(tidy_city).civic.upload(AIR, first)["missing"] == 1
    assert denied(tidy_city) == "source.changed"
    assert owner_of(tidy_city).civic.upload(AIR, second)["missing"] == 0
    assert districts(tidy_city) == good


def test_a_version_waits_while_one_of_its_parts_is_damaged(tidy_city: City) -> None:
    begun(tidy_city, "e0")
    before, first, second = districts(tidy_city), part(tidy_city, "e1"), part(tidy_city, "e2")
    digest = handed_in(tidy_city, drafted(tidy_city, first, second))
    owner_of(tidy_city).civic.upload(AIR, first)
    damage(place_of(tidy_city, first))
    assert owner_of(tidy_city).civic.upload(AIR, second)["missing"] == 1
    [*_, awaited] = owner_of(tidy_city).civic.dataset_source(AIR)["awaited"]
    assert awaited["missing"] == [source_of(first)["sha256"]]
    assert state_of(tidy_city, digest, 0) == "awaiting-file"
    assert districts(tidy_city) == before
    assert owner_of(tidy_city).civic.upload(AIR, first)["missing"] == 0
    assert state_of(tidy_city, digest) == "recorded"
    assert districts(tidy_city) == (before[0] + 1, ["e0", "e1", "e2"])


def test_version_with_a_false_file_size_is_not_recorded(tidy_city: City) -> None:
    """A version took effect at once if all its files were stored; a version with a new file must not accept
    the false size either, because a part of a false size could never be uploaded again."""
    begun(tidy_city, "z0")
    file, more = part(tidy_city, "z1"), part(tidy_city, "z2")
    recorded(tidy_city, file)
    before, parts = districts(tidy_city), owner_of(tidy_city).civic.dataset_source(AIR)["parts"]
    false = [parts[0] | {"bytes": parts[0]["bytes"] + 1}, *parts[1:]]
    new = {"sha256": source_of(more)["sha256"], "bytes": more.stat().st_size}
    acts = [handed_in(tidy_city, drafted(tidy_city, parts=named)) for named in (false, [*false, new])]
    assert owner_of(tidy_city).civic.upload(AIR, more)["missing"] == 1
    for sent in (file, tidy_city.home / "z0.parquet"):
        owner_of(tidy_city).civic.upload(AIR, sent)  # The file of the recorded version is unchanged.
    assert [state_of(tidy_city, digest, 0) for digest in acts] == ["awaiting-file"] * 2
    assert districts(tidy_city) == before


@pytest.mark.drill
def test_parts_are_deleted_in_one_job_with_one_query_of_grants(
    founded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log accepts nothing else while the pins of a dataset's grants are read, which takes one and a half
    seconds for 5,000 grants. Regression: they were read again for each of 400 parts."""
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    city = open_city(home)
    try:
        base, more = begun(city, "y0"), [part(city, f"y{n}") for n in (1, 2, 3)]
        recorded(city, *more)
        begun(city, "new")
    finally:
        city.service.stop()
    places = [place_of(city, one) for one in (base, *more)]
    assert all(place.is_file() for place in places)
    profile = {
        "version": 1,
        "rules": [{"types": "", "openings_days": None, "leaves_days": None}],
        "files_days": 0,
    }
    (home / "retention.json").write_text(json.dumps(profile))
    asked: list[int] = []

    def counted(connection: Any, number: int, now: Any) -> frozenset[int]:
        asked.append(number)
        return pinned_versions(connection, number, now)

    monkeypatch.setattr("api.runtime.stored_files.pinned_versions", counted)
    assert main(["audit", "expire", "--home", str(home), "--json"]) == 0
    assert not any(place.exists() for place in places)
    assert (
        asked.count(parse_asset(AIR)) == 3
    )  # Once for the preview, once for the deletion, and once in the writer.
