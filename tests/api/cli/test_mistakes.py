"""An operator's mistake ends in a code and a sentence, without a traceback, and is not reported as a defect."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import root
from api.cli.profile import Profile
from tests.api.cli.conftest import PASSPHRASE, Run

SERVING = {("serve",), ("demo",), ("chain", "serve"), ("witness", "serve")}
NOT_VALUES = {"as_json", "help", "lang", "yes"}
GOOD = {
    "asset": "7.12",
    "dataset": "7.12",
    "subject": "7.12",
    "grant": "0x" + "ab" * 32,
    "request": "0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
    "number": "7",
    "department": "7",
    "by": "7",
    "purpose": "dpv:Marketing",
    "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "action": "read",
    "url": "http://127.0.0.1:9",
    "roles": "steward",
    "reason": "terms-breached",
}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    found = root() if command is None else command
    below = getattr(found, "commands", None)
    if not below:
        yield path, found
        return
    for name, one in below.items():
        yield from commands(one, (*path, name))


def good(parameter: Any) -> str:
    return next((value for name, value in GOOD.items() if name in parameter.name), "object.json")


def with_one_wrong(path: tuple[str, ...], command: Any, wrong: Any, value: str) -> list[str]:
    """The command with all it needs, and this value for one parameter."""
    arguments = list(path)
    for parameter in command.params:
        if parameter.required or parameter is wrong:
            given = [value if parameter is wrong else good(parameter)]
            if parameter.param_type_name != "argument":
                given.insert(0, parameter.opts[0])
            arguments += given
    return arguments


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with things that are not what a command wants."""
    place = tmp_path / "here"
    (place / "directory").mkdir(parents=True)
    (place / "junk").write_bytes(b"\xff\xfe\x00junk")
    (place / "object.json").write_text("{}")
    (place / "long").write_text("[" * 5_000)
    monkeypatch.chdir(place)
    return place


def told(code: int, out: str) -> str:
    """The code of the failure; the command must say exactly one."""
    error = json.loads(out.splitlines()[-1]).get("error")
    if error is None:
        return ""
    assert code in (1, 2)
    assert error["code"] not in ("", "internal"), error
    assert error["message"].strip()
    assert "Traceback" not in out
    return str(error["code"])


ALL = [(path, command) for path, command in commands() if path not in SERVING]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
@pytest.mark.usefixtures("here", "profile")
def test_a_wrong_value_of_any_parameter_has_a_code(
    run: Run, path: tuple[str, ...], command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    for number, parameter in enumerate(command.params):
        if parameter.name in NOT_VALUES or getattr(parameter, "is_flag", False):
            continue
        values = ("junk", "x\0y") if number % 2 else ("directory", "nowhere/x")
        for value in (*values, "" if number % 3 else "99999999999999999999"):
            done = run(*with_one_wrong(path, command, parameter, value), "--json")
            told(done.code, done.out)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
@pytest.mark.usefixtures("here")
def test_a_command_without_profile_or_home_has_a_code(run: Run, path: tuple[str, ...], command: Any) -> None:
    done = run(*with_one_wrong(path, command, None, ""), "--json")
    told(done.code, done.out)


def home_of(here: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    made = run("init", "--home", "city", "--council", GOOD["address"], "--json")
    assert made.code == 0, made.out
    return here / "city"


@pytest.mark.parametrize("address", ["", "0x12", "nobody", GOOD["address"].lower(), "1e400", "x\0y"])
@pytest.mark.usefixtures("here")
def test_a_council_of_something_else_is_refused_before_anything_is_made(
    run: Run, here: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PASSPHRASE", PASSPHRASE)
    for arguments in (("--council", address), ("--council", GOOD["address"], "--guardian", address)):
        done = run("init", "--home", "city", *arguments, "--json")
        assert (done.code, done.error["code"]) == (1, "id.invalid")
    assert not (here / "city").exists()
    assert not list(here.glob(".city*"))


def test_missing_parts_of_a_home_are_named(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(here, monkeypatch, run)

    def serving(**environment: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            done = run("serve", "--home", "city", "--port", "0", "--json")
        assert "secret" not in done.out
        return told(done.code, done.out)

    unreachable = "postgresql://civic:secret@127.0.0.1:9/civic?connect_timeout=2"
    assert serving(CIVIC_DATABASE_URL=unreachable) == "store.unavailable"
    for url in ("nonsense", "mysql://x"):
        assert serving(CIVIC_DATABASE_URL=url) == "settings.invalid", url
    for url in ("sqlite:////nowhere/x/y.sqlite", f"sqlite:///{home / 'civic.json'}"):
        assert serving(CIVIC_DATABASE_URL=url) == "store.unavailable", url
    assert serving(CIVIC_PASSPHRASE="not it") == "keystore.wrong-passphrase"
    assert serving(CIVIC_PASSPHRASE_FILE=str(here / "junk")) == "home.invalid"
    assert serving(CIVIC_PASSPHRASE_FILE=str(here)) == "home.invalid"
    assert serving(CIVIC_RPC_URL="http://127.0.0.1:9") == "chain.unreachable"
    assert serving(CIVIC_PUBLIC_URL="nonsense") == "settings.invalid"
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        done = run("serve", "--home", "city", "--port", busy.getsockname()[1], "--json")
    assert told(done.code, done.out) == "system.refused"
    done = run("serve", "--home", "city", "--host", "192.0.2.1", "--port", "0", "--json")
    assert told(done.code, done.out) == "system.refused"


LATIN = re.compile(
    r"\[[a-z.-]+\]|\S*[/._0-9-]\S*|--[a-z-]+|CIVIC_[A-Z_]+|civic( [a-z]+)*|英文详情: .*(?:\s+\+ .*)*|EIP|directory|EVM"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("read", "7.12", "--purpose", "dpv:Marketing"),
        ("department", "show", "07"),
        ("keys", "show", "nowhere.json"),
        ("policy", "check", "nowhere.json"),
        ("policy", "check", "directory"),
        ("init", "--home", "city", "--council", "0x12"),
        ("serve", "--home", "nowhere"),
        ("submit", "object.json"),
    ],
    ids=" ".join,
)
def test_failures_are_in_the_readers_language(
    here: Path, profile: Profile, arguments: tuple[str, ...]
) -> None:
    """Piped and on a terminal by turns."""
    for lang in ("en", "zh"):
        terminal = (len(arguments) + (lang == "zh")) % 2 == 0
        said = spoken(here, profile, arguments, lang, terminal)
        assert "Traceback" not in said
        assert "[internal]" not in said
        [first, *_] = [line for line in said.splitlines() if "[" in line]
        if lang == "en":
            assert first.startswith("refused [")
            assert not re.search(r"[\u4e00-\u9fff]", said)
        else:
            assert first.startswith("未受理 [")
            assert not re.search("[A-Za-z]{2}", LATIN.sub("", said)), said


def spoken(here: Path, profile: Profile, arguments: tuple[str, ...], lang: str, terminal: bool) -> str:
    environment = {
        **os.environ,
        "CIVIC_LANG": lang,
        "CIVIC_PROFILE": str(profile.path),
        "CIVIC_PASSPHRASE": PASSPHRASE,
    }
    command = [sys.executable, "-m", "api.cli.main", *arguments]
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    if not terminal:
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command, cwd=here, env=environment, stdin=follower, stdout=follower, stderr=follower
    ) as started:
        os.close(follower)
        said = b""
        while part := _read(leader):
            said += part
        started.wait(60)
    os.close(leader)
    return said.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 4096)
    except OSError:
        return b""
