"""The licences of what is installed: ``python -m docs.licences [--check]``.

Writes ``docs/licences.md`` from the installed packages' own metadata. What the distribution requires, extras
included, must carry a licence of `SHIPPED`; what only tests and builds need must carry one of `SHIPPED` or `TOOLS`,
and is never shipped. ``--check`` writes nothing and fails when the page is stale or a licence is not on its list.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
PROJECT = "civicledger"

SHIPPED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC",
        "LGPL-3.0-only", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Public Domain",
    }
)  # fmt: skip
"""Licences under which a package may be required at run time. LGPL and MPL bind the package's own files alone: we depend
on them as published and ship none of them."""

TOOLS = frozenset({"GPL", "GPL-3.0-or-later"})
"""Beside those above, for tests and builds only: never imported by what is shipped."""

_NAMES = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD",
    "cc0 1.0 universal (cc0 1.0) public domain dedication": "CC0-1.0",
    "gnu general public license (gpl)": "GPL",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "public domain": "Public Domain",
    "python software foundation license": "PSF-2.0",
}
_KNOWN = {name.lower(): name for name in SHIPPED | TOOLS}

_READ_IN_THE_PACKAGE = {"cedarpy": "Apache-2.0"}
"""Packages whose metadata name no licence: what the LICENSE file in the package says."""


def licences_of(package: Distribution) -> frozenset[str]:
    """The licences that a package names: its SPDX expression, else its classifiers, else its free text.

    For an expression with OR every choice is listed; an unknown text is returned unchanged.
    """
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return frozenset(_one(part) for part in re.split(r"\s+(?:AND|OR)\s+|[()]", expression) if part)
    classifiers = [
        line.rsplit(" :: ", 1)[-1]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ") and line.count(" :: ") > 1
    ]
    texts = classifiers or [text for text in [(metadata.get("License") or "").split("\n")[0]] if text]
    if not texts and (read := _READ_IN_THE_PACKAGE.get(_name(package))):
        texts = [read]
    return frozenset(_one(text) for text in texts)


def closure(roots: Iterable[Requirement]) -> dict[str, Distribution]:
    """The installed packages that these requirements need, by normalised name; packages that are not installed are
    omitted."""
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = found.setdefault(name, distribution(requirement.name))
        except PackageNotFoundError:
            continue
        for line in package.requires or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in ("", *extras)):
                waiting.append(inner)
    return found


def shipped() -> dict[str, Distribution]:
    """What the distribution requires, all extras included."""
    project = distribution(PROJECT)
    extras = ",".join(project.metadata.get_all("Provides-Extra") or [])
    found = closure([Requirement(f"{PROJECT}[{extras}]")])
    found.pop(PROJECT, None)
    return found


def tools(beside: Iterable[str]) -> dict[str, Distribution]:
    """Everything else that is installed: for tests, checks and builds."""
    left = {_name(package): package for package in distributions()}
    return {name: package for name, package in left.items() if name not in {PROJECT, *beside}}


def refused(packages: dict[str, Distribution], allowed: frozenset[str]) -> list[str]:
    """The packages whose licences are not all on a list, each with what it names."""
    found = []
    for name, package in sorted(packages.items()):
        named = licences_of(package)
        if not named or named - allowed:
            found.append(f"{name}: {', '.join(sorted(named)) or 'no licence named'}")
    return found


def page(required: dict[str, Distribution], others: dict[str, Distribution]) -> str:
    """The page in Markdown."""
    lines = [
        "# Licences of the dependencies",
        "",
        "Written by `python -m docs.licences` from the packages' own metadata; `make check` compares it. Civic Ledger",
        "itself is Apache-2.0. Nothing of these packages is copied into it; they are required by name and version",
        "(`uv.lock`).",
        "",
        "## Required at run time",
        "",
        *_table(required),
        "",
        "## For tests, checks and builds only",
        "",
        "Never imported by what is shipped, and not in the distribution.",
        "",
        *_table(others),
    ]
    return "\n".join(lines) + "\n"


def _table(packages: dict[str, Distribution]) -> list[str]:
    rows = [f"| {name} | {', '.join(sorted(licences_of(package)))} |" for name, package in packages.items()]
    return ["| package | licences it names |", "| --- | --- |", *sorted(rows)]


def _name(package: Distribution) -> str:
    return canonicalize_name(package.name)


def _one(text: str) -> str:
    plain = text.strip().lower()
    return _NAMES.get(plain) or _KNOWN.get(plain) or text.strip()


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 done or equal, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m docs.licences", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the page, write nothing")
    chosen = parser.parse_args(arguments)
    required = shipped()
    others = tools(required)
    status = 0
    for group, allowed in ((required, SHIPPED), (others, SHIPPED | TOOLS)):
        for line in refused(group, allowed):
            print(f"licence not allowed: {line}", file=sys.stderr)
            status = 1
    text = page(required, others)
    if not chosen.check:
        PAGE.write_text(text, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != text:
        print(f"{PAGE.name} is stale; run python -m docs.licences", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
