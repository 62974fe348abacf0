"""Contracts broken on purpose: each a small patch of the committed source that one invariant must catch.

All patches of a contract are compiled together, each behind ``mutant(number)``, which reads one storage slot far from
all others: one compilation, and every mutant but the chosen one is the shipped contract. Number 0 chooses none, and
must behave. Patches that a switch cannot hold are compiled alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from contracts_harness import CDO, HOUR, STEWARD, USE, Contract
from eth_hash.auto import keccak

from contracts import build

from .pending import PendingChain

Step = tuple[str, dict[str, Any]]
Patch = tuple[str, str, str]

REPLAY_FIRST: Final = 1
"""With this seed ``random`` chooses the first of two."""
SLOT: Final = 0x6D7574616E74
SMALL: Final = build.SETTINGS | {"optimizer": {"enabled": True, "runs": 1}}
"""All mutants of a contract together must still fit the limit on creation code."""
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
class Mutant:
    """One broken rule, and a run of the machine that notices it. The same run passes on the shipped contract."""

    number: int
    invariant: int
    contract: str
    breaks: str
    patches: tuple[tuple[str, str, str], ...]
    """(file below src, text that stands there once, text instead)."""
    machine: str
    script: tuple[Step, ...]

    @property
    def focus(self) -> frozenset[str]:
        """The rules that a random hunt needs."""
        return frozenset(name for name, _ in self.script)


def step(name: str, **arguments: Any) -> Step:
    """One rule of a machine, with its arguments."""
    return name, arguments


def grant(**other: Any) -> Step:
    """Ten uses for an hour, to department 2, with room to delegate."""
    arguments = {"asset": 0, "grantee": 2, "right": USE, "window": (0, HOUR), "uses": 10, "depth": 2}
    return "grant", {**arguments, **other}


def use(grant: int = 0, by: int = 1) -> Step:
    """A use of the nth grant, ``by`` more than before."""
    return step("use", seed=grant, step=by, who="holder attest")


def revoke(grant: int = 0) -> Step:
    """The nth grant, by the steward of the right's holder."""
    return step("revoke", seed=grant, who="steward", by="holder")


def add(roles: int, by: str, second: str = "") -> Step:
    """A newcomer to department 1."""
    return step("add", roles=roles, by=by, department=1, whose=1, possession=True, second=second)


def glass(hours: int) -> Step:
    """Department 2 breaks glass."""
    return step("break_glass", department=2, hours=hours, role="emergency", asset=1, bureau=False)


def propose(**other: Any) -> Step:
    """An honest head of the log without witnesses, nine entries on."""
    arguments = {"seed": 0, "kept": "all", "more": 9, "spoilt": "", "witnesses": (), "key": "1 attest"}
    return "propose", {**arguments, **other}


def commit(flaw: str = "") -> Step:
    """Department 2 owes 1 a yuan."""
    return step("commit", owed=[(2, 1, 100)], flaw=flaw, role="finance")


SETTLE: Final = (step("travel", seconds=2 * HOUR), step("finalise", seed=0, given="all"))

LEDGER, ANCHOR, POOLS = "SharingLedger", "AuditAnchor", "CostPools"

_USED_ANYWAY: Final = """if (!g.isOpenAlone(block.timestamp)) {
            bool later = mutant(1) && g.state() == 1 && block.timestamp >= g.notBefore();
            bool sooner = mutant(2) && g.state() == 1 && block.timestamp < g.notBefore();
            if (!later && !sooner && !(mutant(3) && g.state() == 2)) _refuse(id, g);
        }
        _record("""
_LIVE: Final = "_requireLive(id, g);\n            if (i == 0)"
_REVOKED: Final = "        slot.word = g.withState(GRANT_REVOKED);\n        emit"
_RECOVER: Final = "        bytes32 id = StructHash.flat(RECOVER, at, 5);"
_STEWARD: Final = "        _requireSeatIn(steward, department, STEWARD);\n        if (class"
_GIVABLE: Final = (
    "roles & ~GIVEN_BY_ADMIN != 0) revert RolesNotGivable(signer, roles);\n            if (grants"
)
_GRANTS: Final = "        bool grants = roles & STEWARD != 0;"
_SECOND: Final = "_signedByEither(digest, authority[1], department, MAY_SECOND) == signer"
_DEDUCT: Final = "        _grants[parentId].word = parent.withMaxUses(left);\n        emit IGrants.Deducted(parentId, id, left);"
_NEXT: Final = "        _requireNext(m, word, head.root, proof);"
_SPLIT_HEAD: Final = "        external\n        pure\n        returns (uint128[] memory shares)"


def _ledger(
    number: int, invariant: int, breaks: str, machine: str, script: list[Step], *patches: Patch
) -> Mutant:
    return Mutant(number, invariant, LEDGER, breaks, patches, machine, tuple(script))


def _anchor(number: int, invariant: int, breaks: str, script: list[Step], *patches: Patch) -> Mutant:
    return Mutant(number, invariant, ANCHOR, breaks, patches, "Anchor", tuple(script))


def _pools(number: int, invariant: int, breaks: str, script: list[Step], *patches: Patch) -> Mutant:
    return Mutant(number, invariant, POOLS, breaks, patches, "Pools", tuple(script))


def unless(number: int, file: str, condition: str) -> Patch:
    """A refusal that the mutant forgets: ``if (condition) revert`` becomes ``if ((condition) && !mutant(n)) revert``."""
    return file, f"if ({condition}) revert", f"if (({condition}) && !mutant({number})) revert"


def view(file: str, head: str) -> Patch:
    """A pure function that must read the switch."""
    return file, head, head.replace("pure", "view")


MUTANTS: Final = (
    _ledger(
        1,
        2,
        "an expired grant is used",
        "Sharing",
        [grant(), step("travel", seconds=4000), use()],
        ("Usage.sol", "if (!g.isOpenAlone(block.timestamp)) _refuse(id, g);\n        _record(", _USED_ANYWAY),
    ),
    _ledger(2, 2, "a grant is used before it begins", "Sharing", [grant(window=(2000, HOUR)), use()]),
    _ledger(3, 2, "a revoked grant is used", "Sharing", [grant(), revoke(), use()]),
    _ledger(
        4,
        2,
        "a delegated grant outlives its parent",
        "Sharing",
        [grant(), step("delegate", seed=0, grantee=3, wider="", share=5), revoke(), use(1)],
        ("GrantRules.sol", _LIVE, f"if (i == 0 || !mutant(4)) {_LIVE}"),
    ),
    _ledger(
        5,
        3,
        "more uses than granted",
        "Sharing",
        [grant(uses=3), use(by=20)],
        unless(5, "UseRules.sol", "total > g.maxUses()"),
    ),
    _ledger(
        6,
        3,
        "the total goes back",
        "Sharing",
        [grant(), use(), use(by=-1)],
        unless(6, "UseRules.sol", "total <= g.uses()"),
    ),
    _ledger(
        7,
        4,
        "a child expires after its parent",
        "Sharing",
        [grant(), step("delegate", seed=0, grantee=3, wider="expiry", share=1)],
        view("GrantActs.sol", "function _requireNarrower(GrantWord g, GrantWord parent) private pure"),
        unless(7, "GrantActs.sol", "g.expiry() > parent.expiry()"),
    ),
    _ledger(
        8,
        5,
        "a message works twice",
        "Sharing",
        [
            step("suspend_or_lift_asset", asset=0),
            step("suspend_or_lift_asset", asset=0),
            step("replay", seed=REPLAY_FIRST),
        ],
        unless(8, "Departments.sol", "_done[structHash]"),
    ),
    _ledger(
        9,
        5,
        "a rotated key signs on",
        "Offices",
        [step("rotate", seed=1, forged=""), step("old_key", seed=0)],
        (
            "Recoveries.sol",
            "_seats[from] = seat.withFlag(SEAT_ROTATED)",
            "if (!mutant(9)) _seats[from] = seat.withFlag(SEAT_ROTATED)",
        ),
    ),
    _ledger(
        10,
        6,
        "a right is given by who does not hold it",
        "Sharing",
        [step("transfer", asset=0, right=USE, to=3, claim=False)],
        (
            "AssetActs.sol",
            "if (word.holderOf(m.right) != m.from ||",
            "if ((word.holderOf(m.right) != m.from && !mutant(10)) ||",
        ),
    ),
    _ledger(
        11,
        7,
        "anybody's signature is a steward's",
        "Sharing",
        [step("tamper", seed=0, member="salt")],
        ("AssetRules.sol", _STEWARD, _STEWARD.replace("_require", "if (!mutant(11)) _require")),
    ),
    _ledger(
        12,
        8,
        "revoked terms are granted again",
        "Sharing",
        [grant(), revoke(), step("regrant", seed=0)],
        (
            "GrantRules.sol",
            "if (!before.isEmpty()) revert",
            "if (!before.isEmpty() && !(mutant(12) && before.state() == GRANT_REVOKED)) revert",
        ),
    ),
    _ledger(
        13,
        10,
        "a pause stops revocation",
        "Sharing",
        [grant(), step("pause_or_unpause", hours=1), revoke()],
        ("GrantRules.sol", _REVOKED, f"        if (mutant(13)) _requireRunning();\n{_REVOKED}"),
    ),
    _ledger(
        14,
        10,
        "a pause stops recovery",
        "Offices",
        [step("pause", by="guardian", hours=1), step("recover", seed=1, forged="")],
        ("Recoveries.sol", _RECOVER, f"        if (mutant(14)) _requireRunning();\n{_RECOVER}"),
    ),
    _ledger(
        15,
        11,
        "a chief data officer of any department co-signs",
        "Sharing",
        [step("short_quorum", asset=1, wrong=2, seed=0)],
        (
            "AssetRules.sol",
            "_requireSeatIn(cdo, department",
            "if (!mutant(15)) _requireSeatIn(cdo, department",
        ),
    ),
    _ledger(
        16,
        11,
        "one member of the council counts twice",
        "Offices",
        [add(CDO, "same councillor")],
        unless(16, "Departments.sol", "seen >> place & 1 == 1"),
    ),
    _ledger(
        17,
        12,
        "a batch reaches a department that a single grant does not",
        "Sharing",
        [step("grant_batch", seed=0, count=1, flaw="grantee")],
        unless(17, "Grants.sol", "standing != DEPARTMENT_ACTIVE"),
    ),
    _ledger(
        18,
        13,
        "the event of a use says less than was stored",
        "Sharing",
        [grant(), use()],
        (
            "Usage.sol",
            "        _record(id, slot, g, total, key, seat);\n        _emitUsed(id, total, m.logHead);",
            "        _record(id, slot, g, total, key, seat);\n        _emitUsed(id, mutant(18) ? total - 1 : total, m.logHead);",
        ),
    ),
    _ledger(
        19,
        14,
        "break-glass for as long as one likes",
        "Offices",
        [glass(13)],
        unless(19, "Emergencies.sol", "m.until > start + BREAK_GLASS_MAX"),
    ),
    _ledger(
        20,
        14,
        "an unratified act costs nothing",
        "Offices",
        [glass(1), step("travel", seconds=72 * HOUR + 60), glass(1)],
        unless(20, "Emergencies.sol", "overdue != 0"),
    ),
    _ledger(
        21,
        15,
        "an admin gives any role",
        "Offices",
        [add(CDO, "admin")],
        ("Offices.sol", _GIVABLE, _GIVABLE.replace("!= 0)", "!= 0 && !mutant(21))")),
    ),
    _ledger(
        22,
        16,
        "children spend what the parent keeps",
        "Sharing",
        [grant(), step("delegate", seed=0, grantee=3, wider="", share=10), use()],
        ("GrantActs.sol", _DEDUCT, f"        if (!mutant(22)) {{\n{_DEDUCT}\n        }}"),
    ),
    _ledger(
        23,
        13,
        "cancelled terms are stored, and no event tells them",
        "Sharing",
        [step("cancel", seed=0, who=1)],
        (
            "GrantActs.sol",
            "_grants[id].word = packGrant(",
            "_grants[id].word = mutant(23) ? g : packGrant(",
        ),
    ),
    _anchor(
        1,
        9,
        "a fork is anchored",
        [propose(more=3), propose(kept="none")],
        (
            "AuditAnchor.sol",
            "if (!Rfc6962.isConsistent(size",
            "if (!(mutant(2) && m.size < size) && !mutant(1) && !Rfc6962.isConsistent(size",
        ),
    ),
    _anchor(
        2,
        9,
        "a smaller head is anchored",
        [propose(), propose(kept="none", more=2)],
        unless(2, "AuditAnchor.sol", "m.size < size"),
    ),
    _anchor(
        3,
        10,
        "a pause stops the anchor",
        [step("pause"), propose()],
        (
            "AuditAnchor.sol",
            _NEXT,
            f"        if (mutant(3) && block.timestamp <= departments.pausedUntil()) revert LogUnknown(0);\n{_NEXT}",
        ),
    ),
    _anchor(
        4,
        11,
        "one witness counts twice",
        [propose(seed=1, witnesses=(2, 2))],
        unless(4, "AuditAnchor.sol", "department <= previous"),
    ),
    _anchor(
        5,
        7,
        "any attest key signs heads",
        [propose(key="2 attest")],
        (
            "AuditAnchor.sol",
            "if (!active || department != operator ||",
            "if (!active || (department != operator && !mutant(5)) ||",
        ),
    ),
    _anchor(
        6,
        9,
        "the new root is never looked at",
        [propose(more=3), propose(spoilt="root")],
        (
            "lib/Rfc6962.sol",
            "eq(mload(add(new_, 33)), newRoot)",
            f"or(eq(mload(add(new_, 33)), newRoot), eq(sload({SLOT:#x}), 6))",
        ),
    ),
    _anchor(
        7,
        9,
        "the old root is never looked at",
        [propose(more=3), propose(kept="none")],
        (
            "lib/Rfc6962.sol",
            "eq(mload(add(old, 33)), oldRoot)",
            f"or(eq(mload(add(old, 33)), oldRoot), eq(sload({SLOT:#x}), 7))",
        ),
    ),
    _ledger(
        24,
        15,
        "an admin alone seats a steward",
        "Offices",
        [add(STEWARD, "admin")],
        ("Offices.sol", _GRANTS, _GRANTS.replace(";", " && !mutant(24);")),
    ),
    _ledger(
        25,
        15,
        "an admin seconds itself",
        "Offices",
        [add(STEWARD, "admin", "admin")],
        ("Offices.sol", _SECOND, f"{_SECOND} && !mutant(25)"),
    ),
    _ledger(
        26,
        15,
        "what an admin alone gives seconds it",
        "Offices",
        [add(STEWARD, "admin", "finance")],
        ("Offices.sol", "department, MAY_SECOND)", "department, mutant(26) ? 0x7f : MAY_SECOND)"),
    ),
    _pools(
        1,
        1,
        "a statement that does not sum to zero settles",
        [commit("unbalanced"), *SETTLE],
        view("CostPools.sol", "CommitStatement calldata statement, Net[] calldata nets) private pure"),
        unless(1, "CostPools.sol", "sum != 0"),
    ),
    _pools(
        2,
        5,
        "a statement settles twice",
        [commit(), *SETTLE, SETTLE[1]],
        (
            "CostPools.sol",
            "        status.state = StatementState.Final;",
            "        if (!mutant(2)) status.state = StatementState.Final;",
        ),
    ),
    _pools(
        3,
        13,
        "a settled balance is told wrong",
        [commit(), *SETTLE],
        (
            "CostPools.sol",
            "net.department, net.amount, settled);",
            "net.department, net.amount, mutant(3) ? settled + 1 : settled);",
        ),
    ),
    _pools(
        4,
        1,
        "the last unit of a cost is lost",
        [step("split", cost=10, weights=[1, 1, 1])],
        (
            "lib/LargestRemainder.sol",
            "for (; left != 0; --left)",
            "for (; left > (mutant(4) ? 1 : 0); --left)",
        ),
        view(
            "lib/LargestRemainder.sol",
            "        internal\n        pure\n        returns (uint128[] memory shares)",
        ),
        view("CostPools.sol", _SPLIT_HEAD),
        view("interfaces/ICostPools.sol", _SPLIT_HEAD),
    ),
    _pools(
        5,
        1,
        "one member takes every unit that is left",
        [step("split", cost=5, weights=[1, 1, 1])],
        (
            "lib/LargestRemainder.sol",
            "            remainders[first] = 0;",
            "            if (!mutant(5)) remainders[first] = 0;",
        ),
    ),
)


class PatchFailed(Exception):
    """The text to replace does not stand in the source exactly once."""


@cache
def creation_code(contract: str, folder: Path) -> bytes:
    """A contract with all its mutants, compiled once and kept in ``folder``."""
    sources = patched(contract)
    text = json.dumps([sources, SMALL])
    kept = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.bin"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            output = build.compile_sources(sources, SMALL)["contracts"][f"src/{contract}.sol"][contract]
            partly = kept.with_suffix(".part")
            partly.write_bytes(bytes.fromhex(output["evm"]["bytecode"]["object"]))
            partly.rename(kept)
    return kept.read_bytes()


def patched(contract: str) -> dict[str, str]:
    """The sources of a contract with its mutants in them."""
    sources = build.needed_sources(f"src/{contract}.sol")
    for mutant in MUTANTS:
        for file, old, new in mutant.patches if mutant.contract == contract else ():
            name = f"src/{file}"
            if sources[name].count(old) != 1:
                raise PatchFailed(f"{mutant.breaks}: {file} has this {sources[name].count(old)} times: {old}")
            sources[name] = sources[name].replace(old, new)
    for name, text in sources.items():
        if re.search(r"\bmutant\(\d+\)", text):
            sources[name] = text.replace("\n\n", '\n\nimport {mutant} from "src/lib/Mutant.sol";\n', 1)
    sources["src/lib/Mutant.sol"] = SWITCH
    name = f"src/{contract}.sol"
    sources[name] = sources[name].rstrip().removesuffix("}") + CHOOSE.lstrip("\n")
    return dict(sorted(sources.items()))


def choose(chain: PendingChain, contract: Contract, number: int) -> None:
    """From now on the contract is this mutant."""
    chain.call_raw(contract, keccak(b"chooseMutant(uint256)")[:4] + number.to_bytes(32, "big"))
