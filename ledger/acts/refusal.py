"""The refusal of an act."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActRefused:
    """The reason why an act is not accepted. It is a value, not an error; the gateway makes a problem of it.

    ``code`` is stable. ``member`` names the member of the message that is at fault, if there is one.
    """

    code: str
    detail: str
    member: str = ""


class Refusal(Exception):
    """Ends a rule with an `ActRefused`. It is caught where the rules are called (`ledger.acts`, `ledger.outbox`)."""

    def __init__(self, code: str, detail: str, member: str = "") -> None:
        super().__init__(detail)
        self.refused = ActRefused(code, detail, member)
