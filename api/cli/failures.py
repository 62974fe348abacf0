"""What a command says when it fails: a code, a sentence, what to do next, and never a traceback.

Exit codes: 0 done, 1 refused or failed, 2 the command was not understood, 3 what was checked holds but is not the whole
(``civic audit verify`` on a log whose first entries are archived).
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from access_policy.errors import PolicyError
from api.cli.language import language, say
from api.cli.screen import authors_lines, json_out, lines
from api.problems import advice_for
from api.sdk.errors import ClientError
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from api.sdk.errors import ServiceProblem

FAILED = 1
_CHINESE = re.compile("[\u4e00-\u9fff]")
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
        message = "\n".join(told_lines(problem.document.get("explanation")))
        super().__init__(
            message or str(words.get("title") or problem.message),
            hint=str(words.get("next") or problem.hint),
            code=problem.code,
        )
        self.detail = "" if message or not words.get("title") else problem.message
        self.problem = problem
        self.receipt = receipt


def told_lines(explanation: object) -> list[str]:
    """The explanation of a decision in the process's language: a headline, and a line for each thing that counts."""
    said = explanation.get(language()) if isinstance(explanation, Mapping) else None
    if not isinstance(said, Mapping):
        return [str(said)] if said else []
    told = said.get("lines", ())
    return [
        str(said.get("headline", "")),
        *(_told(line) for line in (told if isinstance(told, list) else ()) if isinstance(line, Mapping)),
    ]


def _told(line: Mapping[str, Any]) -> str:
    words = " ".join(str(line[name]) for name in ("text", "advice") if line.get(name))
    places = [str(line[name]) for name in ("code", "grant", "constraint") if line.get(name)]
    return f"- {words} [{', '.join(places)}]"


def described(error: ClientError | LedgerError | PolicyError) -> dict[str, Any]:
    """The error as a document: ``code``, ``message``, ``hint`` and whatever else it knows."""
    document: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": getattr(error, "hint", ""),
    }
    if language() == "zh" and not _CHINESE.search(error.message):
        advice = advice_for(error.code)
        document |= {"message": advice.title_zh, "detail": error.message}
        if not _CHINESE.search(document["hint"]):
            document["hint"] = advice.next_zh
    for name in ("pointer", "matches"):
        if value := getattr(error, name, None):
            document[name] = list(value) if isinstance(value, tuple) else value
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


def present_failure(error: Exception, as_json: bool) -> int:
    """Print why a command failed and answer its exit code."""
    if isinstance(error, ClientError | LedgerError | PolicyError):
        document = described(error)
    elif isinstance(error, OSError):
        document = _of_system(error)
    elif refused := _of_database(error):
        document = described(refused)
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

        lines(*authors_lines("".join(traceback.format_exception(error)).rstrip("\n")), error=True)
    if as_json:
        json_out({"error": document})
    else:
        lines(*_lines(document), error=True)
    return USAGE if document["code"] == "usage" else FAILED


def _of_database(error: Exception) -> LedgerError | None:
    """What a command says of a database that does not answer; most commands never import what it takes to tell."""
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from ledger.store.engine import unavailable

    return unavailable(error) if isinstance(error, SQLAlchemyError) else None


def _of_system(error: OSError) -> dict[str, Any]:
    """What the operating system refused: a file, or without one an address or a device."""
    en, zh, next_en, next_zh = _SYSTEM.get(error.errno or 0, ("", "", "", ""))
    name = str(error.filename) if error.filename else ""
    words = say(en or str(error.strerror or error), zh or "操作系统拒绝")
    document = {
        "code": "file.unusable" if name else "system.refused",
        "message": f"{name}: {words}" if name else words,
        "hint": say(next_en or "check the path and the rights", next_zh or "请检查路径和权限"),
    }
    if language() == "zh":
        document["detail"] = str(error.strerror or error)
    return document


_SYSTEM: Mapping[int, tuple[str, str, str, str]] = {
    errno.ENOENT: ("there is nothing at this path", "该路径不存在", "check the path", "请检查路径"),
    errno.ENOTDIR: ("a part of the path is a file", "路径中有一段是文件", "check the path", "请检查路径"),
    errno.EISDIR: ("this is a directory", "这是目录", "name a file", "请指定文件"),
    errno.EEXIST: ("there is something here already", "此处已有文件", "choose another name", "请换一个名称"),
    errno.EACCES: ("this may not be read or written", "没有读写权限", "choose another place", "请换一个位置"),
    errno.EPERM: ("this may not be read or written", "没有读写权限", "choose another place", "请换一个位置"),
    errno.EROFS: ("nothing can be written here", "此处只读", "choose another place", "请换一个位置"),
    errno.ENOSPC: ("the disk is full", "磁盘已满", "free some space", "请释放空间"),
    errno.EADDRINUSE: (
        "another program listens at this address",
        "该地址已被占用",
        "stop it, or choose another --port",
        "请停止该程序，或用 --port 换一个端口",
    ),
    errno.EADDRNOTAVAIL: (
        "this machine does not have this address",
        "本机没有该地址",
        "choose another --host",
        "请用 --host 换一个地址",
    ),
}


def _lines(document: Mapping[str, Any]) -> list[str]:
    explained = document.get("explanation")  # it has every reason, and for each what to do
    if told := told_lines(explained):
        first, *rest = told[0], *(f"  {line}" for line in told[1:])
    else:
        first, *more = str(document["message"]).split("\n")
        rest = [marked for line in more for marked in authors_lines(line, "  ")]
    found = [f"{say('refused', '未受理')} [{document['code']}]: {first}", *rest]
    if detail := document.get("detail"):
        found.append(f"  {say('detail', '英文详情')}: {detail}")
    if pointer := document.get("pointer"):
        found.append(f"  {say('at', '位置')}: {pointer}")
    if matches := document.get("matches"):
        found.append(f"  {say('did you mean', '您是否要输入')}: {', '.join(matches)}")
    found += [f"  - {_reason(reason)}" for reason in (() if explained else document.get("reasons", ()))]
    if (hint := document.get("hint")) and not explained:
        found.append(f"  {say('next', '下一步')}: {hint}")
    if receipt := document.get("receipt"):
        found.append(f"  {say('the refusal is on record; its receipt', '拒绝已留痕，回执')}: {receipt}")
    return found


def _reason(reason: object) -> str:
    if not isinstance(reason, Mapping):
        return str(reason)
    named = {name: value for name, value in reason.items() if name != "code" and value}
    words = ", ".join(f"{name} {value}" for name, value in named.items())
    return f"{reason.get('code')}" + (f" ({words})" if words else "")
