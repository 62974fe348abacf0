"""Why an act is not accepted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActRefused:
    """Why an act is not accepted. A value, not an error: the gateway turns it into a problem.

    ``code`` is stable; ``member`` names the member of the message that is at fault, where one is.
    """

    code: str
    detail: str
    member: str = ""


class Refusal(Exception):
    """Carries an `ActRefused` out of a rule; never leaves this package."""

    def __init__(self, code: str, detail: str, member: str = "") -> None:
        super().__init__(detail)
        self.refused = ActRefused(code, detail, member)
