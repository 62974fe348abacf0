"""The list of decisions has every decision, once, under its own number."""

from __future__ import annotations

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"


def test_the_list_names_every_decision_once() -> None:
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\1-[a-z0-9-]+\.md)\) \|", (DECISIONS / "README.md").read_text(), re.M
    )
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [name for _, name in listed] == files
    assert len({number for number, _ in listed}) == len(files)


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*DECISIONS.parent.glob("*.md"), *DECISIONS.glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not broken
