"""The pages name commands, options and files that there are, and become a site without a broken link."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import root
from tests.simulators.command_lines import must_be_a_command

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/zh/*.md")])
BLOCK = re.compile(r"^```(?:sh|bash|console)?\n(.*?)^```", re.M | re.S)
SHOWN = {"commands.md", "CHANGELOG.md"}
"""Pages of what the command prints itself, and of what held in earlier versions."""


def lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.name in SHOWN:
            continue
        for block in BLOCK.findall(page.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split("#")[0].split("&&"):
                    found = re.search(r"(?:^|\s)civic (?!serves)(.*)", part)
                    if found:
                        yield page.name, found[1].strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(lines())))
def test_a_command_of_a_page_is_one(page: str, line: str) -> None:
    must_be_a_command(line.split(">")[0].split("|")[0], page)


def test_every_command_takes_its_language() -> None:
    """``civic init --lang zh`` was refused."""

    def leaves(command: Any) -> Iterator[Any]:
        inner = getattr(command, "commands", None)
        yield from [command] if inner is None else [leaf for one in inner.values() for leaf in leaves(one)]

    found = list(leaves(root()))
    assert len(found) > 60
    assert not [one.name for one in found if not any("--lang" in param.opts for param in one.params)]


def test_the_modules_of_the_architecture_are_there() -> None:
    named = re.findall(
        r"(?:api|ledger|access_policy|contracts)/[\w/]+(?:\.py|/)",
        (ROOT / "docs/architecture.md").read_text(),
    )
    assert len(named) > 25
    assert not [one for one in named if not (ROOT / one).exists()]


def test_every_page_is_in_the_table_of_contents_and_no_link_is_broken(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            "docs",
            str(tmp_path / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Civic" in (tmp_path / "site" / "sdk-reference.html").read_text()


def test_links_of_the_pages_outside_the_site_lead_somewhere() -> None:
    """The site does not hold the READMEs."""
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
