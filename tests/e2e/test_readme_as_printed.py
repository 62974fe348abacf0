"""The README's commands from ``make demo`` to the next steps, run as printed: piped, and on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```\n(.*?)^```", re.M | re.S)
REFUSES = ("--dry-run",)
"""The only line that must be refused: exit code 1."""


def block(heading: str, number: int) -> list[str]:
    """The lines of a block below a heading of the README."""
    part = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in BLOCK.findall(part)[number].splitlines() if line.strip()]


def make_demo() -> str:
    return next(line for line in README.splitlines() if line.startswith("make demo"))


@dataclass(slots=True)
class Shell:
    """A shell that runs lines, with its output on a pipe or on its own terminal."""

    lines: list[str]
    folder: Path
    port: int
    terminal: bool
    said: str = ""
    process: subprocess.Popen[bytes] = field(init=False)
    master: int = field(init=False)

    def __post_init__(self) -> None:
        script = "\n".join(f"{line}\necho ::$?" for line in self.lines)
        master, slave = pty.openpty() if self.terminal else os.pipe()
        self.master = master

        def own_terminal() -> None:
            os.setsid()
            if self.terminal:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", *(["-i"] if self.terminal else []), "-c", script],
            cwd=self.folder,
            stdin=slave if self.terminal else subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env=environment(self.port),
            preexec_fn=own_terminal,
        )
        os.close(slave)

    def read(self, until: str | None = None, *, seconds: float = 120) -> str:
        """The output until a text appears or the shell ends."""
        deadline = time.monotonic() + seconds
        while until is None or until not in self.said:
            assert time.monotonic() < deadline, self.said
            if not select.select([self.master], [], [], 1)[0]:
                continue
            try:
                piece = os.read(self.master, 1 << 16)
            except OSError:  # The terminal of a shell that has ended.
                piece = b""
            if not piece:
                break
            self.said += piece.decode()
        assert until is None or until in self.said, self.said
        return self.said

    def interrupt(self) -> None:
        """Ctrl-C: on a terminal it reaches every process in the foreground."""
        if self.terminal:
            os.write(self.master, b"\x03")
        else:
            os.killpg(self.process.pid, signal.SIGINT)

    def codes(self) -> list[int]:
        """The exit code of each line."""
        self.read()
        self.process.wait(timeout=60)
        return [int(code) for code in re.findall(r"^::(\d+)", self.said, re.M)]

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)


def environment(port: int) -> dict[str, str]:
    """A newcomer's environment, with a port of its own; `make` installs nothing again."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CIVIC_", "VIRTUAL_ENV"))
    }
    path = ":".join(
        one for one in kept["PATH"].split(":") if Path(one).resolve() != (ROOT / ".venv/bin").resolve()
    )
    return kept | {
        "CIVIC_PORT": str(port),
        "MAKEFLAGS": "-o .venv/.synced",
        "PATH": path,
        "COLUMNS": "200",
        "TERM": "xterm",
    }


def any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a clone, in which the city is created."""
    made = tmp_path / "clone"
    made.mkdir()
    for name in (
        "Makefile",
        "pyproject.toml",
        "uv.lock",
        ".venv",
    ):  # The packages are installed from the clone.
        (made / name).symlink_to(ROOT / name)
    return made


@pytest.fixture(params=["piped", "terminal"])
def terminal(request: pytest.FixtureRequest) -> bool:
    return request.param == "terminal"


@pytest.fixture
def shells(folder: Path, terminal: bool) -> Iterator[list[Shell]]:
    opened: list[Shell] = []
    yield opened
    for shell in opened:
        shell.close()


def addresses(folder: Path) -> set[str]:
    """The addresses in the profiles."""
    profiles = (folder / "city" / "departments").glob("*/profile.json")
    return {json.loads(profile.read_text())["url"] for profile in profiles}


def test_the_next_steps_after_the_demo_work_as_printed(
    folder: Path, terminal: bool, shells: list[Shell]
) -> None:
    port = any_free_port()

    def shell(lines: list[str]) -> Shell:
        shells.append(Shell(lines, folder, port, terminal))
        return shells[-1]

    demo = shell([make_demo()])
    if terminal:
        demo.read("The service goes on at")
        demo.interrupt()
    demo.codes()
    assert "Traceback" not in demo.said
    assert addresses(folder) == {f"http://127.0.0.1:{port}"}

    serving = shell(block("After the demo", 0))
    serving.read("Civic Ledger serves city at")
    steps = block("After the demo", 1)
    following = shell(steps)
    expected = [1 if any(word in line for word in REFUSES) else 0 for line in steps]
    assert following.codes() == expected, following.said
    for said in ("Air quality", "pm25", "purpose.mismatch", "Verified against the trust file"):
        assert said in following.said
    serving.interrupt()
    serving.read()
    assert "Traceback" not in serving.said
    assert "leaked" not in serving.said


def test_a_demo_whose_terminal_is_closed_leaves_profiles_that_fit(tmp_path: Path) -> None:
    """Regression: only Ctrl-C wrote the address of a later ``civic serve`` into them."""
    port = any_free_port()
    command = [sys.executable, "-m", "api.cli.main", "demo", "--home", "city", "--serve"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(port),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert any("The service goes on at" in line for line in demo.stdout)
        os.killpg(demo.pid, signal.SIGKILL)
    assert addresses(tmp_path) == {f"http://127.0.0.1:{port}"}


def test_a_demo_beside_another_service_says_where_it_listens(tmp_path: Path) -> None:
    """The port is in use: the demo is the same on another port, and the profiles have the address of a later
    ``civic serve``."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "api.cli.main", "demo", "--home", "city", "--no-serve", "--json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(port), capture_output=True, text=True, timeout=180
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert addresses(tmp_path) == {f"http://127.0.0.1:{port}"}
