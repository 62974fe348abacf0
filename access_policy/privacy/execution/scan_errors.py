"""How a scan fails."""

from __future__ import annotations

from access_policy.errors import PolicyError


class ScanError(PolicyError):
    """A scan failed while running. The message is constant: engine errors quote data values.

    ``cause`` names the kind of failure for the operator's log; it never holds a value.
    """

    code = "scan.failed"
    text = "the scan failed; no more is said here, so that an error cannot carry data"

    def __init__(self, cause: str = "") -> None:
        super().__init__(self.text)
        self.cause = cause


class ScanTimeout(ScanError):
    """The scan did not end in the time it was given."""

    code = "scan.timeout"
    text = "the scan did not end in time: ask for fewer rows, or again later"


class ScanCancelled(ScanError):
    """Somebody cancelled the scan (a revocation, a caller that went away)."""

    code = "scan.cancelled"
    text = "the scan was cancelled"


class WorkerLost(ScanError):
    """The worker process ended in the middle of the scan; the pool replaces it."""

    code = "scan.worker-lost"
    text = "the scanning process ended before the scan did; the call can be sent again"


class ScannerBusy(ScanError):
    """No worker came free in time."""

    code = "scan.busy"
    text = "every scanning process is busy: send the call again later"


class GaveWay(ScanError):
    """An answer was ended for the sake of a caller who waited for its place. Its reader took it well enough."""

    code = "reader.gave-way"
    text = "the answer gave way to another department, which had none on its way"


class ReaderTooSlow(GaveWay):
    """An answer was ended since its reader took it too slowly while another caller waited for its place."""

    code = "reader.too-slow"
    text = "the answer was taken too slowly while another department waited"
