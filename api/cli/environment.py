"""The environment variables that ``civic`` reads. Unknown variables are reported on standard error."""

from __future__ import annotations

import difflib
import os

from api.terminal.language import say
from api.terminal.screen import lines

PREFIX = "CIVIC_"

SETTINGS = (
    "LOG", "METRICS", "HOME", "HIGH_WATER", "HOST", "PORT", "PUBLIC_URL", "DATABASE_URL", "RPC_URL", "CONFIRMATIONS", "PASSPHRASE", "PASSPHRASE_FILE",
    "PRODUCTION",
    "CALL_MAX_AGE_S", "IDEMPOTENCY_KEEP_S", "CHAIN_OUTAGE_S", "MOST_FEE_GWEI", "ANCHOR_EVERY_S", "ANCHOR_EVERY_ENTRIES",
    "RECORD_USE_EVERY_S", "WITNESSES",
    "RETENTION_FILE", "RETENTION_EVERY_S", "TIMESTAMP_URL", "TIMESTAMP_ROOTS", "TIMESTAMP_EVERY_S", "CPUS",
    "SCAN_WORKERS", "SCAN_STREAMS", "SCAN_TIMEOUT_S", "SCAN_WAIT_S", "DEPARTMENT_STREAMS", "READS",
    "DEPARTMENT_READS", "UPLOADS", "DEPARTMENT_UPLOADS", "DEPARTMENT_ACTS_WAITING", "DEPARTMENT_ACTS_HOURLY", "DEPARTMENT_ACT_BYTES",
    "CONNECTIONS", "CONNECTIONS_PER_ADDRESS", "HEAD_BYTES", "HEAD_TIMEOUT_S", "BODY_TIMEOUT_S",
    "ANALYSES", "EXPORTS", "EXPORT_TIMEOUT_S", "SEND_TIMEOUT_S", "CLOCK_IS", "COSIGN_EVERY_S", "BUFFER_BYTES", "UPLOAD_BYTES", "DEPARTMENT_BYTES", "BODY_BYTES",
)  # fmt: skip
"""The fields of `api.runtime.settings.Settings`, repeated here so that ``civic --help`` need not import them."""

OF_THE_COMMAND = ("LANG", "PROFILE", "URL", "DEBUG", "ZONE")
"""Variables of the command line only."""

OF_DEVELOPMENT = (
    "GETH",
    "REQUIRE",
    "WORKERS",
    "TEST_POSTGRES",
    "WRITE_DOCS",
    "WRITE_EDITED_ROWS",
    "WRITE_GAS",
    "WRITE_POWERS",
)
"""Variables of the Makefile, tests and builds. They are no settings, and may be set where commands run."""


def warn_of_unknown_settings() -> None:
    """Warn the user of a misspelt variable, which is ignored."""
    known = [PREFIX + name for name in (*SETTINGS, *OF_THE_COMMAND)]
    others = {PREFIX + name for name in OF_DEVELOPMENT}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and name not in others:
            near = difflib.get_close_matches(name, known, 1)
            meant = say("; is {near} meant?", near=near[0]) if near else ""
            warning_text = say("{name} is not a setting and is ignored{meant}", name=name, meant=meant)
            lines(f"{say('warning')}: {warning_text}", error=True)
