"""Branch coverage of the contracts by the tests: ``python contracts/analysis/coverage.py [pytest arguments]``.

Every conditional jump (JUMPI) that py-evm executes in the tests is recorded with its direction, in the deployed, optimised
bytecode. There are two figures for each contract:

- ``branches``: the conditions in the Solidity (``if``, loops, ``&&``, ``||``, ``?:``, by the source map) and how many of them
  were taken in both directions, in at least one place of the bytecode (the compiler copies functions into their callers).
- ``jumps``: all conditional jumps of the bytecode, with copies and those of the compiler (dispatch, decoding of call data,
  overflow), and the share of their directions that were taken.

Branches that were not taken in both directions are listed.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth.vm.forks.prague.computation import PragueComputation

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contracts import build

JUMPI = 0x57
PUSH1, PUSH32 = 0x60, 0x7F
PARTS = ("SharingLedger", "Governance", "Stewardship", "Views", "AuditAnchor", "CostPools", "Conditions")
WRITTEN = re.compile(r"(if|for|while)\b|(?!keccak256|\d).*(==|!=|<|>|&&|\|\||\?)", re.DOTALL)
"""The pattern of a condition; the compiler's own jumps map to whole functions, calls and constants."""
LONGEST = 300


@dataclass(frozen=True)
class Part:
    """Deployed code with the source positions of its conditional jumps."""

    name: str
    size: int
    jumps: dict[int, str]
    """pc -> ``file:line condition``, empty for the compiler's own."""


class Recorder:
    """A pytest plugin that records the direction of every conditional jump, by the size of its code."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[int, set[bool]]] = defaultdict(lambda: defaultdict(set))
        plain = PragueComputation.opcodes[JUMPI]

        def jumpi(computation: Any) -> Any:
            at = computation.code.program_counter - 1
            condition = computation._stack.values[-2]
            value = condition[1] if isinstance(condition, tuple) else condition
            taken = bool(int.from_bytes(value, "big") if isinstance(value, bytes) else value)
            self.seen[len(computation.code)][at].add(taken)
            return plain(computation=computation)

        PragueComputation.opcodes = {**PragueComputation.opcodes, JUMPI: jumpi}  # type: ignore[dict-item]


def parts() -> list[Part]:
    """The contracts of the artifacts, compiled again with source maps."""
    found: dict[str, Part] = {}
    settings = build.SETTINGS
    for name in build.CONTRACTS:
        sources = build.contract_sources(name)
        document = {
            "language": "Solidity",
            "sources": {file: {"content": text} for file, text in sources.items()},
            "settings": {
                **settings,
                "outputSelection": {
                    "*": {"*": ["evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap"], "": ["ast"]}
                },
            },
        }
        output = build.solcx.compile_standard(  # type: ignore[attr-defined]
            document, solc_binary=str(build.SCRIPT)
        )
        files = {entry["id"]: file for file, entry in output["sources"].items()}
        for entries in output["contracts"].values():
            for part, entry in entries.items():
                if part in PARTS and part not in found:
                    found[part] = _part(part, entry["evm"]["deployedBytecode"], files, sources)
    return [found[part] for part in PARTS]


def _part(name: str, deployed: dict[str, str], files: dict[int, str], sources: dict[str, str]) -> Part:
    code = bytes.fromhex(deployed["object"])
    places = _places(deployed["sourceMap"])
    jumps, pc, index = {}, 0, 0
    while pc < len(code):
        if code[pc] == JUMPI and index < len(places):
            begin, length, file = places[index]
            text = sources.get(files.get(file, ""), "").encode()
            snippet = text[begin : begin + length].decode()
            line = text[:begin].count(b"\n") + 1
            source = files.get(file, "")
            written = source.startswith("src/") and length < LONGEST and WRITTEN.match(snippet)
            place = f"{source.removeprefix('src/')}:{line} {' '.join(snippet.split())[:100]}"
            jumps[pc] = place if written else ""
        pc += 1 + (code[pc] - PUSH1 + 1 if PUSH1 <= code[pc] <= PUSH32 else 0)
        index += 1
    return Part(name, len(code), jumps)


def _places(source_map: str) -> list[tuple[int, int, int]]:
    places, current = [], ["0", "0", "-1"]
    for entry in source_map.split(";"):
        for position, value in enumerate(entry.split(":")[:3]):
            if value:
                current[position] = value
        places.append((int(current[0]), int(current[1]), int(current[2])))
    return places


def report(seen: dict[int, dict[int, set[bool]]]) -> dict[str, Any]:
    """The figures of each part, and the branches in the source that were not taken in both directions."""
    figures: dict[str, Any] = {}
    for part in parts():
        ways = seen.get(part.size, {})
        places = {place for place in part.jumps.values() if place}
        both = {place for pc, place in part.jumps.items() if place and len(ways.get(pc, ())) == 2}
        taken = sum(len(ways.get(pc, ())) for pc in part.jumps)
        figures[part.name] = {
            "branches": len(places),
            "branches_both_ways_percent": round(100 * len(both) / max(len(places), 1), 1),
            "jumps": len(part.jumps),
            "jump_ways_percent": round(50 * taken / max(len(part.jumps), 1), 1),
            "one_way_only": sorted(places - both),
        }
    return figures


def main(arguments: list[str]) -> int:
    """Run the contracts' tests and print one JSON object."""
    recorder = Recorder()
    failed = pytest.main(
        [*(arguments or ["tests/contracts"]), "-q", "-m", "not drill"],
        plugins=[recorder],
    )
    print(json.dumps({"coverage": report(recorder.seen)}, indent=1, ensure_ascii=False))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
