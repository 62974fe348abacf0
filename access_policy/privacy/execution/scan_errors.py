"""The errors of a scan."""

from __future__ import annotations

from access_policy.errors import PolicyError


class ScanError(PolicyError):
    """A running scan failed. The message is constant, because the engine's messages contain data values.

    ``cause`` is the kind of failure for the operator's log; it never contains a value.
    """

    code = "scan.failed"
    text = "the scan failed; no more is said here, so that an error cannot carry data"

    def __init__(self, cause: str = "") -> None:
        super().__init__(self.text)
        self.cause = cause


class ScanTimeout(ScanError):
    """The scan exceeded its time limit."""

    code = "scan.timeout"
    text = "the scan did not end in time: ask for fewer rows, or again later"


class ScanCancelled(ScanError):
    """The scan was cancelled (by a revocation, or because the caller closed the connection)."""

    code = "scan.cancelled"
    text = "the scan was cancelled"


class WorkerLost(ScanError):
    """The worker process ended during the scan; the pool replaces it."""

    code = "scan.worker-lost"
    text = "the scanning process ended before the scan did; the call can be sent again"


class ScannerBusy(ScanError):
    """No worker became free in time."""

    code = "scan.busy"
    text = "every scanning process is busy: send the call again later"


class Preempted(ScanError):
    """An answer was ended because another caller needed its place, although its reader was fast enough."""

    code = "reader.gave-way"
    text = "the answer gave way to another department, which had none on its way"


class ReaderTooSlow(Preempted):
    """An answer was ended because its reader was too slow while another caller needed its place."""

    code = "reader.too-slow"
    text = "the answer was taken too slowly while another department waited"
