"""Generates ``contracts/codes.py``, the codes of the contracts, from the Solidity sources.

Part of `contracts.build`. A constant with a prefix of `GROUPS` becomes a member of that enumeration; other constants of
``Codes.sol`` become module constants. The comment above a constant becomes its docstring.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
TYPES: Final = HERE / "src" / "types"
TARGET: Final = HERE / "codes.py"
MAIN: Final = "Codes.sol"
"""All constants of this file are used; of other files only those that belong to a group."""


class Group(NamedTuple):
    """An enumeration. ``prefix`` is that of its constants; ``but`` is the prefix of constants that are excluded."""

    name: str
    base: str
    prefix: str
    doc: str
    but: str = ""


GROUPS: Final = (
    Group("Role", "IntFlag", "", "Roles of a seat: officers and machines."),
    Group("ServiceRole", "IntFlag", "KEY_", "Roles of a service key.", "KEY_REMOVED"),
    Group("Right", "IntEnum", "RIGHT_", "The three rights in an asset."),
    Group("Grade", "IntEnum", "CLASS_", "Grades of data; the higher wins."),
    Group("Sharing", "IntEnum", "SHARING_", "Sharing classes of an asset."),
    Group("DepartmentStatus", "IntEnum", "DEPARTMENT_", "Statuses of a department."),
    Group("AssetStatus", "IntEnum", "ASSET_", "Statuses of an asset."),
    Group(
        "Stopper",
        "IntEnum",
        "BY_",
        "Who stops an asset or lets it go on: ``by`` of SuspendAsset and LiftAsset.",
    ),
    Group(
        "GrantStatus",
        "IntEnum",
        "GRANT_",
        "Statuses of a grant: the low four bits of its status.",
        "GRANT_FLAG_",
    ),
    Group("GrantFlag", "IntFlag", "GRANT_FLAG_", "Flags of a grant: the high four bits of its status."),
    Group("SeatFlag", "IntFlag", "SEAT_", "What happened to a seat."),
    Group("ConditionStatus", "IntEnum", "CONDITION_", "Statuses of a condition."),
    Group("ConditionKind", "IntEnum", "KIND_", "Kinds of conditions."),
    Group("LogStatus", "IntEnum", "LOG_", "Statuses of a log on chain."),
)
ROLES: Final = re.compile(r"[A-Z]+")
"""The name of a role: no prefix and no underscore."""
WIDTH: Final = 110
UNITS: Final = {"hours": 3_600, "days": 86_400}
DECLARED: Final = re.compile(r"((?:^//(?! ----).*\n)*)^(uint\d+) constant (\w+) = ([^;]+);$", re.MULTILINE)


class Constant(NamedTuple):
    type: str
    name: str
    value: str
    doc: str


def declared(file: Path) -> Iterator[Constant]:
    """The constants of a file, in order."""
    for comment, kind, name, value in DECLARED.findall(file.read_text("utf-8")):
        doc = " ".join(line.removeprefix("//").strip() for line in comment.splitlines())
        yield Constant(kind, name, value, doc)


def group_of(constant: Constant) -> Group | None:
    """The enumeration of a constant; None for a module constant."""
    bit_of_a_role = constant.type == "uint16" and "<<" in constant.value
    if bit_of_a_role and ROLES.fullmatch(constant.name):
        return GROUPS[0]
    for group in GROUPS[1:]:
        if constant.name.startswith(group.prefix) and not (group.but and constant.name.startswith(group.but)):
            return group
    return None


def python_of(value: str) -> str:
    """A value as Python code: ``type(uint40).max``, units of time, combined roles."""
    if found := re.fullmatch(r"type\(uint(\d+)\)\.max", value):
        return f"2**{found[1]} - 1"
    if found := re.fullmatch(r"([\d_]+) (hours|days)", value):
        return f"{found[1]} * {UNITS[found[2]]:_}"
    return re.sub(r"\b[A-Z]+\b", lambda name: f"Role.{name[0]}", value)


def table() -> str:
    """The text of ``contracts/codes.py``."""
    files = [TYPES / MAIN, *sorted(file for file in TYPES.glob("*.sol") if file.name != MAIN)]
    members: dict[str, list[Constant]] = {group.name: [] for group in GROUPS}
    alone: list[Constant] = []
    for file in files:
        for constant in declared(file):
            group = group_of(constant)
            if group is not None and not constant.name.endswith("_MAX"):
                members[group.name].append(constant)
            elif file.name == MAIN:
                alone.append(constant)
    lines = [
        '"""The numbers of the contracts. Written by ``python -m contracts.build`` from ``src/types/*.sol``; not by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "from enum import IntEnum, IntFlag",
        "from typing import Final",
    ]
    for group in GROUPS:
        lines += ["", "", f"class {group.name}({group.base}):", f'    """{group.doc}"""', ""]
        for one in members[group.name]:
            name = one.name.removeprefix(group.prefix)
            lines += [f"    {name} = {python_of(one.value)}", *_docstring(one.doc, "    ")]
    lines += [""]
    for one in alone:
        line = f"{one.name}: Final = {python_of(one.value)}"
        if len(line) > WIDTH:
            line = f"{one.name}: Final = (\n    {python_of(one.value)}\n)"
        lines += ["", line, *_docstring(one.doc, "")]
    return "\n".join(lines) + "\n"


def _docstring(text: str, indent: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(f'"""{text}"""', WIDTH, initial_indent=indent, subsequent_indent=indent)
