"""What every test shares: one rule about tools that a bare machine may lack, and a PostgreSQL where there is one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.simulators.geth import can_be_had
from tests.simulators.postgres import cluster

ROOT = Path(__file__).resolve().parent.parent

_PROBES = {
    "postgresql": lambda: (
        bool(os.environ.get("CIVIC_TEST_POSTGRES")) or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    ),
    "chromium": lambda: shutil.which("chromium") is not None,
    "cc": lambda: shutil.which("cc") is not None,
    "strace": lambda: shutil.which("strace") is not None,
    "systemd": lambda: shutil.which("systemd-analyze") is not None,
    "openssl": lambda: all(map(shutil.which, ("bash", "curl", "openssl"))),
    "node": lambda: shutil.which("node") is not None and (ROOT / "contracts/node_modules/ethers").is_dir(),
    "anvil": lambda: any((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil")),
    "geth": can_be_had,
    "generator": lambda: (ROOT / ".tools/generator/.synced").is_file(),
    "openzeppelin": lambda: (ROOT / "contracts/node_modules/@openzeppelin/contracts").is_dir(),
    "solc": lambda: shutil.which("node") is not None and (ROOT / "contracts/node_modules/solc").is_dir(),
}

# How fast an example runs is the machine's load, and no promise of the product: `alone` tests measure time.
hypothesis_settings.register_profile(
    "suite", hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run; with CIVIC_REQUIRE=all nothing is skipped, it fails instead."""
    required = os.environ.get("CIVIC_REQUIRE", "")
    for item in items:
        for mark in item.iter_markers("needs"):
            for tool in mark.args:
                if required != "all" and not _PROBES[tool]():
                    item.add_marker(pytest.mark.skip(reason=f"{tool} is not on this machine"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL to make databases in: CIVIC_TEST_POSTGRES, or a cluster of our own on a unix socket."""
    given = os.environ.get("CIVIC_TEST_POSTGRES")
    if given:
        yield given
        return
    with cluster() as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of its own, gone after the test."""
    name = "t" + uuid.uuid4().hex
    with psycopg.connect(postgres_server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    before, _, after = postgres_server.partition("/postgres")
    yield f"{before}/{name}{after}"
    with psycopg.connect(postgres_server, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
