"""The demo's service: ``civic serve`` in a process of its own, on a real socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from api.protocol.errors import ClientError


class ServiceDidNotStart(ClientError):
    """The service ended before it listened."""

    code = "demo.service"
    hint = "the end of its log is in the message; the whole log is service.log in the home directory"


def free_port(host: str, port: int) -> int:
    """``port`` if a service can listen there now, else 0, which stands for any port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
    return port


class ServiceProcess:
    """A running service; ``url`` is its address."""

    def __init__(self, home: Path, *, port: int = 0, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self._log = (home / "service.log").open("a")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "api.cli.main",
                "serve",
                "--home",
                str(home),
                "--port",
                str(port),
                "--json",
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={
                **os.environ,
                "CIVIC_PASSPHRASE": "",  # A demo's keys use the passphrase in its home, whatever the environment says.
                "CIVIC_PASSPHRASE_FILE": "",
                **(environment or {}),
            },
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            self.url: str = json.loads(line)["url"]
        except (ValueError, KeyError) as silent:
            self.kill()
            tail = (home / "service.log").read_text()[-2000:]
            raise ServiceDidNotStart(f"the service did not start: {line}{tail}") from silent

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it with a signal, and wait; the exit code, negative for the signal that ended it."""
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()
        return self._process.returncode

    def kill(self) -> None:
        """Kill it with SIGKILL, as in a power failure."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def wait(self) -> None:
        """Wait until it ends or is interrupted."""
        self._process.wait()
