"""The reference of the HTTP interface is that of the service, and names commands that there are."""

from __future__ import annotations

import json
import re
from typing import Any

from api.cli.main import root
from api.http.examples import examples
from docs.http_api import COMMANDS, PAGE, fitted, page, shortened

TEXT = PAGE.read_text("utf-8")


def test_the_page_is_that_of_the_service() -> None:
    assert page() == TEXT, "run python -m docs.http_api"


def test_every_operation_has_its_section_with_a_call() -> None:
    sections = dict(re.findall(r"^### ((?:GET|POST|PUT) \S+)\n(.*?)(?=^##)", TEXT, re.M | re.S))
    assert sections.keys() == examples().keys()
    for label, text in sections.items():
        assert "- Who: " in text, label
        assert "curl -sS 'http://127.0.0.1:8600/" in text, label
        assert "- Answer 200: " in text, label


def test_what_has_to_be_signed_is_shown_signed() -> None:
    sections = re.findall(r"^- Who: (.*?)\n.*?```text\n(.*?)```", TEXT, re.M | re.S)
    assert len(sections) == len(examples())
    for who, call in sections:
        assert ('-H "Signature: $SIGNATURE"' in call) == who.startswith("a signed call"), call


def test_every_command_of_the_page_is_one() -> None:
    for commands in COMMANDS.values():
        for path in commands:
            command: Any = root()
            for name in path.split():
                command = command.commands[name]


def test_a_document_is_shown_whole_but_for_long_texts() -> None:
    document = {"a": [1, {"b": None}], "c": "x" * 300, "d": {str(n): "y" * 40 for n in range(9)}}
    shown = json.loads(fitted(shortened(document)))
    assert shown["c"].endswith("…")
    assert shown | {"c": ""} == document | {"c": ""}
