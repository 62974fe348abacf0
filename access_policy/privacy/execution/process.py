"""The gateway's side of one scanning process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from multiprocessing import Pipe

from access_policy.privacy.execution.scan_errors import WorkerLost
from access_policy.privacy.execution.worker import WorkerSettings

START_SECONDS = 20.0
"""The time limit of a worker's start in seconds."""


class ScanProcess:
    """The gateway's end of one worker."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._temporary = settings.temporary
        self.data, data = Pipe()
        control, self.control = Pipe(duplex=False)
        code = "from access_policy.privacy.execution.worker import main; import sys; main(*map(int, sys.argv[1:]))"
        if settings.cpus:
            # This runs first, because a worker's imports take half a second on the gateway's processor.
            code = f"import os; os.sched_setaffinity(0, {sorted(settings.cpus)}); {code}"
        with data, control:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(data.fileno()), str(control.fileno())],
                pass_fds=(data.fileno(), control.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # A terminal's interrupt must reach only the gateway, which ends its workers by closing their pipes.
                start_new_session=True,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TZ": "UTC"},
            )
        self.data.send(settings)

    def wait_ready(self) -> None:
        try:
            if self.data.poll(START_SECONDS) and self.data.recv_bytes(16) == b"R":
                return
        except (EOFError, OSError):
            pass
        self.kill()
        raise WorkerLost("did not start")

    def alive(self) -> bool:
        return self.process.poll() is None

    def interrupt(self, number: int) -> None:
        try:
            self.control.send_bytes(number.to_bytes(8, "big"))
        except OSError:
            return  # the worker has ended, which the reader of its data pipe detects

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.data.close()
        self.control.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
