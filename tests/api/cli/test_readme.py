"""The command reference in the README is generated, and a stale one is found."""

from __future__ import annotations

import pytest

from docs.readme import MarkersMissing, reference, with_table

HELP = [("keys new", "Draw a key | write it.", "Usage: civic keys new\n")]


def test_only_the_table_between_the_markers_is_replaced() -> None:
    made = with_table("# Title\n<!-- help -->\nold\n<!-- /help -->\nafter\n", HELP)
    assert made.startswith("# Title\n<!-- help -->\n")
    assert made.endswith("<!-- /help -->\nafter\n")
    assert "| `civic keys new` | Draw a key \\| write it. |" in made
    assert "old" not in made
    assert with_table(made, HELP) == made


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(MarkersMissing):
        with_table("# Title\n", HELP)


def test_the_reference_holds_the_whole_help() -> None:
    assert "## civic keys new\n\n```\nUsage: civic keys new\n```" in reference(HELP)
