"""What a command says when it fails: a code, a sentence, what to do next, and never a traceback.

Exit codes: 0 done, 1 refused or failed, 2 the command was not understood, 3 what was checked holds but is not the whole
(``civic audit verify`` on a log whose first entries are archived).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from api.cli.language import language, say
from api.sdk.errors import ClientError
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from api.sdk.errors import ServiceProblem

FAILED = 1
USAGE = 2
IN_PART = 3


class CommandError(ClientError):
    """A command cannot go on for a reason of its own."""

    code = "command.failed"


class UsageError(ClientError):
    """The options do not fit together; the exit code is 2."""

    code = "usage"


class Refused(ClientError):
    """The service refused; ``receipt`` is where the evidence of the refusal was kept."""

    def __init__(self, problem: ServiceProblem, receipt: Path | None) -> None:
        chinese = problem.document.get("zh")
        words = chinese if isinstance(chinese, Mapping) and language() == "zh" else {}
        message = problem.message
        if words.get("title"):
            message = f"{words['title']}（{problem.message}）"
        super().__init__(message, hint=str(words.get("next") or problem.hint), code=problem.code)
        self.problem = problem
        self.receipt = receipt


def described(error: ClientError | LedgerError | PolicyError) -> dict[str, Any]:
    """The error as a document: ``code``, ``message``, ``hint`` and whatever else it knows."""
    document: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": getattr(error, "hint", ""),
    }
    for name in ("pointer", "matches"):
        if value := getattr(error, name, None):
            document[name] = list(value) if isinstance(value, tuple) else value
    if isinstance(error, Refused):
        document["status"] = error.problem.status
        for name in ("reasons", "pointer", "member", "digest", "state", "explanation"):
            if name in error.problem.document:
                document[name] = error.problem.document[name]
        if error.receipt is not None:
            document["receipt"] = str(error.receipt)
    return document


def present_failure(error: Exception, as_json: bool) -> int:
    """Print why a command failed and answer its exit code."""
    if isinstance(error, ClientError | LedgerError | PolicyError):
        document = described(error)
    elif isinstance(error, OSError):
        document = {
            "code": "file.unusable",
            "message": f"{error.filename or ''}: {error.strerror or error}".lstrip(": "),
            "hint": "",
        }
    else:
        document = {
            "code": "internal",
            "message": f"{type(error).__name__}: {error}",
            "hint": say(
                "this is a defect; CIVIC_DEBUG=1 shows where", "这是程序缺陷；设置 CIVIC_DEBUG=1 可查看位置"
            ),
        }
    if os.environ.get("CIVIC_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    if as_json:
        print(json.dumps({"error": document}, ensure_ascii=False), flush=True)
    else:
        print("\n".join(_lines(document)), file=sys.stderr, flush=True)
    return USAGE if document["code"] == "usage" else FAILED


def _lines(document: Mapping[str, Any]) -> list[str]:
    first, *rest = str(document["message"]).splitlines() or [""]
    lines = [f"{say('refused', '未成')} [{document['code']}]: {first}", *(f"  {line}" for line in rest)]
    if pointer := document.get("pointer"):
        lines.append(f"  {say('at', '位置')}: {pointer}")
    if matches := document.get("matches"):
        lines.append(f"  {say('did you mean', '是否指')}: {', '.join(matches)}")
    lines += [f"  - {_reason(reason)}" for reason in document.get("reasons", ())]
    if hint := document.get("hint"):
        lines.append(f"  {say('next', '下一步')}: {hint}")
    if receipt := document.get("receipt"):
        lines.append(f"  {say('the refusal is on record; its receipt', '拒绝已留痕，回执')}: {receipt}")
    return ["".join(c if c in "\t" or c.isprintable() else "�" for c in line) for line in lines]


def _reason(reason: object) -> str:
    if not isinstance(reason, Mapping):
        return str(reason)
    named = {name: value for name, value in reason.items() if name != "code" and value}
    words = ", ".join(f"{name} {value}" for name, value in named.items())
    return f"{reason.get('code')}" + (f" ({words})" if words else "")
