"""The whole log for an auditor: made as a bundle within a time, then sent as long as its caller may have it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path

from access_policy.privacy.execution.scan_errors import ReaderTooSlow
from api.http.leaving import PIECE
from api.http.problems import Problem
from api.operator.gateway import Gateway
from api.runtime.signed_call import SignedCall
from api.v1.dependencies import must_audit, note_look
from languages.texts import in_both
from ledger.audit.keeping.export import export_bundle
from ledger.lost.signed_acts import signed_acts

LOOK_SECONDS = 1.0
"""How often it is looked, while a bundle is made, whether it may go on."""


SEND_RATE = 256 << 10
"""Bytes that give a reader one more second."""

_BUNDLE = "bundle.tar"


def must_audit_all(gateway: Gateway, call: SignedCall) -> None:
    """Problem ``caller.not-auditor`` when the key is not, or no longer, that of a city-wide auditor."""
    if must_audit(gateway, call) is not None:
        raise Problem("caller.not-auditor", in_both("the whole log needs a city-wide AUDITOR key"))


def make_bundle(gateway: Gateway, call: SignedCall, gone: threading.Event) -> Path:
    """Make the bundle of the log as it is now, in a folder of its own which `sent` deletes; the look is an entry. ``gone``
    is set when its caller has gone.

    Problem ``export.too-long`` when it is not made in time, ``caller.not-auditor`` when the right to it ends.
    """
    must_audit_all(gateway, call)
    note_look(gateway, call, "export")
    folder = Path(tempfile.mkdtemp(prefix="civic-bundle-", dir=gateway.home.temporary))
    try:
        export_bundle(
            gateway.log,
            folder / _BUNDLE,
            checkpoint=gateway.cosign(gateway.log.checkpoint()),
            witnesses=gateway.cosign.keys,
            acts=partial(signed_acts, gateway.log, gateway.deployment),
            check_cancelled=_Limits(gateway, call, gone).look,
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder


class _Limits:
    """What ends the making of a bundle."""

    def __init__(self, gateway: Gateway, call: SignedCall, gone: threading.Event) -> None:
        self._gateway, self._call, self._gone = gateway, call, gone
        self._until = time.monotonic() + gateway.settings.export_timeout_s
        self._next = time.monotonic() + LOOK_SECONDS

    def look(self) -> None:
        """Problem when the bundle is not to be made any further."""
        now = time.monotonic()
        if self._gone.is_set() or now > self._until:
            raise Problem("export.too-long", in_both("the bundle was not made in the time that it may take"))
        if now > self._next:
            must_audit_all(self._gateway, self._call)
            self._next = now + LOOK_SECONDS


def sent(gateway: Gateway, call: SignedCall, folder: Path) -> Generator[bytes]:
    """The bytes of a bundle, which is deleted then; it breaks off when the right to it ends, or its reader is too slow:
    there is as much time as for making it, and a second more for each `SEND_RATE` bytes."""
    until = time.monotonic() + gateway.settings.export_timeout_s
    try:
        with (folder / _BUNDLE).open("rb") as file:
            while chunk := file.read(PIECE):
                must_audit_all(gateway, call)
                if time.monotonic() > until + file.tell() / SEND_RATE:
                    raise ReaderTooSlow
                yield chunk
    finally:
        shutil.rmtree(folder)
