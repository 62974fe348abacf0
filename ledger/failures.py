"""What is said of work that fails: a code, and for work on a thread of its own, where nobody waits for it, one line in
the log."""

from __future__ import annotations

import errno
import logging

from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import LedgerError
from ledger.store.engine import unavailable

DEFECT = "service.failed"
"""The code of what no part expects: a mistake of ours, or of the system below."""

_SPENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE,
                    errno.ENFILE})  # fmt: skip
"""What the system says when it lacks something for now: it says nothing about what was asked."""


class ResourcesSpent(LedgerError):
    """The disk is full or cannot be written, or the process has too many files open. What was asked may be repeated."""

    code = "service.resources"


def known_failure(error: BaseException) -> LedgerError | None:
    """What an error of the database or the system is to who asked, when it says nothing about what was asked; None for
    every other error."""
    if isinstance(error, SQLAlchemyError):
        return unavailable(error)
    if isinstance(error, OSError) and error.errno in _SPENT:
        return ResourcesSpent("the service could not use its disk", hint="try again later")
    return None


def failure_code(failure: BaseException | None) -> str | None:
    """The code of a failure, for the status; None for none."""
    if failure is None:
        return None
    known = failure if isinstance(failure, LedgerError) else known_failure(failure)
    return DEFECT if known is None else known.code


def log_failure(log: logging.Logger, what: str, failure: BaseException, before: BaseException | None) -> None:
    """Say that work has failed, unless the round ``before`` failed in the same way; a defect with its trace."""
    code = failure_code(failure)
    if before is not None and (code, str(before)) == (failure_code(before), str(failure)):
        return
    hint = f" ({failure.hint})" if isinstance(failure, LedgerError) and failure.hint else ""
    log.error("%s: %s%s [%s]", what, failure, hint, code, exc_info=failure if code == DEFECT else None)
