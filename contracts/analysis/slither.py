"""Runs Slither on the contracts; every finding needs a reason: ``python contracts/analysis/slither.py [--update]``.

It needs uv (or slither 0.11.6 on the path) and the requirements of the build. A finding is identified by its detector, file and
first element; ``slither_triage.json`` has one reason for each detector and its findings. The command fails when a finding is
not in the list, or the list has a finding that no longer exists. ``--update`` rewrites the lists and keeps the reasons; a
detector without a reason still fails.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CONTRACTS = HERE.parent
TRIAGE = HERE / "slither_triage.json"
VERSION = "0.11.6"
NAMES = ("AuditAnchor", "Conditions", "CostPools", "SharingLedger", "Governance", "Stewardship", "Views")

Findings = dict[str, set[str]]


def command() -> list[str]:
    """Slither of the pinned version."""
    if shutil.which("uv"):
        return ["uv", "tool", "run", "--from", f"slither-analyzer=={VERSION}", "slither"]
    return ["slither"]


def analyse(name: str) -> dict[str, Any]:
    """Slither's JSON for one contract and all that it imports; node_modules filtered."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "findings.json"
        arguments = [
            *command(),
            f"src/{name}.sol",
            *("--solc", "./solc"),
            *("--solc-remaps", "@openzeppelin/=node_modules/@openzeppelin/"),
            *("--solc-args", "--via-ir --optimize --evm-version prague"),
            *("--filter-paths", "node_modules"),
            *("--json", str(answer)),
        ]
        done = subprocess.run(arguments, cwd=CONTRACTS, capture_output=True, text=True, check=False)
        if not answer.is_file():
            raise SystemExit(f"slither did not run on {name}:\n{done.stderr[-3000:]}")
        document: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    if not document["success"]:
        raise SystemExit(f"slither failed on {name}: {document['error']}")
    return document


def findings() -> Findings:
    """Detector -> findings; a finding that several contracts inherit occurs once."""
    found: Findings = {}
    for name in NAMES:
        for result in analyse(name)["results"].get("detectors", []):
            element = result["elements"][0]
            source = element["source_mapping"]["filename_relative"].removeprefix("src/")
            parent = ((element.get("type_specific_fields") or {}).get("parent") or {}).get("name", "")
            where = ".".join(part for part in (parent, element["name"]) if part and part != source)
            found.setdefault(result["check"], set()).add(f"{source}: {where}")
    return found


def main() -> int:
    """The command; returns 0 when every finding has a reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--update", action="store_true", help="rewrite the lists of findings, keep the reasons"
    )
    update = parser.parse_args().update
    triage: dict[str, dict[str, Any]] = json.loads(TRIAGE.read_text("utf-8")) if TRIAGE.is_file() else {}
    found = findings()
    if update:
        rewritten = {
            check: {"reason": triage.get(check, {}).get("reason", ""), "findings": sorted(found[check])}
            for check in sorted(found)
        }
        TRIAGE.write_text(json.dumps(rewritten, indent=1, ensure_ascii=False) + "\n", "utf-8")
        triage = rewritten
    problems = [f"{check}: no reason is given" for check in found if not triage.get(check, {}).get("reason")]
    for check in sorted(set(found) | set(triage)):
        listed = set(triage.get(check, {}).get("findings", []))
        problems += [f"{check}: not explained: {one}" for one in sorted(found.get(check, set()) - listed)]
        problems += [f"{check}: gone, take it out: {one}" for one in sorted(listed - found.get(check, set()))]
    print(*problems, sep="\n")
    print(
        f"slither {VERSION}: {sum(map(len, found.values()))} findings of {len(found)} detectors, {len(problems)} open"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
