"""The output of a failed command: a code, a sentence, and the next step, without a traceback.

Exit codes: 0 done, 1 refused or failed, 2 the command line was not understood, 3 the check is valid in part
(``civic audit verify`` on a log whose first entries are archived).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from api.http.problems import advice_for
from api.protocol.errors import ClientError
from api.protocol.version import CLIENT, installed
from api.terminal.language import language, say
from api.terminal.screen import json_out, lines, quoted_lines
from languages.choice import holds_chinese
from languages.texts import N_, NP_, in_language
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from api.sdk.errors import ServiceProblem

FAILED = 1
USAGE = 2
IN_PART = 3


class CommandError(ClientError):
    """A command cannot continue, for a reason found by the command itself."""

    code = "command.failed"


class UsageError(ClientError):
    """The options contradict each other; the exit code is 2."""

    code = "usage"


class Refused(ClientError):
    """The service refused; ``receipt`` is the path of the receipt that proves the refusal."""

    def __init__(self, problem: ServiceProblem, receipt: Path | None) -> None:
        chinese = problem.document.get("zh")
        words = chinese if isinstance(chinese, Mapping) and language() == "zh" else {}
        message = "\n".join(explanation_lines(problem.document.get("explanation")))
        super().__init__(
            message or str(words.get("title") or problem.message),
            hint=str(words.get("next") or problem.hint),
            code=problem.code,
        )
        self.detail = "" if message or not words.get("title") else str(words.get("detail") or problem.message)
        self.problem = problem
        self.receipt = receipt


def explanation_lines(explanation: object) -> list[str]:
    """The explanation of a decision in the process's language: a headline, and a line for each relevant fact."""
    localized = explanation.get(language()) if isinstance(explanation, Mapping) else None
    if not isinstance(localized, Mapping):
        return [str(localized)] if localized else []
    printed = localized.get("lines", ())
    return [
        str(localized.get("headline", "")),
        *(
            _line_text(line)
            for line in (printed if isinstance(printed, list) else ())
            if isinstance(line, Mapping)
        ),
    ]


def _line_text(line: Mapping[str, Any]) -> str:
    words = " ".join(str(line[name]) for name in ("text", "advice") if line.get(name))
    places = [str(line[name]) for name in ("code", "grant", "constraint") if line.get(name)]
    return f"- {words} [{', '.join(places)}]"


def described(error: ClientError | LedgerError | PolicyError) -> dict[str, Any]:
    """The error as a document: ``code``, ``message``, ``hint`` and its further members."""
    document: dict[str, Any] = {
        "code": error.code,
        "message": in_language(error.message, language()),
        "hint": in_language(getattr(error, "hint", ""), language()) or _remedy(error.code),
    }
    if language() == "zh" and not holds_chinese(document["message"]):
        advice = advice_for(error.code)
        document |= {"message": say(advice.title), "detail": error.message}
        if not holds_chinese(document["hint"]):
            document["hint"] = say(advice.next)
    for name in ("pointer", "matches"):
        if value := getattr(error, name, None):
            document[name] = list(value) if isinstance(value, tuple) else value
    for name in ("file", "line", "byte", "cell"):
        if (place := getattr(error, name, None)) is not None:
            document[name] = place
    if isinstance(error, Refused):
        document["status"] = error.problem.status
        if error.detail:
            document["detail"] = error.detail
        for name in ("reasons", "pointer", "member", "digest", "state", "explanation"):
            if name in error.problem.document:
                document[name] = error.problem.document[name]
        if error.receipt is not None:
            document["receipt"] = str(error.receipt)
    return document


def _remedy(code: str) -> str:
    """The next step for an error about a file, which has no text of its own."""
    return say(advice_for(code).next) if code.startswith(("file.", "parts.")) else ""


def present_failure(error: Exception, as_json: bool) -> int:
    """Print why a command failed and answer its exit code."""
    if isinstance(error, ClientError | LedgerError | PolicyError):
        document = described(error)
    elif isinstance(error, OSError):
        document = _of_system(error)
    elif refused := _of_database(error) or _of_package(error):
        document = described(refused)
    else:
        document = {
            "code": "internal",
            "message": f"{type(error).__name__}: {error}",
            "hint": say("this is a defect; CIVIC_DEBUG=1 shows where"),
        }
    if os.environ.get("CIVIC_DEBUG") == "1":
        import traceback

        lines(*quoted_lines("".join(traceback.format_exception(error)).rstrip("\n")), error=True)
    if as_json:
        json_out({"error": document})
    else:
        lines(*_lines(document), error=True)
    return USAGE if document["code"] == "usage" else FAILED


def _of_database(error: Exception) -> ClientError | LedgerError | None:
    """The output for a database that does not answer. The import is here because most commands do not need it."""
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from ledger.store.engine import unavailable

    return unavailable(error) if isinstance(error, SQLAlchemyError) else None


OURS = frozenset({"access_policy", "api", "contracts", "languages", "ledger"})
"""Our packages: a missing module of these is a defect."""


class WholePackageNeeded(CommandError):
    """The command needs packages that the client's package does not require."""

    code = "install.client"


def _of_package(error: Exception) -> ClientError | None:
    """The output for a command that the client's package cannot run."""
    missing = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or installed()[0] != CLIENT or missing in OURS:
        return None
    return WholePackageNeeded(
        say("this command needs {missing}, which the client's package leaves out", missing=missing),
        hint=say("run it where the package civicledger is installed"),
    )


def _of_system(error: OSError) -> dict[str, Any]:
    """The output for an error of the operating system: about a file, or else about an address or a device."""
    text, following = _SYSTEM.get(
        error.errno or 0, (N_("the system refuses"), N_("check the path and the rights"))
    )
    name = str(error.filename) if error.filename else ""
    known = error.errno in _SYSTEM or language() == "zh"
    words = say(text) if known else str(error.strerror or error)
    document = {
        "code": "file.unusable" if name else "system.refused",
        "message": f"{name}: {words}" if name else words,
        "hint": say(following),
    }
    if language() == "zh":
        document["detail"] = str(error.strerror or error)
    return document


_SYSTEM: Mapping[int, tuple[str, str]] = {
    errno.ENOENT: (N_("there is nothing at this path"), N_("check the path")),
    errno.ENOTDIR: (N_("a part of the path is a file"), N_("check the path")),
    errno.EISDIR: (N_("this is a directory"), N_("name a file")),
    errno.EFBIG: (N_("the file is longer than one of its kind can be"), N_("name another file")),
    errno.EEXIST: (N_("there is something here already"), N_("choose another name")),
    errno.EACCES: (N_("this may not be read or written"), N_("choose another place")),
    errno.EPERM: (N_("this may not be read or written"), N_("choose another place")),
    errno.EROFS: (N_("nothing can be written here"), N_("choose another place")),
    errno.ENOSPC: (N_("the disk is full"), N_("free some space")),
    errno.EADDRINUSE: (
        N_("another program listens at this address"),
        N_("stop it, or choose another --port"),
    ),
    errno.EADDRNOTAVAIL: (N_("this machine does not have this address"), N_("choose another --host")),
}


def _lines(document: Mapping[str, Any]) -> list[str]:
    explained = document.get("explanation")  # The explanation contains every reason, with its next step.
    if printed := explanation_lines(explained):
        first, *rest = printed[0], *(f"  {line}" for line in printed[1:])
    else:
        first, *more = str(document["message"]).split("\n")
        rest = [marked for line in more for marked in quoted_lines(line, "  ")]
    found = [f"{say('refused')} [{document['code']}]: {first}", *rest]
    if detail := document.get("detail"):
        found.append(f"  {detail_label(detail)}: {detail}")
    if pointer := document.get("pointer"):
        found.append(f"  {say('at')}: {pointer}")
    if matches := document.get("matches"):
        found.append(f"  {say('did you mean')}: {', '.join(matches)}")
    found += [f"  - {_reason(reason)}" for reason in (() if explained else document.get("reasons", ()))]
    if (hint := document.get("hint")) and not explained:
        found.append(f"  {say('next')}: {hint}")
    if receipt := document.get("receipt"):
        found.append(f"  {say('the refusal is on record; its receipt')}: {receipt}")
    return found


def detail_label(detail: str) -> str:
    """The label before a detail; in Chinese output it also says that the detail is in English."""
    if language() == "zh" and not holds_chinese(detail):
        return say(NP_("in English", "detail"))
    return say("detail")


def _reason(reason: object) -> str:
    if not isinstance(reason, Mapping):
        return str(reason)
    named = {name: value for name, value in reason.items() if name != "code" and value}
    words = ", ".join(f"{name} {value}" for name, value in named.items())
    return f"{reason.get('code')}" + (f" ({words})" if words else "")
