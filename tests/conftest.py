"""What every test shares: one rule about tools that a bare machine may lack."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_PROBES = {
    "postgresql": lambda: (
        bool(os.environ.get("CIVIC_TEST_POSTGRES")) or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    ),
    "chromium": lambda: shutil.which("chromium") is not None,
    "strace": lambda: shutil.which("strace") is not None,
    "node": lambda: shutil.which("node") is not None and (ROOT / "contracts/node_modules/ethers").is_dir(),
    "anvil": lambda: any((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil")),
    "solc": lambda: shutil.which("node") is not None and (ROOT / "contracts/node_modules/solc").is_dir(),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run; with CIVIC_REQUIRE=all nothing is skipped, it fails instead."""
    required = os.environ.get("CIVIC_REQUIRE", "")
    for item in items:
        for mark in item.iter_markers("needs"):
            for tool in mark.args:
                if required != "all" and not _PROBES[tool]():
                    item.add_marker(pytest.mark.skip(reason=f"{tool} is not on this machine"))
