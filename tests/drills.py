"""`python -m tests.drills`: the long runs, and the page that says how they ended (docs/drills/last.md).

Every test marked ``drill`` runs, one after the other; the page lists each with its outcome and seconds, and the
figures that a drill printed. The exit code is pytest's.
"""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "drills" / "last.md"


class Record:
    """Collects outcomes while pytest runs."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, float, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            said = " ".join(report.capstdout.split())[:400]
            self.lines.append((report.nodeid, report.outcome, report.duration, said))


def main() -> int:
    """Run the drills; write the page; pytest's exit code."""
    record = Record()
    code = int(
        pytest.main(["-m", "drill", "-p", "no:xdist", "-o", "timeout=5400", *sys.argv[1:]], plugins=[record])
    )
    total = sum(seconds for _, _, seconds, _ in record.lines)
    passed = sum(outcome == "passed" for _, outcome, _, _ in record.lines)
    page = [
        "# The last drills",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, "
        f"{passed} of {len(record.lines)} passed in {total / 60:.1f} minutes. Written by `make drills`.",
        "",
        "| drill | outcome | seconds | said |",
        "| --- | --- | --- | --- |",
    ]
    page += [
        f"| {name} | {outcome} | {seconds:.1f} | {said} |" for name, outcome, seconds, said in record.lines
    ]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(page) + "\n", "utf-8")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
