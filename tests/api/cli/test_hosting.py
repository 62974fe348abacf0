"""The units and the container files: what they run is a command, and what they set is a setting."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.cli.environment import SETTINGS
from api.operator.installation import initialise
from api.operator.units import unit_texts
from api.runtime.settings import Settings
from tests.api.cli.conftest import Run
from tests.simulators.command_lines import must_be_a_command

HOSTING = Path(__file__).parents[3] / "api" / "operator" / "hosting"
CIVIC = Path(sys.executable).with_name("civic")
UNITS = unit_texts(CIVIC)
SERVICES = sorted(name for name in UNITS if name.endswith(".service"))


def values(unit: str, name: str) -> list[str]:
    """The values of a directive, in order."""
    return re.findall(rf"^{name}=(.*)$", UNITS[unit], re.M)


def variables(unit: str, credentials: Path) -> dict[str, str]:
    """The environment that systemd gives the unit; ``%d`` is the directory of its credentials."""
    pairs = (one.partition("=") for one in values(unit, "Environment"))
    return {name: value.replace("%d", str(credentials)) for name, _, value in pairs}


def test_the_units_are_written_once(run: Run, tmp_path: Path) -> None:
    done = run("config", "units", tmp_path / "units", "--json")
    assert done.code == 0
    assert {Path(path).name: Path(path).read_text() for path in done.document["written"]} == UNITS
    assert "@CIVIC@" not in "".join(UNITS.values())
    (tmp_path / "units" / "civic.service").write_text("mine")
    assert run("config", "units", tmp_path / "units", "--json").error["code"] == "home.exists"
    assert (tmp_path / "units" / "civic.service").read_text() == "mine"


@pytest.mark.needs("systemd")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    files = [tmp_path / name for name in UNITS]
    for file in files:
        file.write_text(UNITS[file.name])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.needs("systemd")
@pytest.mark.parametrize("unit", SERVICES)
def test_the_units_are_closed(tmp_path: Path, unit: str) -> None:
    """By systemd's own measure: 10 is open, 0 is closed."""
    (tmp_path / unit).write_text(UNITS[unit])
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", tmp_path / unit],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_a_unit_runs_commands_with_settings(unit: str, tmp_path: Path) -> None:
    lines = [*values(unit, "ExecStartPre"), *values(unit, "ExecStart")]
    assert lines
    for line in lines:
        program, _, rest = line.partition(" ")
        assert program == str(CIVIC)
        must_be_a_command(rest, unit)
    assert set(variables(unit, tmp_path)) <= {f"CIVIC_{name}" for name in SETTINGS}


def test_a_timer_starts_a_unit_of_ours() -> None:
    timers = [name for name in UNITS if name.endswith(".timer")]
    assert timers
    assert {name.replace(".timer", ".service") for name in timers} <= set(SERVICES)


@pytest.mark.parametrize("unit", SERVICES)
def test_the_passphrase_is_read_from_the_credential(
    unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """systemd copies the file of LoadCredential into $CREDENTIALS_DIRECTORY, under the name before the colon."""
    for name in SETTINGS:
        monkeypatch.delenv(f"CIVIC_{name}", raising=False)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    [credential] = values(unit, "LoadCredential")
    (credentials / credential.partition(":")[0]).write_text("a passphrase of a credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    for name, value in variables(unit, credentials).items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "city"
    if unit == "civic-witness.service":
        initialise(Settings(home=home), "another", council=["0x" + "11" * 20], threshold=1)
        done = run(
            "witness",
            "init",
            "--state",
            tmp_path / "w",
            "--trust",
            home / "trust.json",
            "--name",
            "w.example",
        )
        assert done.code == 0, done.err
        return
    initialise(Settings(home=home), "a passphrase of a credential", council=["0x" + "11" * 20], threshold=1)
    monkeypatch.setenv("CIVIC_HIGH_WATER", str(tmp_path / "high-water"))
    done = run("config", "check", "--home", home, "--json")
    assert done.code == 0, done.out


def compose() -> dict[str, Any]:
    found = yaml.safe_load((HOSTING / "compose.yaml").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_compose_file_runs_commands_with_settings() -> None:
    services = compose()["services"]
    ours = {name: one for name, one in services.items() if one.get("image") == "civicledger"}
    assert set(services) == {"postgres", "service", "witness"}
    assert set(ours) == {"service", "witness"}
    for name, one in ours.items():
        must_be_a_command(shlex.join(one["command"]), name)
        assert set(one["environment"]) <= {f"CIVIC_{setting}" for setting in SETTINGS}
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]


def test_the_compose_file_names_what_it_has() -> None:
    found = compose()
    for one in found["services"].values():
        assert set(one.get("secrets", [])) <= set(found["secrets"])
        assert {volume.partition(":")[0] for volume in one.get("volumes", [])} <= set(found["volumes"])
        assert set(one.get("depends_on", {})) <= set(found["services"])
        build = one.get("build")
        if build:
            context = (HOSTING / build["context"]).resolve()
            assert (context / build["dockerfile"]).samefile(HOSTING / "Containerfile")


def container_lines(word: str) -> list[str]:
    text = (HOSTING / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{word} ")]


def test_the_container_runs_a_command_with_settings() -> None:
    [entry], [arguments] = container_lines("ENTRYPOINT"), container_lines("CMD")
    assert yaml.safe_load(entry) == ["civic"]
    must_be_a_command(shlex.join(yaml.safe_load(arguments)), "Containerfile")
    set_here = {name for line in container_lines("ENV") for name in re.findall(r"(CIVIC_\w+)=", line)}
    assert set_here
    assert set_here <= {f"CIVIC_{name}" for name in SETTINGS}
    assert container_lines("STOPSIGNAL") == ["SIGTERM"]


def container_builder() -> str | None:
    """podman or docker, if it works here."""
    found = [name for name in ("podman", "docker") if shutil.which(name)]
    works = (name for name in found if not subprocess.run([name, "info"], capture_output=True).returncode)
    return next(works, None)


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_the_container_is_built_and_answers() -> None:
    builder = container_builder()
    if builder is None:
        pytest.skip("neither podman nor docker works on this machine")
    root = HOSTING.parents[2]
    subprocess.run(
        [builder, "build", "-f", HOSTING / "Containerfile", "-t", "civicledger-test", root], check=True
    )
    done = subprocess.run(
        [builder, "run", "--rm", "civicledger-test", "--version"], capture_output=True, text=True, check=True
    )
    assert "civic" in done.stdout


@pytest.mark.needs("strace")
@pytest.mark.needs("systemd")
def test_the_service_needs_no_system_call_that_its_unit_forbids(tmp_path: Path) -> None:
    """From its start over a scan of its workers' warm-up to its end."""
    home, trace = tmp_path / "city", tmp_path / "trace"
    initialise(Settings(home=home), "a passphrase", council=["0x" + "11" * 20], threshold=1)
    command = [
        "strace",
        "-f",
        "-c",
        "-qq",
        "-o",
        trace,
        CIVIC,
        "serve",
        "--home",
        home,
        "--port",
        "0",
        "--json",
    ]
    environment = {"PATH": "/usr/bin:/bin", "CIVIC_PASSPHRASE": "a passphrase", "HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert "url" in process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        subprocess.run(["sleep", "8"], check=True)
        subprocess.run(["kill", "-TERM", children[0]], check=True)
        process.wait(timeout=60)
    used = set(re.findall(r"(\w+)$", trace.read_text(), re.M)) - {"syscall", "total"}
    assert len(used) > 40
    assert used - allowed("@system-service") == set()


def allowed(group: str) -> set[str]:
    """The system calls of one of systemd's groups, with the groups that it holds."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    names = {line.strip() for line in done.stdout.splitlines()[1:] if line.startswith("    ")}
    found = {name for name in names if re.fullmatch(r"\w+", name)}
    return found.union(*(allowed(name) for name in names if name.startswith("@")))
