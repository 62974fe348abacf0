"""The environment variables that ``civic`` reads. One it does not know is said on standard error, and nothing more."""

from __future__ import annotations

import difflib
import os

from api.cli.language import say
from api.cli.screen import lines

PREFIX = "CIVIC_"

SETTINGS = (
    "HOME", "HIGH_WATER", "HOST", "PORT", "PUBLIC_URL", "DATABASE_URL", "RPC_URL", "PASSPHRASE", "PASSPHRASE_FILE",
    "PRODUCTION",
    "CALL_MAX_AGE_S", "IDEMPOTENCY_KEEP_S", "CHAIN_OUTAGE_S", "ANCHOR_EVERY_S", "ANCHOR_EVERY_ENTRIES",
    "RECORD_USE_EVERY_S", "WITNESSES",
    "RETENTION_FILE", "RETENTION_EVERY_S", "TIMESTAMP_URL", "TIMESTAMP_ROOTS", "TIMESTAMP_EVERY_S", "CPUS",
    "SCAN_WORKERS", "SCAN_STREAMS", "SCAN_TIMEOUT_S", "SCAN_WAIT_S", "DEPARTMENT_STREAMS", "READS",
    "DEPARTMENT_READS", "CONNECTIONS", "CONNECTIONS_PER_ADDRESS", "HEAD_BYTES", "HEAD_TIMEOUT_S", "BODY_TIMEOUT_S",
    "SEND_TIMEOUT_S", "CLOCK_IS", "COSIGN_EVERY_S", "BUFFER_BYTES", "UPLOAD_BYTES", "DEPARTMENT_BYTES", "BODY_BYTES",
)  # fmt: skip
"""The fields of `api.settings.Settings`; named here once more so that ``civic --help`` need not import them."""

OF_THE_COMMAND = ("LANG", "PROFILE", "URL", "DEBUG")
"""Variables that concern the command line alone."""


def warn_of_unknown_settings() -> None:
    """A misspelt variable is ignored; whoever set it should hear so."""
    known = [PREFIX + name for name in (*SETTINGS, *OF_THE_COMMAND)]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = say(f"; is {near[0]} meant?", f"；是否指 {near[0]}？") if near else ""
            said = say(f"{name} is not a setting and is ignored{meant}", f"{name} 不是设置项，已忽略{meant}")
            lines(f"{say('warning', '警告')}: {said}", error=True)
