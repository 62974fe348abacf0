"""Access requests: a department asks, the provider answers, every step is an entry."""

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
