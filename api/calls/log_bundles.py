"""The whole log for an auditor: a bundle is made within a time limit, then sent while the caller has the
right to it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from access_policy.privacy.execution.scan_errors import ReaderTooSlow
from api.calls.looks import Looks
from api.runtime.cosigners import Cosigners
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.audit.keeping.export import export_bundle
from ledger.audit.log.log import AuditLog
from ledger.chain.deployment import Deployment
from ledger.lost.signed_acts import signed_acts

LOOK_SECONDS = 1.0
"""The interval, in seconds, between two checks of the caller's right while a bundle is made."""

PIECE = 64 << 10
"""The number of bytes sent between two checks of the caller's right."""

SEND_RATE = 256 << 10
"""The number of bytes for which a reader gets one more second."""

_BUNDLE = "bundle.tar"


@dataclass(frozen=True, slots=True)
class LogBundles:
    """Makes and sends bundles of the log. ``temporary`` is the folder in which they are made, ``timeout_s``
    the time limit of making one, in seconds."""

    log: AuditLog
    deployment: Deployment
    cosign: Cosigners
    looks: Looks
    temporary: Path
    timeout_s: float

    def make(self, call: SignedCall, gone: threading.Event) -> Path:
        """Make the bundle of the current log, in a folder of its own that `sent` deletes; the look is logged.
        ``gone`` is set when the caller disconnects.

        RefusedError ``export.too-long`` if it is not made in time, ``caller.not-auditor`` if the caller's
        right ends.
        """
        self._must_audit(call)
        self.looks.note(call, "export")
        folder = Path(tempfile.mkdtemp(prefix="civic-bundle-", dir=self.temporary))
        try:
            export_bundle(
                self.log,
                folder / _BUNDLE,
                checkpoint=self.cosign(self.log.checkpoint()),
                witnesses=self.cosign.keys,
                acts=partial(signed_acts, self.log, self.deployment),
                check_cancelled=_Limits(partial(self._must_audit, call), gone, self.timeout_s).check,
            )
        except BaseException:
            shutil.rmtree(folder)
            raise
        return folder

    def sent(self, call: SignedCall, folder: Path) -> Generator[bytes]:
        """The bytes of a bundle, which is deleted afterwards. Sending stops if the caller's right ends or the
        reader is too slow: the time limit is that of making it plus one second for each `SEND_RATE` bytes."""
        until = time.monotonic() + self.timeout_s
        try:
            with (folder / _BUNDLE).open("rb") as file:
                while chunk := file.read(PIECE):
                    self._must_audit(call)
                    if time.monotonic() > until + file.tell() / SEND_RATE:
                        raise ReaderTooSlow
                    yield chunk
        finally:
            shutil.rmtree(folder)

    def _must_audit(self, call: SignedCall) -> None:
        self.looks.must_audit_city(call, in_both("the whole log needs a city-wide AUDITOR key"))


class _Limits:
    """The conditions that stop the making of a bundle."""

    def __init__(self, must_audit: Callable[[], None], gone: threading.Event, timeout_s: float) -> None:
        self._must_audit, self._gone = must_audit, gone
        self._until = time.monotonic() + timeout_s
        self._next = time.monotonic() + LOOK_SECONDS

    def check(self) -> None:
        """RefusedError if the making of the bundle must stop."""
        now = time.monotonic()
        if self._gone.is_set() or now > self._until:
            raise RefusedError(
                "export.too-long", in_both("the bundle was not made in the time that it may take")
            )
        if now > self._next:
            self._must_audit()
            self._next = now + LOOK_SECONDS
