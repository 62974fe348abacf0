"""What a service finds wrong it says in both languages: the sentences of the edge and of the checks of documents."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import api

REFUSALS = ("Problem", "Finding")


def in_english_alone(source: str) -> Iterator[str]:
    """The details that a refusal is given as plain text."""
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(func=ast.Name(id=name), args=[_, ast.Constant() | ast.JoinedStr() as text, *_]):
                if name in REFUSALS:
                    yield ast.unparse(text)


def test_a_sentence_of_the_edge_and_of_a_check_carries_its_chinese() -> None:
    rooms = [Path(api.__file__).parent / room for room in ("http", "documents")]
    found = [
        text
        for room in rooms
        for file in room.rglob("*.py")
        for text in in_english_alone(file.read_text("utf-8"))
    ]
    assert found == []
    assert list(in_english_alone('Problem("a", "b")\nFinding("a", f"{b}")\nProblem("a", in_both("b"))')) == [
        "'b'",
        "f'{b}'",
    ]
