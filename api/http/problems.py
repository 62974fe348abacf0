"""RFC 9457 problems: the one place that maps stable error codes to HTTP.

Every refusal the service gives is ``application/problem+json`` with ``code`` (stable), ``title`` in English
and Chinese, ``detail``, ``next`` (what to do) and no data values. A code that is not listed here keeps the
status of its longest listed prefix (``column.not-granted`` -> ``column``), otherwise 400.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from access_policy.explain.phrases import PHRASES, next_step
from api.advice.acts import ACTS
from api.advice.advice import Advice
from api.advice.calls import CALLS
from api.advice.chain import CHAIN
from api.advice.client import CLIENT
from api.advice.doctor import DOCTOR
from api.advice.edge import EDGE
from api.advice.files import FILES
from api.advice.log import LOG
from api.advice.service import SERVICE
from api.runtime.errors import RefusedError
from languages.texts import Bilingual, translated

ADVICE: Mapping[str, Advice] = {
    **EDGE,
    **CALLS,
    **ACTS,
    **SERVICE,
    **CHAIN,
    **LOG,
    **CLIENT,
    **FILES,
    **DOCTOR,
}

_STATUS: Mapping[str, int] = {"asset.version-unsigned": 500, "asset.version-behind": 503}
"""Codes of faults that are not the caller's."""

_FALLBACK = Advice(400, "The request was refused", "see the detail")


def advice_for(code: str) -> Advice:
    """The advice of a code, or of its longest listed prefix. `access_policy.explain.phrases` has the texts of
    reasons."""
    whole = code
    while True:
        found = ADVICE.get(code)
        if found is not None:
            if code == whole or whole not in PHRASES:
                return found
            return replace(
                found,
                status=_STATUS.get(whole, found.status),
                title=PHRASES[whole][1],
                next=next_step(whole),
            )
        if "." not in code:
            return _FALLBACK
        code = code.rpartition(".")[0]


class Problem(Exception):
    """A refusal; raised at the edge, rendered once in ``app``.

    ``members`` are extension members (reasons, pointer, receipt, ...) and hold no data values.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return advice_for(self.code).status

    def document(self) -> dict[str, Any]:
        """The RFC 9457 object."""
        advice = advice_for(self.code)
        return {
            "type": f"https://civicledger.example/problems/{self.code}",
            "title": advice.title,
            "status": advice.status,
            "detail": self.detail,
            "code": self.code,
            "next": advice.next,
            "zh": self._chinese(advice),
            **self.members,
        }

    def _chinese(self, advice: Advice) -> dict[str, str]:
        """Title and next step, and the detail if it has Chinese."""
        words = {"title": translated(advice.title, "zh"), "next": translated(advice.next, "zh")}
        return words | ({"detail": self.detail.zh} if isinstance(self.detail, Bilingual) else {})


def problem_of(refused: RefusedError) -> Problem:
    """A refusal of a call or an act as an HTTP problem."""
    headers = {} if refused.retry_after_s is None else {"Retry-After": str(refused.retry_after_s)}
    return Problem(refused.code, refused.message, refused.members, headers)
