"""Fixtures of a real city for each test: created once, then copied, with a real service process on a real socket."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.demo.city import City
from tests.simulators.city import TIDY, founded_home, open_city
from tests.simulators.pinned_city import opened as strict_city


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A founded city that is only copied. The processes of one run share it, because founding takes as long as ten
    tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with (root / "founded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = root / "founded-once" / "city"
        if not made.is_dir():
            founded_home(root / "founding" / "city")
            (root / "founding").rename(made.parent)
    return made


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
    """One city for the tests of a module that do not change it."""
    opened = open_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("shared") / "city")))
    yield opened
    opened.service.stop()


@pytest.fixture(scope="module")
def tidy_city(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """One city for the tests of a module, which deletes unneeded files every second."""
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("tidy") / "city"))
    opened = open_city(home, **TIDY)
    yield opened
    opened.service.stop()


@pytest.fixture(scope="module")
def pinned_town(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """One city for the tests of a module, which keeps a file of an ended version only if a grant pins it."""
    opened = strict_city(founded, tmp_path_factory.mktemp("pinned") / "city")
    yield opened
    opened.service.stop()
