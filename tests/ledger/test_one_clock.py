"""There is one clock: no other module reads the machine's clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

CALLERS_OWN = ("api/cli", "api/demo", "api/sdk")
"""These modules run on the machine of a caller, with its clock."""

ELSEWHERE = {
    "ledger/clock.py": "the clock itself",
    "ledger/audit/formats/events.py": "the first bits of an entry's id, by which nothing is decided",
    "ledger/audit/formats/note.py": "when a cosignature is made, by the witness's clock",
    "ledger/audit/outside/witness.py": "whether a witness's time can be, seen by whoever checks it",
    "ledger/audit/outside/timestamps.py": "when the next timestamp is due; a clock that is wrong makes one more or one less",
    "ledger/audit/keeping/erasure.py": "only where the caller states no time",
    "ledger/audit/keeping/epochs.py": "only where the caller states no time",
    "ledger/audit/keeping/keys.py": "only where the caller states no time",
    "ledger/audit/keeping/retention.py": "only where the caller states no time",
    "ledger/releases.py": "only where the caller states no time",
    "api/protocol/http_signatures.py": "when a request or answer is signed, where the caller states no time",
    "api/runtime/stored_files.py": "only where the caller states no time",
    "ledger/worker.py": "what the status shows",
    "api/operator/doctor.py": "the moment of an examination",
    "api/operator/backups/taking.py": "the time in a backup's name and manifest",
    "api/runtime/cosigners.py": "what the status shows",
}


def reads_the_clock(tree: ast.AST) -> Iterator[int]:
    """The lines that read the machine's wall clock."""
    for node in ast.walk(tree):
        names = node.names if isinstance(node, ast.ImportFrom) and node.module == "time" else []
        if {"time", "time_ns"} & {name.name for name in names}:
            yield node.lineno
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name | ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        if (owner, node.attr) in {
            ("datetime", "now"),
            ("datetime", "utcnow"),
            ("datetime", "today"),
            ("date", "today"),
            ("time", "time"),
            ("time", "time_ns"),
        }:
            yield node.lineno


def test_only_the_clock_reads_the_machines() -> None:
    found: set[str] = set()
    for package in ("ledger", "api", "access_policy"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(CALLERS_OWN) and any(reads_the_clock(ast.parse(path.read_text()))):
                found.add(name)
    measures = {
        "access_policy/privacy/execution/checked.py"
    }  # The age of a file by the clock of its file system.
    assert found - measures == set(ELSEWHERE)


def test_every_way_to_read_it_is_seen(tmp_path: Path) -> None:
    for text in (
        "datetime.now(UTC)",
        "time.time()",
        "default=time.time",
        "datetime.utcnow()",
        "datetime.datetime.now()",
    ):
        assert list(reads_the_clock(ast.parse(f"f({text})"))) == [1], text
    assert list(reads_the_clock(ast.parse("from time import time as moment")))
