"""No other user of the machine can read anything that an installation or a command writes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PASSPHRASE
from tests.simulators.city import open_city

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def civic(umask: int, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        umask=umask,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def everything(root: Path) -> Iterator[Path]:
    yield root
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(folder, name)


def open_to_others(root: Path) -> list[str]:
    found = []
    for path in everything(root):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & OTHERS:
            found.append(f"{stat.filemode(mode)} {path.relative_to(root)}")
    return found


@pytest.fixture
def open_home(home: Path) -> Path:
    """A home as an earlier version left it."""
    for path in everything(home):
        path.chmod(path.stat().st_mode | 0o055 | (0o022 if path.is_file() else 0))
    return home


@pytest.mark.drill
def test_the_whole_demo_writes_for_its_owner_alone(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir(0o755)
    home = tmp_path / "made" / "city"
    civic(0o000, "demo", "--home", home, "--no-serve", TMPDIR=str(temporary))
    assert open_to_others(home) == []
    assert [path for path in open_to_others(temporary) if not path.endswith(" .")] == []
    assert len(list(everything(home))) > 80


def test_permissions_of_an_open_home_are_restricted_at_the_start(open_home: Path, tmp_path: Path) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir(0o755)
    out.mkdir(0o700)
    assert len(open_to_others(open_home)) > 50
    before = os.umask(0o000)
    try:
        city = open_city(open_home, TMPDIR=str(temporary))
    finally:
        os.umask(before)
    try:
        assert open_to_others(open_home) == []
        assert "closed now" in (open_home / "service.log").read_text()
        seen = watched_while_streaming(city, temporary, out)
        assert seen, "no bundle was seen in the temporary folder"
        assert [mode for mode in seen if mode & OTHERS] == []
        write_everything(city, out / "000", 0o000, temporary)
        assert open_to_others(out) == []
        assert open_to_others(open_home) == []
        assert [path for path in open_to_others(temporary) if not path.endswith(" .")] == []
    finally:
        city.service.stop()
    assert open_to_others(open_home) == []


def watched_while_streaming(city: City, temporary: Path, out: Path) -> list[int]:
    """The modes of the files in the home's temporary folder while the whole log is exported."""
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for path in (city.home / "temporary").glob("civic-bundle-*"):
                for one in (path, *path.glob("*")):
                    try:
                        seen.add(one.stat().st_mode)
                    except FileNotFoundError:
                        continue
            time.sleep(0.0005)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        run(city, 0o000, temporary, "audit", "export", out / "watched.tar", profile="audit-office")
    finally:
        done.set()
        watching.join()
    return sorted(seen)


def run(city: City, umask: int, temporary: Path, *arguments: str | Path, profile: str = "planning") -> None:
    civic(
        umask,
        *arguments,
        CIVIC_PROFILE=str(city.home / "departments" / profile),
        CIVIC_URL=city.service.url,
        CIVIC_PASSPHRASE=PASSPHRASE,
        TMPDIR=str(temporary),
    )


def write_everything(city: City, out: Path, umask: int, temporary: Path) -> None:
    """Every command that writes a file."""
    trust, air = city.home / "trust.json", ["--purpose", AIR_POLICY, "--columns", "pm25", "--limit", "3"]
    mine = ["--url", city.service.url, "--department", "2"]
    publish = ["audit", "publish", "--home", city.home, "--to"]
    commands: list[tuple[str, list[str | Path]]] = [
        ("planning", ["keys", "new", out / "keys" / "one.json", "--kind", "officer"]),
        ("planning", ["read", "6.1", *air, "--out", out / "air.json"]),
        ("audit-office", ["audit", "export", out / "bundle.tar"]),
        ("audit-office", ["audit", "receipt", "get", "3"]),
        ("planning", [*publish, out / "tiles"]),
        ("planning", [*publish, out / "log.csv", "--form", "csv"]),
        ("planning", [*publish, out / "log.parquet", "--form", "parquet"]),
        ("environment", ["revoke", city.grants["air-planning"], "--save", out / "act.json", "--yes"]),
        (
            "planning",
            ["witness", "init", "--state", out / "watch", "--trust", trust, "--name", "w.city.example"],
        ),
        (
            "planning",
            ["profile", "init", "--profile", out / "mine", "--trust", trust, *mine],
        ),
    ]
    out.mkdir()
    out.chmod(0o700)
    for profile, command in commands:
        run(city, umask, temporary, *command, profile=profile)
    for name in (
        "keys/one.json",
        "air.json",
        "bundle.tar",
        "tiles/checkpoint",
        "act.json",
        "mine/profile.json",
    ):
        assert (out / name).is_file(), name
