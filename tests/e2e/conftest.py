"""A real city for each test: founded once, then copied, with a real service process on a real socket."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.demo.city import City
from tests.simulators.city import founded_home, open_city


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return founded_home(tmp_path_factory.mktemp("founded") / "city")


@pytest.fixture
def home(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "city"))


@pytest.fixture
def city(home: Path) -> Iterator[City]:
    opened = open_city(home)
    yield opened
    opened.service.stop()


@pytest.fixture(scope="module")
def shared_city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """One city for the tests of a module that leave it as it was."""
    opened = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("shared") / "city")))
    yield opened
    opened.service.stop()
