"""Errors of the policy package: one root, each with a stable ``code``.

Invalid input raises an error. A decision never raises: a refusal is the value ``Deny``.
"""

from __future__ import annotations


class PolicyError(Exception):
    """Root of all errors of this package.

    ``code`` is stable and may be shown to callers; ``pointer`` is the RFC 6901 JSON pointer of the
    offending value in the caller's document (empty string: the whole document); ``matches`` are close
    spellings the caller may have meant.
    """

    code = "policy.error"

    def __init__(self, message: str, *, pointer: str = "", matches: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.matches = matches


class TermsError(PolicyError):
    """A terms document is not in the closed profile."""

    code = "terms.invalid"


class QueryError(PolicyError):
    """A grantee's typed query is malformed."""

    code = "query.invalid"


class TransformError(PolicyError):
    """A privacy transform is unknown or has bad parameters."""

    code = "transform.invalid"


class PlanError(PolicyError):
    """A query cannot be run under its permit (for example: a column that was not granted)."""

    code = "plan.refused"
