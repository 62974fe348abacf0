"""Reports of failed work: a code, and for background threads one line in the process's log."""

from __future__ import annotations

import errno
import logging

from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import LedgerError
from ledger.store.engine import unavailable

DEFECT = "service.failed"
"""The code of an unexpected error: a defect of this program or of the system."""

_SPENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE,
                    errno.ENFILE})  # fmt: skip
"""Error numbers of a temporary lack of resources. They do not concern the content of a request."""


class ResourcesSpent(LedgerError):
    """The disk is full or cannot be written, or the process has too many open files. The request may be repeated."""

    code = "service.resources"


def known_failure(error: BaseException) -> LedgerError | None:
    """The error to report for a temporary error of the database or the system; None for every other error."""
    if isinstance(error, SQLAlchemyError):
        return unavailable(error)
    if isinstance(error, OSError) and error.errno in _SPENT:
        return ResourcesSpent("the service could not use its disk", hint="try again later")
    return None


def failure_code(failure: BaseException | None) -> str | None:
    """The code of a failure for the status; None without a failure."""
    if failure is None:
        return None
    known = failure if isinstance(failure, LedgerError) else known_failure(failure)
    return DEFECT if known is None else known.code


def log_failure(log: logging.Logger, what: str, failure: BaseException, before: BaseException | None) -> None:
    """Write a log line about failed work, unless the round ``before`` failed in the same way. A defect is logged with its
    traceback."""
    code = failure_code(failure)
    if before is not None and (code, str(before)) == (failure_code(before), str(failure)):
        return
    hint = f" ({failure.hint})" if isinstance(failure, LedgerError) and failure.hint else ""
    log.error("%s: %s%s [%s]", what, failure, hint, code, exc_info=failure if code == DEFECT else None)
