"""The shipped data is what its schemas and SOURCES.md say."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from access_policy.privacy.execution.quality import check_quality
from access_policy.privacy.schema import parse_schema
from access_policy.privacy.source import Source
from access_policy.terms.transforms import parse_transform
from api.demo.datasets import DATASETS, DemoDataset, dataset, dataset_path, ladder
from api.demo.make_tables import DATA, make_open_tables


@pytest.mark.parametrize("shipped", DATASETS, ids=lambda d: d.key)
def test_every_data_set_keeps_to_its_schema(shipped: DemoDataset) -> None:
    schema = parse_schema(shipped.schema)
    report = check_quality(Source(str(dataset_path(shipped.key)), shipped.format, schema))
    assert report.readable
    assert report.rows
    impossible_birthdays = (("date_of_birth", "type", 42),) if shipped.key == "pension_roll" else ()
    assert report.counts == impossible_birthdays
    assert schema.person_key == shipped.person_key
    assert set(shipped.column_classes) == set(schema.names())


def test_the_made_up_tables_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    make_open_tables(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["air_quality.csv", "respiratory_visits.csv", "school_places.csv", "weather.csv"]
    for name in made:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_all_six_domains_have_data_and_something_is_open() -> None:
    assert {shipped.domain for shipped in DATASETS} == {
        "planning",
        "health",
        "education",
        "elder-care",
        "environment",
        "public-security",
    }
    assert {shipped.sharing for shipped in DATASETS} == {"conditional", "unconditional"}
    assert all(shipped.sharing == "conditional" for shipped in DATASETS if shipped.person_key)


def test_the_pension_roll_holds_people_whom_the_register_calls_dead() -> None:
    with dataset_path("population_register").open(encoding="utf-8") as file:
        dead = {row["citizen_id"] for row in csv.DictReader(file) if row["died_on"]}
    with dataset_path("pension_roll").open(encoding="utf-8") as file:
        paid = {row["citizen_id"] for row in csv.DictReader(file)}
    assert len(dead & paid) == 243


def test_census_ladders_know_every_code() -> None:
    census = pq.read_table(dataset_path("census_extract"))
    for column in ("education", "marital_status", "native_country", "occupation", "workclass"):
        codes = set(census[column].to_pylist()) - {None}
        assert codes <= set(ladder(column))
        parse_transform({"type": "ladder", "steps": ladder(column)})
    with pytest.raises(KeyError):
        ladder("../SOURCES")


def test_sources_name_every_file_and_it_is_small() -> None:
    sources = (DATA / "SOURCES.md").read_text("utf-8")
    for shipped in DATASETS:
        assert f"`{shipped.file_name}`" in sources
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 3 << 20
    with pytest.raises(KeyError, match="population_register"):
        dataset("taxis")
