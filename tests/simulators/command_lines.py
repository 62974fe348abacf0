"""Command lines that pages, units and containers name, held against the commands that there are."""

from __future__ import annotations

import shlex
from typing import Any

from api.cli.main import root


def must_be_a_command(line: str, place: str) -> None:
    """Assert that ``civic`` has the command of a line (without ``civic``), its options, and each option it needs."""
    command: Any = root()
    words = shlex.split(line)
    while words and getattr(command, "commands", None) is not None:
        name = words.pop(0)
        if name.startswith("-"):
            assert any(name in one.opts for one in command.params), name
            continue
        assert name in command.commands, f"{place}: civic {line}"
        command = command.commands[name]
    needed = [one.opts for one in command.params if one.required and one.opts[0].startswith("--")]
    given = {word.partition("=")[0] for word in words}
    if "--help" not in given:
        assert [options for options in needed if not given & set(options)] == [], f"{place}: civic {line}"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help", "--json"}, f"{place}: civic {line}"
