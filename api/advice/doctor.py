"""Codes of what ``civic doctor`` and ``civic audit fsck`` find in an installation; no call is answered with them."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

DOCTOR: Mapping[str, _A] = {
    "doctor": _A(500, "Something of the installation needs care", "see the detail"),
    "doctor.permissions": _A(
        500,
        "Files of the home are open to other users",
        "remove the rights of group and others; the next civic serve does it too",
    ),
    "doctor.disk-low": _A(
        500,
        "A disk is almost full",
        "free space, or move the home or its high-water mark to a larger disk",
    ),
    "doctor.key-ends": _A(
        500,
        "A key ends soon",
        "its department adds the next key before this one ends: civic department add-key",
    ),
    "doctor.key-ended": _A(
        500,
        "The service's attest key is not in force",
        "the data bureau adds an attest key that is in force: civic department add-key",
    ),
    "doctor.mark-missing": _A(
        500,
        "The high-water mark of the log is missing",
        "check CIVIC_HIGH_WATER; if the mark is lost, the next civic serve makes it from the log",
    ),
    "doctor.acts-waiting": _A(
        500,
        "Acts wait to be recorded",
        "is the service running? civic status names what fails",
    ),
    "fsck": _A(
        500,
        "What the installation keeps is damaged",
        "stop the service, run civic audit fsck, and restore what it names from a backup",
    ),
}
