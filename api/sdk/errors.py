"""Errors of a call: each with a stable ``code`` and the next step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.protocol.errors import ClientError


class ServiceProblem(ClientError):
    """The service refused: an RFC 9457 problem whose signature was checked.

    ``document`` is the whole problem; ``receipt`` is the log receipt of the refusal if there is one.
    """

    def __init__(self, status: int, document: Mapping[str, Any], receipt: object | None = None) -> None:
        super().__init__(
            str(document.get("detail") or document.get("title") or "refused"),
            hint=str(document.get("next", "")),
            code=str(document.get("code", "service.error")),
        )
        self.status = status
        self.document = document
        self.receipt = receipt

    @property
    def reasons(self) -> list[str]:
        """The codes of a denial, the most specific first."""
        return [str(reason.get("code")) for reason in self.document.get("reasons", [])] or [self.code]


class ServiceUnreachable(ClientError):
    """The service did not answer."""

    code = "client.unreachable"
    hint = "is the service running? start it with: civic serve --home DIR"


class CallMalformed(ClientError):
    """The arguments do not make a valid request."""

    code = "client.call"
    hint = "check identifiers and options for characters that do not belong there"


class AnswerRefused(ClientError):
    """An answer's signature, digest or receipt is invalid; nothing of it is used."""

    code = "answer.invalid"
    hint = "do not use this service until its operator has explained; keep the state directory as evidence"


class RollbackDetected(AnswerRefused):
    """The log that the service shows does not extend the log that this client has seen."""

    code = "log.rollback"
    hint = "the operator restored, forked or rewrote the log; keep the state directory as evidence and tell the auditor"


class ForkFound(RollbackDetected):
    """Two heads are signed with the log's key and belong to two logs; both are kept in the state directory."""

    code = "log.fork"
    hint = "two logs are signed with one key; give the kept file to the auditor and to the other departments"


class NotWitnessed(AnswerRefused):
    """Too few witnesses have recently cosigned the log that the service shows."""

    code = "log.unwitnessed"
    hint = "the service shows a log that the witnesses do not see; ask the witnesses' keepers and the auditor"


class HeadsInvalid(ClientError):
    """A file of signed heads cannot be used."""

    code = "heads.invalid"
    hint = "ask the other department for: civic heads export FILE"
