"""The table of settings in ``docs/settings.md``: ``python -m docs.settings [--check]``.

Made from `api.runtime.settings.Settings`. ``--check`` writes nothing and fails when the page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from api.runtime.settings import Settings

PAGE = Path(__file__).resolve().parent / "settings.md"
MARKS = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.S)


def table() -> str:
    """A line for each setting: variable, default, meaning."""
    rows = [
        f"| `CIVIC_{name.upper()}` | {_default(field)} | {_meaning(name, field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *rows, ""])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if value in (None, "", {}):
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return _bytes(value) if value >= 1 << 18 else f"{value:,g}" if value > 9_999 else f"{value:g}"
    return f"`{value}`"


def _bytes(value: float) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value % size == 0:
            return f"{int(value // size)} {unit}"
    return f"{value:,g}"


def _meaning(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise SystemExit(f"api.runtime.settings: {name} has no description")
    return field.description.replace("|", "\\|")


def page(old: str) -> str:
    """The page with its table of today."""
    text, found = MARKS.subn(lambda marks: marks[1] + table() + marks[2], old)
    if found != 1:
        raise SystemExit(f"{PAGE.name} lacks its marks <!-- settings --> and <!-- /settings -->")
    return text


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(prog="python -m docs.settings", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is stale")
    check: bool = parser.parse_args().check
    old = PAGE.read_text("utf-8")
    if old == page(old):
        return 0
    if check:
        print("docs/settings.md is stale: run python -m docs.settings", file=sys.stderr)
        return 1
    PAGE.write_text(page(old), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
