"""A city is founded and a department comes in by the commands of the page docs/city.md, and by nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from api.runtime.settings import read_home
from ledger.chain.embedded.chain import EmbeddedChain

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/city.md").read_text("utf-8")
CIVIC = str(Path(sys.executable).parent / "civic")
MOST_COMMANDS, MOST_S = 8, 300.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Folder:
    """An empty folder in which commands of the page are run, with a port of its own for the service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.serving: subprocess.Popen[str] | None = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CIVIC_")}
        self.environment = kept | {
            "CIVIC_PORT": str(self.port),
            "PATH": f"{Path(CIVIC).parent}:{os.environ['PATH']}",
        }

    def run(self, line: str, *, code: int = 0) -> str:
        """A line of the page: its standard output."""
        said = subprocess.run(
            ["bash", "-c", line.replace(":8600", f":{self.port}")],
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=False,
        )
        assert said.returncode == code, f"{line}\n{said.stdout}\n{said.stderr}"
        return said.stdout

    def serve(self, line: str) -> None:
        """The command that keeps running: it returns after the service has reported that it answers."""
        self.serving = subprocess.Popen(
            ["bash", "-c", f"exec env {line}"],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.serving.stdout is not None
        assert "serves city at" in self.serving.stdout.readline()

    def stop(self) -> None:
        if self.serving is not None:
            self.serving.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.serving.wait(30)
            self.serving.kill()
            self.serving.wait()
            self.serving = None


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    shutil.copyfile(ROOT / "api/demo/data/air_quality.csv", tmp_path / "air.csv")
    made = Folder(tmp_path)
    yield made
    made.stop()


def lines_of(section: str) -> list[str]:
    """The lines of the first block of a section, without comments."""
    block = re.search(r"```\n(.*?)```", PAGE.split(f"## {section}\n")[1], re.S)
    assert block is not None
    return [line.split("   #")[0].strip() for line in block[1].splitlines()]


def test_eight_commands_of_the_page_lead_to_a_verified_read(folder: Folder) -> None:
    began, grant = time.monotonic(), ""
    lines = lines_of("In eight commands")
    commands = [line for line in lines if re.search(r"(^|\s)civic ", line)]
    assert len(commands) <= MOST_COMMANDS
    for line in lines:
        if "civic serve" in line:
            folder.serve(line)
        elif line.startswith("cp "):
            pass  # The fixture provides it, because the page's path is that of the repository.
        elif "civic grant " in line:
            grant = json.loads(folder.run(f"{line} --json"))["grant"]
        else:
            said = folder.run(line.replace("GRANT", grant))
    rows = json.loads(said)
    assert len(rows) == 744
    assert {tuple(row) for row in rows} == {("district", "no2")}
    assert time.monotonic() - began <= MOST_S
    receipts = folder.path / "planning/receipts"
    assert list(receipts.glob("*.tlog-proof")), "the read's receipt is kept"
    # The log is open on the chain, and its heads are anchored: the default founding is complete.
    status = json.loads(folder.run("civic status --profile planning --json"))
    assert not [name for name, problem in status["work"].items() if problem], status["work"]


def test_a_founded_city_goes_on_with_its_admission_after_a_kill(folder: Folder) -> None:
    folder.run("printf secret > city.pass")
    folder.run("civic init --home city --bureau bureau --admission-delay 8 --passphrase-file city.pass")
    serve = "CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city"
    folder.serve(serve)
    assert folder.serving is not None
    folder.serving.kill()
    folder.serving.wait()
    folder.serve(serve)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = json.loads(folder.run("civic department list --profile bureau --json"))["departments"]
        if [one["status"] for one in found] == ["active"]:
            return
        time.sleep(0.5)
    pytest.fail(f"the bureau was not admitted: {found}")


def test_a_council_of_three_signs_what_the_founding_left(folder: Folder) -> None:
    folder.run("printf secret > city.pass")
    for n in (1, 2, 3):
        folder.run(f"civic keys new ./member{n}.json --kind council --passphrase-file city.pass")
    plan = {"council": [f"member{n}.json" for n in (1, 2, 3)], "admission_delay": 0}
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in plan.items())
    (folder.path / "city.toml").write_text(
        f'{text}\n[bureau]\ndirectory = "bureau"\nname_zh = "数据局"\nname_en = "Data Bureau"\n', "utf-8"
    )
    made = json.loads(folder.run("civic init --plan city.toml --passphrase-file city.pass --json"))
    assert not (folder.path / "bureau/keys/council.json").exists()
    assert [Path(one).name for one in made["acts"]] == ["enrolment.json", "open-log.json"]
    folder.serve("CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city")
    signer = "--profile bureau --passphrase-file city.pass"
    early = folder.run(f"civic department admit bureau/enrolment.json --key ./member1.json {signer} --json")
    assert json.loads(early)["missing"], "one of three is not more than half"
    both = folder.run(f"civic department admit bureau/enrolment.json --key ./member3.json {signer} --json")
    assert json.loads(both)["state"] == "recorded"
    for n in (2, 3):
        folder.run(f"civic sign bureau/open-log.json --key ./member{n}.json {signer}")
    opened = json.loads(folder.run("civic submit bureau/open-log.json --profile bureau --json"))
    assert opened["state"] == "recorded"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "usage"),
        ("--council 0x1234", "id.invalid"),
        ("--council 0xd2fcb2943caaf9d6db0c712c82ec72f6f2fc2405", "id.invalid"),
        ("--council service.json", "usage"),
        ("--council missing.json", "id.invalid"),
        ("--bureau full", "profile.invalid"),
        ("--bureau bureau --threshold 2", "home.invalid"),
        ("--bureau bureau --council officer.json --threshold 2", "home.invalid"),
        ("--name-en X --council officer.json", "usage"),
        ("--plan none.toml", "usage"),
        ("--plan odd.toml", "usage"),
        ("--plan list.toml", "usage"),
        ("--plan half.toml", "usage"),
        ("--plan true.toml", "usage"),
    ],
)
def test_bad_founding_changes_nothing(folder: Folder, given: str, code: str) -> None:
    folder.run("printf secret > city.pass; mkdir full; touch full/x")
    folder.run("civic keys new ./service.json --kind service --passphrase-file city.pass")
    folder.run("civic keys new ./officer.json --kind council --passphrase-file city.pass")
    (folder.path / "odd.toml").write_text('homes = "city"\n')
    (folder.path / "list.toml").write_text("council = [1]\n")
    (folder.path / "half.toml").write_text('[bureau]\ndirectory = "bureau"\n')
    (folder.path / "true.toml").write_text("threshold = true\n")
    before = sorted(path.name for path in folder.path.rglob("*"))
    said = folder.run(
        f"civic init --home city {given} --passphrase-file city.pass --json", code=2 if code == "usage" else 1
    )
    assert json.loads(said)["error"]["code"] == code
    assert sorted(path.name for path in folder.path.rglob("*")) == before


def test_a_founding_without_a_passphrase_changes_nothing(folder: Folder) -> None:
    said = folder.run("civic init --home city --bureau bureau --json", code=1)
    assert json.loads(said)["error"]["code"] == "keystore.no-passphrase"
    assert sorted(path.name for path in folder.path.iterdir()) == ["air.csv"]


def test_a_department_enrols_only_where_it_can(folder: Folder) -> None:
    """Without the service, into a directory that is used, twice under one number."""
    folder.run("printf secret > city.pass")
    folder.run("civic init --home city --bureau bureau --admission-delay 0 --passphrase-file city.pass")
    enroll = (
        "civic department enroll {} --url http://127.0.0.1:8600 --trust city/trust.json --name-zh 规划局 --name-en Planning"
        " --profile {} --passphrase-file city.pass --json"
    )
    kept = sorted(path.name for path in folder.path.iterdir())
    assert "error" in json.loads(folder.run(enroll.format(2, "planning"), code=1))
    assert sorted(path.name for path in folder.path.iterdir()) == kept
    folder.serve("CIVIC_PASSPHRASE_FILE=city.pass civic serve --home city")
    used = json.loads(folder.run(enroll.format(2, "bureau"), code=1))
    assert used["error"]["code"] == "profile.invalid"
    folder.run(enroll.format(1, "again"))
    taken = folder.run(
        "civic department admit again/enrolment.json --key council --profile bureau --passphrase-file city.pass --json",
        code=1,
    )
    assert json.loads(taken)["error"]["code"].startswith(("act.", "department.")), taken
    odd = folder.run(
        "civic department admit bureau/open-log.json --key council --profile bureau --passphrase-file city.pass --json",
        code=1,
    )
    assert json.loads(odd)["error"]["code"] == "act.file"


def test_the_delay_is_a_day_unless_it_is_said(folder: Folder) -> None:
    folder.run("printf secret > city.pass")
    made = json.loads(folder.run("civic init --home city --bureau bureau --passphrase-file city.pass --json"))
    home = read_home(folder.path / "city")
    with EmbeddedChain.open(home.chain_file) as chain:
        assert chain.chain_id == made["chain_id"]
    states = made["states"]
    assert [one["state"] for one in states] == ["received", "recorded"]
    assert states[0]["proposal"]["state"] == "recorded"
    assert states[0]["ready_at"], "and it says from when the bureau is admitted"


def test_what_is_printed_next_are_commands(folder: Folder) -> None:
    folder.run("printf secret > city.pass")
    made = json.loads(folder.run("civic init --home city --bureau bureau --passphrase-file city.pass --json"))
    for step in made["next"]:
        if found := re.search(r"civic (.*)", step):
            words = shlex.split(found[1].split(" --name")[0])
            known = folder.run(
                f"civic {' '.join(word for word in words if not word.startswith('-') and word.isalpha())} --help"
            )
            assert all(word in known for word in words if word.startswith("--"))
