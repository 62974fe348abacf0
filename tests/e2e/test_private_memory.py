"""A process that holds keys writes no core file, cannot be inspected by its own user, and has no passphrase in its
memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.demo.participants import PASSPHRASE
from api.protocol.keystore import open_secp256k1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="core files and /proc are Linux's")


class Started:
    """A running command that could write a core file to its directory if this were permitted."""

    def __init__(self, directory: Path, *arguments: object, **environment: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", *map(str, arguments), "--json"],
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("CIVIC_")},
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
            preexec_fn=_allow_cores,
        )
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())

    @property
    def proc(self) -> Path:
        return Path("/proc", str(self.process.pid))

    def family(self) -> list[Path]:
        """The process and its descendants."""
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            found.append(Path("/proc", str(pid)))
            for task in Path("/proc", str(pid), "task").iterdir():
                left += map(int, (task / "children").read_text().split())
        return found

    def abort(self) -> None:
        self.process.send_signal(signal.SIGABRT)
        assert self.process.wait(30) == -signal.SIGABRT


def _allow_cores() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def must_be_private(proc: Path) -> None:
    limit = next(line for line in (proc / "limits").read_text().splitlines() if "core file" in line)
    assert limit.split()[4:6] == ["0", "0"], (proc, limit)
    assert (proc / "mem").stat().st_uid == 0, "a process that may be dumped belongs to its user"


def test_private_process_is_not_dumpable() -> None:
    code = (
        "import ctypes, resource\n"
        "from access_policy.privacy.execution.private_memory import keep_memory_private\n"
        "keep_memory_private()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 (0, 0)", "a superuser's process does not show it in /proc"


def memory(proc: Path) -> Iterator[bytes]:
    """All memory that a process can read and write, in pieces."""
    with (proc / "mem").open("rb", buffering=0) as mem:
        for line in (proc / "maps").read_text().splitlines():
            place, rights, *rest = line.split()
            if "r" not in rights or rest[-1:] in (["[vvar]"], ["[vsyscall]"]):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            try:
                mem.seek(start)
                yield mem.read(end - start)
            except (OSError, OverflowError):
                continue


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    return file


def test_the_service_leaves_no_core_file_and_cannot_be_traced(
    founded: Path, tmp_path: Path, passphrase_file: Path
) -> None:
    home = Path(shutil.copytree(founded, tmp_path / "city"))
    (home / "keys" / "demo-passphrase").unlink()
    running = tmp_path / "running"
    running.mkdir()
    service = Started(
        running, "serve", "--home", home, "--port", 0, CIVIC_PASSPHRASE_FILE=str(passphrase_file)
    )
    try:
        for proc in service.family():
            must_be_private(proc)
        if os.getuid() == 0:
            pieces = list(memory(service.proc))
            secret = open_secp256k1(home / "keys" / "relayer.json", PASSPHRASE)
            assert any(secret in piece for piece in pieces), "what it needs is there: the search finds keys"
            assert sum(piece.count(PASSPHRASE.encode()) for piece in pieces) == 0
    finally:
        service.abort()
    assert list(running.iterdir()) == []


def test_a_witness_leaves_no_core_file_and_cannot_be_traced(
    founded: Path, tmp_path: Path, passphrase_file: Path
) -> None:
    state, running = tmp_path / "witness", tmp_path / "running"
    running.mkdir()
    key = ("--passphrase-file", passphrase_file)
    subprocess.run(
        [
            *(sys.executable, "-m", "api.cli.main", "witness", "init", "--state", str(state)),
            *("--trust", str(founded / "trust.json"), "--name", "w.example", *map(str, key)),
        ],
        check=True,
        capture_output=True,
    )
    witness = Started(running, "witness", "serve", "--state", state, "--port", 0, *key)
    try:
        must_be_private(witness.proc)
    finally:
        witness.abort()
    assert list(running.iterdir()) == []
