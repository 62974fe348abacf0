"""The datasets that the demo registers: titles, classes and files.

``data/SOURCES.md`` says where each comes from and which values were invented for the demo.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

from languages.texts import Bilingual, bilingual

DataClass: TypeAlias = Literal["general", "important", "core"]
Sharing: TypeAlias = Literal["unconditional", "conditional"]

_DATA = Path(str(files("api.demo"))) / "data"


@dataclass(frozen=True, slots=True)
class DemoDataset:
    """A dataset that is shipped with the demo. ``domain`` names the department that is its steward."""

    key: str
    file_name: str
    format: Literal["csv", "parquet"]
    domain: Literal["planning", "health", "education", "elder-care", "environment", "public-security"]
    title_zh: str
    title_en: str
    data_class: DataClass
    sharing: Sharing

    @property
    def title(self) -> Bilingual:
        """Its title in both languages."""
        return bilingual(self.title_en, self.title_zh)

    @property
    def schema(self) -> dict[str, object]:
        """The declared schema: a Frictionless Table Schema (``access_policy.privacy.schema``) as JSON."""
        document: dict[str, object] = json.loads((_DATA / f"{self.key}.schema.json").read_text("utf-8"))
        return document

    @property
    def person_key(self) -> str | None:
        """The column that identifies persons; None if the rows are not about persons."""
        key = self.schema.get("personKey")
        return key if isinstance(key, str) else None

    @property
    def column_classes(self) -> Mapping[str, str]:
        """Column name to identifier, quasi-identifier, sensitive or plain."""
        fields = self.schema["fields"]
        assert isinstance(fields, list)
        return {field["name"]: field["class"] for field in fields}


DATASETS: tuple[DemoDataset, ...] = (
    DemoDataset(
        "population_register",
        "population_register.csv",
        "csv",
        "public-security",
        "人口基础信息",
        "Population register",
        "important",
        "conditional",
    ),
    DemoDataset(
        "pension_roll",
        "pension_roll.csv",
        "csv",
        "elder-care",
        "养老金发放名册",
        "Pension roll",
        "important",
        "conditional",
    ),
    DemoDataset(
        "census_extract",
        "census_extract.parquet",
        "parquet",
        "planning",
        "城乡居民抽样调查（虚构）",
        "Household survey (invented)",
        "important",
        "conditional",
    ),
    DemoDataset(
        "respiratory_visits",
        "respiratory_visits.csv",
        "csv",
        "health",
        "呼吸系统疾病就诊量",
        "Clinic visits for breathing complaints",
        "general",
        "conditional",
    ),
    DemoDataset(
        "school_places",
        "school_places.csv",
        "csv",
        "education",
        "学校学位供给",
        "School places",
        "general",
        "unconditional",
    ),
    DemoDataset(
        "air_quality",
        "air_quality.csv",
        "csv",
        "environment",
        "空气质量监测数据",
        "Air quality",
        "general",
        "conditional",
    ),
    DemoDataset(
        "weather",
        "weather.csv",
        "csv",
        "environment",
        "空气站气象参数",
        "Weather at the air stations",
        "general",
        "unconditional",
    ),
)


def dataset(key: str) -> DemoDataset:
    """The dataset of a key; KeyError with the known keys."""
    for candidate in DATASETS:
        if candidate.key == key:
            return candidate
    raise KeyError(f"no demo data set {key!r}; there are {', '.join(d.key for d in DATASETS)}")


def dataset_path(key: str) -> Path:
    """The path of the dataset's file on this machine."""
    return _DATA / dataset(key).file_name


def ladder(column: str, level: int = 1) -> dict[str, str]:
    """The steps of a census column's generalisation ladder: code to its broader code at ``level``.

    Fits ``{"type": "ladder", "steps": ladder("native_country")}``. Columns: education, marital_status,
    native_country, occupation, workclass. Raises KeyError for another column, IndexError above the top level.
    """
    path = _DATA / "ladders" / f"{column}.csv"
    if not column.isidentifier() or not path.is_file():
        raise KeyError(f"no ladder for {column!r}")
    with path.open(encoding="utf-8", newline="") as file:
        return {row[0]: row[level] for row in csv.reader(file)}
