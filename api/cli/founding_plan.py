"""The plan of a city's founding: from options, from a TOML file, or from questions on a terminal; an option
overrides the file.

```toml
home = "city"
council = ["0x...", "member.json"]     # addresses, or key files of council members
threshold = 2                           # more than half of the council by default
guardian = "0x..."
admission_delay = 86400
rpc_url = ""
relayer_key = ""

[bureau]
directory = "bureau"
number = 1
name_zh = "..."
name_en = "Data Bureau"
passphrase_file = "bureau.pass"
```
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from api.cli.failures import UsageError
from api.terminal.language import say
from contracts.codes import COUNCIL_MAX
from languages.texts import N_, translated

FIRST_DEPARTMENT = 1
BUREAU = N_("Data Bureau")


@dataclass(frozen=True, slots=True)
class Bureau:
    """The data bureau, the first department, whose machines run the service."""

    directory: Path
    name_zh: str
    name_en: str
    number: int = FIRST_DEPARTMENT
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a founding. ``council`` holds addresses or paths of key files. Without a council, a key of
    the bureau is the council."""

    home: Path | None = None
    council: tuple[str, ...] = ()
    threshold: int | None = None
    guardian: str | None = None
    admission_delay: int = 86_400
    rpc_url: str = ""
    relayer_key: Path | None = None
    bureau: Bureau | None = None


_PATHS = {"home", "relayer_key", "directory", "passphrase_file"}
_TYPES: Mapping[str, Any] = {
    "council": list,
    "threshold": int,
    "admission_delay": int,
    "number": int,
    "bureau": dict,
}
_WITHIN: Mapping[str, tuple[int, int]] = {
    "threshold": (1, COUNCIL_MAX),
    "admission_delay": (0, (1 << 32) - 1),
    "number": (1, (1 << 24) - 1),
}
"""The least and the most of a number."""


def read_plan(path: Path) -> Plan:
    """A plan from a TOML file; UsageError for an unknown or missing member or one of another type. Paths are
    relative to the file's directory."""
    import tomllib

    from ledger.small_files import read_text

    try:
        document = tomllib.loads(read_text(path))
    except FileNotFoundError as missing:
        raise UsageError(say("there is no file {path}", path=path)) from missing
    except (OSError, ValueError, RecursionError) as damaged:
        raise UsageError(say("{path} is not TOML: {why}", path=path, why=str(damaged)[:200])) from damaged
    members = _members(document, Plan, path)
    if "bureau" in members:
        bureau = _members(members["bureau"], Bureau, path)
        if lacking := {"directory", "name_zh", "name_en"} - bureau.keys():
            raise UsageError(say("{path}: [bureau] lacks {member}", path=path, member=sorted(lacking)[0]))
        members["bureau"] = Bureau(**bureau)
    if "council" in members:
        if not all(isinstance(one, str) for one in members["council"]):
            raise UsageError(say("{path}: {member} is of another kind", path=path, member="council"))
        members["council"] = tuple(_member(path, one) for one in members["council"])
    return Plan(**members)


def _member(path: Path, text: str) -> str:
    """A council member: an address, or the path of a key file relative to the plan's directory."""
    return text if text.startswith("0x") else str(_placed(path, text, "council"))


def _members(table: Mapping[str, Any], kind: type, path: Path) -> dict[str, Any]:
    known = {one.name for one in fields(kind)}
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise UsageError(say("{path}: nothing is called {member}", path=path, member=name[:40]))
        if type(value) is not _TYPES.get(name, str):
            raise UsageError(say("{path}: {member} is of another kind", path=path, member=name))
        least, most = _WITHIN.get(name, (0, 0))
        if name in _WITHIN and not least <= value <= most:
            raise UsageError(
                say(
                    "{path}: {member} is from {least} to {most}",
                    path=path,
                    member=name,
                    least=least,
                    most=most,
                )
            )
        found[name] = _placed(path, value, name) if name in _PATHS else value
    return found


def _placed(plan: Path, text: str, member: str) -> Path:
    """A path of the plan: from the plan's directory, or from a home directory (``~``)."""
    if not text or "\0" in text:
        raise UsageError(say("{path}: {member} is of another kind", path=plan, member=member))
    try:
        return plan.parent / Path(text).expanduser()
    except RuntimeError as unknown:
        raise UsageError(
            say("{path}: {member} names the home of an unknown user", path=plan, member=member)
        ) from unknown


def asked_for(plan: Plan) -> Plan:
    """The plan, completed by questions on the terminal if it names neither a council nor a bureau."""
    if plan.council or plan.bureau or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return plan
    import typer

    def ask(question: str, default: Any) -> Any:
        return typer.prompt(question, default=default, err=True)

    directory = Path(ask(say("Directory of the data bureau's keys"), "bureau"))
    name_zh = ask(say("Its name in Chinese"), translated(BUREAU, "zh"))
    name_en = ask(say("Its name in English"), BUREAU)
    council = ask(
        say("Council members, addresses separated by commas (empty: one key, created with the bureau's)"), ""
    )
    delay = ask(say("Seconds between the proposal and the admission of a department"), plan.admission_delay)
    return replace(
        plan,
        council=tuple(one.strip() for one in council.split(",") if one.strip()),
        admission_delay=delay,
        bureau=Bureau(directory, name_zh, name_en),
    )
