"""A count of one is written in the singular everywhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.messages import messages
from ledger.counts import counted

ROOT = Path(__file__).parents[2]
PLURAL = re.compile(
    r" (?:[a-z]+ )?(?:agreements|anchors|cells|columns|entries|files|grants|heads|keys|leaves|numbers|openings|persons|records"
    r"|refusals|rows|seats|signatures|tiles|uses|values|witnesses)\b"
)
BOUNDS = re.compile(r"[A-Z_]+|most|limit|\w*\._most\w*|\w*format")
"""Names of limits, which are never one, and of formats, which are not numbers."""


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("head",), "0 heads"),
        (1, ("head",), "1 head"),
        (2, ("head",), "2 heads"),
        (1, ("entry is", "entries are"), "1 entry is"),
        (7, ("entry is", "entries are"), "7 entries are"),
    ],
)
def test_count_of_one_is_singular(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said


def _counts(tree: ast.AST) -> Iterator[str]:
    for text in ast.walk(tree):
        if isinstance(text, ast.JoinedStr):
            for value, after in zip(text.values, text.values[1:], strict=False):
                if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                    continue
                name = ast.unparse(value.value)
                if PLURAL.match(str(after.value)) and not BOUNDS.fullmatch(name) and "counted(" not in name:
                    yield f"{{{name}}}{after.value}"


def test_no_phrase_joins_a_number_and_a_plural_by_itself() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {text}"
        for room in ("access_policy", "api", "ledger")
        for file in (ROOT / room).rglob("*.py")
        for text in _counts(ast.parse(file.read_text("utf-8")))
    }
    assert not found, "\n".join(sorted(found))


def test_no_message_joins_a_value_and_a_plural_by_itself() -> None:
    found = {
        f"{', '.join(files)}: {text}"
        for (_, text), files in messages().items()
        for value in re.finditer(r"\{(\w+)\}", text)
        if PLURAL.match(text, value.end())
        and not text.startswith(" of ", value.end())
        and not BOUNDS.fullmatch(value[1])
    }
    assert not found, "\n".join(sorted(found))
