"""``civic --help`` is quick, and every command explains itself in both languages and speaks JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

HEAVY = ("web3", "fastapi", "duckdb", "pyarrow", "sqlalchemy", "sqlmodel", "eth_account", "httpx", "eth")

WALK = (
    f"HEAVY = {HEAVY}"
    + """
import io, json, sys
from contextlib import redirect_stdout
from api.cli.main import root

def leaves(command, path):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, child in inner.items():
        yield from leaves(child, (*path, name))

found = {}
for path in leaves(root(), ()):
    with redirect_stdout(io.StringIO()) as out:
        code = root().main([*path, "--help"], prog_name="civic", standalone_mode=False)
    found[" ".join(path)] = [code, out.getvalue()]
print(json.dumps({"commands": found, "loaded": [m for m in HEAVY if m in sys.modules]}))
"""
)


@cache
def everything(language: str) -> dict[str, object]:
    """Help of the whole application, collected by one process in that language."""
    environment = {**os.environ, "CIVIC_LANG": language, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", WALK], capture_output=True, text=True, env=environment, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def commands(language: str) -> dict[str, tuple[int, str]]:
    found = everything(language)["commands"]
    assert isinstance(found, dict)
    return {name: (code, text) for name, (code, text) in found.items()}


def seconds_of_help() -> float:
    """What ``civic --help`` costs: its own processor time, which other processes on this machine do not lengthen."""
    started = subprocess.Popen([sys.executable, "-m", "api.cli.main", "--help"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.alone
def test_help_answers_in_half_a_second() -> None:
    assert min(seconds_of_help() for _ in range(3)) < 0.5


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_help_loads_anything_heavy(language: str) -> None:
    assert everything(language)["loaded"] == []


def test_the_commands_that_are_promised_are_there() -> None:
    promised = """init, serve, demo, chain serve, keys new, keys list, keys show, sign, submit, profile init, profile show,
        department list, department show, department enroll, department admit, department add-officer, department remove-officer,
        department add-key, department remove-key, department suspend, department lift, dataset register, dataset list,
        dataset show, dataset upload, dataset suspend, dataset lift, dataset retire, request, requests list,
        requests show, requests refuse, requests withdraw, grant, grants list, grants show, accept, revoke, suspend,
        lift, read, purposes list, purposes search, policy check, policy explain, policy who-can, policy diff,
        policy replay, audit export, audit verify, audit search, audit receipt get,
        audit receipt verify, status"""
    missing = {name.strip() for name in promised.split(",")} - set(commands("en"))
    assert not missing


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_has_help_and_json(language: str) -> None:
    for name, (code, text) in commands(language).items():
        assert code == 0, name
        assert "--json" in text, f"civic {name} has no --json"
        said = text.partition("\n\n")[2].partition("\n\n")[0].strip()
        assert len(said) >= 4, f"civic {name} does not say what it is for"


def test_every_help_is_in_chinese_too() -> None:
    english, chinese = commands("en"), commands("zh")
    assert set(english) == set(chinese)
    for name, (_, text) in chinese.items():
        assert any("一" <= character <= "鿿" for character in text), f"civic {name} has no Chinese help"
        said = text.partition("\n\n")[2].partition("\n\n")[0]
        assert said != english[name][1].partition("\n\n")[2].partition("\n\n")[0], name


def test_the_language_can_be_chosen_on_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "--lang", "zh", "keys", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "CIVIC_LANG": "en"},
        check=True,
    )
    assert "密钥" in done.stdout
