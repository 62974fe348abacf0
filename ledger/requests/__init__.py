"""Access requests: a department requests access, the provider answers, and every step is a log entry."""

from ledger.requests.workflow import (
    AccessRequest,
    Draft,
    RequestError,
    Step,
    find_request,
    list_requests,
    mark_granted,
    refuse,
    repeated,
    submit,
    withdraw,
)

__all__ = [
    "AccessRequest",
    "Draft",
    "RequestError",
    "Step",
    "find_request",
    "list_requests",
    "mark_granted",
    "refuse",
    "repeated",
    "submit",
    "withdraw",
]
