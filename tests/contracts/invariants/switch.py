"""Patches of the committed sources, all of a contract compiled together, each behind ``mutant(number)``.

The switch reads one storage slot far from all others: one compilation, and every mutant but the chosen one is the
shipped contract. Number 0 chooses none, and must behave.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts_harness import Contract
from eth_hash.auto import keccak

from contracts import build

from .pending import PendingChain

Patch = tuple[str, str, str]
"""(file below src, text that occurs there once, replacement)."""

LEDGER, ANCHOR, POOLS, CONDITIONS = "SharingLedger", "AuditAnchor", "CostPools", "Conditions"
SLOT: Final = 0x6D7574616E74
SMALL: Final = build.SETTINGS | {"optimizer": {"enabled": True, "runs": 1}}
"""All mutants of a contract together must fit into the limit of the code size."""
SWITCH: Final = f"""// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

function mutant(uint256 wanted) view returns (bool chosen) {{
    assembly {{
        chosen := eq(sload({SLOT:#x}), wanted)
    }}
}}
"""
CHOOSE: Final = f"""
    function chooseMutant(uint256 wanted) external {{
        assembly {{
            sstore({SLOT:#x}, wanted)
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Broken:
    """One mutated rule of one contract."""

    number: int
    contract: str
    breaks: str
    patches: tuple[Patch, ...]


class PatchFailed(Exception):
    """The text to replace does not occur exactly once in the source."""


def unless(number: int, file: str, condition: str) -> Patch:
    """A refusal that the mutant omits: ``if (condition) revert`` becomes ``if ((condition) && !mutant(n))
    revert``."""
    return file, f"if ({condition}) revert", f"if (({condition}) && !mutant({number})) revert"


def skip(number: int, file: str, statement: str) -> Patch:
    """A statement that the mutant omits."""
    return file, statement, f"if (!mutant({number})) {statement}"


def view(file: str, head: str) -> Patch:
    """A pure function that must become a view to read the switch."""
    return file, head, head.replace("pure", "view")


def compiled(contract: str, mutants: Sequence[Broken], folder: Path) -> Mapping[str, bytes]:
    """Creation code of the contract with these mutants, and of its parts; compiled once and kept in ``folder``."""
    sources = patched(contract, mutants)
    text = json.dumps([sources, SMALL])
    kept = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            output = build.compile_sources(sources, SMALL)["contracts"]
            partly = kept.with_suffix(".part")
            names = (*build.PARTS.get(contract, ()), contract)
            codes = {name: output[f"src/{name}.sol"][name]["evm"]["bytecode"]["object"] for name in names}
            partly.write_text(json.dumps(codes), "utf-8")
            partly.rename(kept)
    return {name: bytes.fromhex(code) for name, code in json.loads(kept.read_text("utf-8")).items()}


def patched(contract: str, mutants: Sequence[Broken]) -> dict[str, str]:
    """The sources of a contract with its mutants in them.

    Raises:
        PatchFailed: with every patch that does not fit.
    """
    sources, wrong = _applied(contract, mutants)
    if wrong:
        raise PatchFailed("\n".join(wrong))
    for name, text in sources.items():
        if re.search(r"\bmutant\(\d+\)", text):
            sources[name] = text.replace("\n\n", '\n\nimport {mutant} from "src/lib/Mutant.sol";\n', 1)
    sources["src/lib/Mutant.sol"] = SWITCH
    name = f"src/{contract}.sol"
    sources[name] = sources[name].rstrip().removesuffix("}") + CHOOSE.lstrip("\n")
    return dict(sorted(sources.items()))


def misfits(contract: str, mutants: Sequence[Broken]) -> list[str]:
    """All patches whose text does not occur exactly once in the sources, found without a compiler."""
    return _applied(contract, mutants)[1]


def _applied(contract: str, mutants: Sequence[Broken]) -> tuple[dict[str, str], list[str]]:
    sources, wrong = build.contract_sources(contract), []
    for mutant in mutants:
        for file, old, new in mutant.patches if mutant.contract == contract else ():
            name = f"src/{file}"
            count = sources[name].count(old)
            if count != 1:
                wrong.append(f"{mutant.breaks}: {file} has this {count} times: {old}")
            sources[name] = sources[name].replace(old, new)
    return sources, wrong


def choose(chain: PendingChain, contract: Contract, number: int) -> None:
    """Choose this mutant of the contract."""
    chain.call_raw(contract, keccak(b"chooseMutant(uint256)")[:4] + number.to_bytes(32, "big"))
