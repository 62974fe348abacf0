"""Licences: what is required at run time must be on the list, whatever spelling its metadata has."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import pytest

from docs import licences


def package(folder: Path, name: str, *lines: str) -> Distribution:
    """An installed package with this metadata."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines])
    )
    return Distribution.at(info)


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: GPL-3.0-or-later"],
        ["License-Expression: MIT AND GPL-3.0-only"],
        ["Classifier: License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)"],
        ["License: GPLv3"],
        ["License: something of our own"],
        [],
    ],
)
def test_gpl_unknown_and_missing_licences_are_refused_at_run_time(tmp_path: Path, lines: list[str]) -> None:
    found = {"strange": package(tmp_path, "strange", *lines)}
    assert licences.refused(found, licences.SHIPPED)


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: Apache-2.0 OR BSD-3-Clause"],
        ["License-Expression: MPL-2.0 AND (Apache-2.0 OR MIT)"],
        ["Classifier: License :: OSI Approved :: MIT License", "License: see the file"],
        ["License: Apache Software License"],
    ],
)
def test_listed_licences_are_accepted_in_every_spelling(tmp_path: Path, lines: list[str]) -> None:
    assert licences.refused({"usual": package(tmp_path, "usual", *lines)}, licences.SHIPPED) == []


def test_the_installed_packages_pass_and_the_page_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main(["--check"]) == 0, capsys.readouterr().err


def test_a_package_for_tests_is_not_required_at_run_time() -> None:
    required = licences.shipped()
    assert "pymerkle" in licences.tools(required)
    assert "pymerkle" not in required
    assert {"web3", "py-solc-x", "cryptography", "fastapi", "sqlmodel", "eth-tester"} <= required.keys()
